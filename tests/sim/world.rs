//! What a net is made of: peers, streams, events, and what goes wrong.
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ipfs_cluster::crdt::{Engine, MapRows, Notice, Part, Sending, Session, Talk, Ticket, WriteError};
use ipfs_cluster::model::{Cid, PeerId, Pin, Trust, UnixMillis};
use libp2p::identity::Keypair;
use rand::Rng;
use rand::rngs::SmallRng;

/// The wall clock when a run begins.
pub const DAWN: i64 = 1_700_000_000_000;

/// Odds of what goes wrong with a message or a turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    pub drop: f64,
    pub twice: f64,
    pub break_stream: f64,
    /// The plug is pulled at a turn, before or after its commit.
    pub crash: f64,
    /// A row operation of a turn fails.
    pub fault: f64,
    /// Greatest delay in milliseconds.
    pub delay: u64,
}

impl Weather {
    pub const FAIR: Self = Self { drop: 0.0, twice: 0.0, break_stream: 0.0, crash: 0.0, fault: 0.0, delay: 5 };
    pub const FOUL: Self = Self { drop: 0.2, twice: 0.1, break_stream: 0.05, crash: 0.01, fault: 0.0, delay: 300 };
}

pub enum Event {
    Gossip {
        from: usize,
        to: usize,
        topic: usize,
        bytes: Bytes,
    },
    Ask {
        to: usize,
        stream: u64,
        bytes: Bytes,
    },
    Answer {
        to: usize,
        stream: u64,
        bytes: Bytes,
    },
    Broken {
        stream: u64,
    },
    Tick {
        to: usize,
        start: u32,
    },
    /// The next part of a survey, which runs at its own pace.
    Found {
        to: usize,
        start: u32,
        parts: Vec<Part>,
    },
    /// A store that failed is opened again.
    Open {
        to: usize,
        start: u32,
    },
}

/// A sync: the asker's engine on one side, a session on the other.
pub struct Stream {
    pub asker: usize,
    pub server: usize,
    pub talk: Talk,
    pub starts: (u32, u32),
    pub session: Box<dyn Session>,
    /// Frames arrive in order: not before the one sent last.
    pub arrives: u64,
}

pub struct Peer {
    pub id: PeerId,
    pub rows: MapRows,
    pub engine: Box<dyn Engine>,
    pub answers: BTreeMap<Ticket, Result<Pin, WriteError>>,
    pub notices: Vec<Notice>,
    pub counts: BTreeMap<&'static str, u64>,
    /// Changes whose commit was acknowledged.
    pub published: BTreeSet<Bytes>,
    pub trust: Trust,
    pub suffix: [u8; 8],
    pub starts: u32,
    pub tick: Option<u64>,
    /// How far its wall clock is off, in milliseconds.
    pub skew: i64,
    /// When its process started: its monotonic clock begins there.
    pub born: u64,
    /// Whether its disk takes nothing more.
    pub is_full: bool,
    /// Whether its store is closed after an error.
    pub is_down: bool,
    /// Whether it was ever put back to an older disk.
    pub is_put_back: bool,
    /// Snapshots that it began to make.
    pub surveys: usize,
    /// Turns in a row that want the next one at once.
    pub spins: usize,
}

/// A peer as it was at some instant: its disk, and who its process is.
#[derive(Clone)]
pub struct Image {
    pub rows: MapRows,
    pub suffix: [u8; 8],
}

/// Who reaches whom.
#[derive(Default)]
pub struct Links {
    /// Only peers of one part reach each other.
    pub parts: Vec<u8>,
    /// Peers that are far away, each for itself.
    pub away: BTreeSet<usize>,
    /// Nothing that the first one sends arrives at the second.
    pub mute: BTreeSet<(usize, usize)>,
    /// The first one cannot open a stream to the second.
    pub closed: BTreeSet<(usize, usize)>,
}

impl Links {
    fn part(&self, n: usize) -> (u8, usize) {
        if self.away.contains(&n) { (u8::MAX, n) } else { (self.parts[n], 0) }
    }

    pub fn join(&self, a: usize, b: usize) -> bool {
        self.part(a) == self.part(b)
    }

    pub fn opens(&self, asker: usize, server: usize) -> bool {
        self.join(asker, server) && !self.closed.contains(&(asker, server))
    }

    pub fn carries(&self, from: usize, to: usize) -> bool {
        self.join(from, to) && !self.mute.contains(&(from, to))
    }
}

pub fn keypair(n: usize) -> Keypair {
    Keypair::ed25519_from_bytes([u8::try_from(n).unwrap() + 1; 32]).unwrap()
}

pub fn peer_id(n: usize) -> PeerId {
    keypair(n).public().to_peer_id()
}

pub fn cid(n: u32) -> Cid {
    let digest = blake3::hash(&n.to_le_bytes());
    Cid::new_v1(0x55, cid::multihash::Multihash::wrap(0x12, digest.as_bytes()).unwrap())
}

pub fn pin(n: u32, name: u64) -> Pin {
    let mut pin = Pin::recursive(cid(n));
    pin.name = name.to_string();
    pin.timestamp = Some(UnixMillis(DAWN));
    pin
}

pub fn change(sending: &Sending) -> Option<Bytes> {
    match sending {
        Sending::Gossip { topic: 0, bytes } => Some(bytes.clone()),
        Sending::Gossip { .. } | Sending::Open { .. } | Sending::Frame { .. } | Sending::Close { .. } => None,
    }
}

/// The bytes with one of them changed.
pub fn spoil(bytes: &Bytes, rng: &mut SmallRng) -> Bytes {
    let mut bytes = bytes.to_vec();
    let at = rng.random_range(0..bytes.len());
    bytes[at] ^= 1 << rng.random_range(0..8);
    bytes.into()
}
