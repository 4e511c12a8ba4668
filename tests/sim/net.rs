//! A net of engines on rows in memory: virtual time, one seed, everything that a network and a power switch can do.
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ipfs_cluster::crdt::automerge::{self, EngineArgs, Reader};
use ipfs_cluster::crdt::{
    Engine, Input, MapRows, Notice, Now, Op, Pinset, Rows, Seen, Sending, Session, Table, Ticket, Turn, WriteError,
};
use ipfs_cluster::model::{Cid, PeerId, Pin, Trust, UnixMillis};
use libp2p::identity::Keypair;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const EPOCH: u32 = 1;
const CLUSTER: &str = "simulated";
/// The wall clock when a run begins.
const DAWN: i64 = 1_700_000_000_000;

/// Odds of what goes wrong with a message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    pub drop: f64,
    pub twice: f64,
    pub break_stream: f64,
    pub crash: f64,
    /// Greatest delay in milliseconds.
    pub delay: u64,
}

impl Weather {
    pub const FAIR: Self = Self { drop: 0.0, twice: 0.0, break_stream: 0.0, crash: 0.0, delay: 5 };
    pub const FOUL: Self = Self { drop: 0.2, twice: 0.1, break_stream: 0.05, crash: 0.01, delay: 300 };
}

enum Event {
    Gossip { from: usize, to: usize, topic: usize, bytes: Bytes },
    Ask { to: usize, stream: u64, bytes: Bytes },
    Answer { to: usize, stream: u64, bytes: Bytes },
    Broken { stream: u64 },
    Tick { to: usize, start: u32 },
}

/// A sync: the asker's engine on one side, a session on the other.
struct Stream {
    asker: usize,
    server: usize,
    starts: (u32, u32),
    session: Box<dyn Session>,
    /// Frames arrive in order: not before the one sent last.
    arrives: u64,
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
    keypair: Keypair,
    trust: Trust,
    starts: u32,
    tick: Option<u64>,
}

pub struct Net {
    pub rng: SmallRng,
    pub peers: Vec<Peer>,
    pub weather: Weather,
    pub now: u64,
    /// Frames of changes that syncs carried, and syncs that were opened.
    pub frames: usize,
    pub syncs: usize,
    parts: Vec<u8>,
    queue: BTreeMap<(u64, u64), Event>,
    streams: BTreeMap<u64, Stream>,
    ids: u64,
    pending_max: usize,
    trace: blake3::Hasher,
}

pub fn keypair(n: usize) -> Keypair {
    Keypair::ed25519_from_bytes([u8::try_from(n).unwrap() + 1; 32]).unwrap()
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

impl Net {
    pub fn new(seed: u64, trusts: Vec<Trust>, pending_max: usize) -> Self {
        let mut net = Self {
            rng: SmallRng::seed_from_u64(seed),
            peers: Vec::new(),
            weather: Weather::FAIR,
            now: 0,
            frames: 0,
            syncs: 0,
            parts: vec![0; trusts.len()],
            queue: BTreeMap::new(),
            streams: BTreeMap::new(),
            ids: 0,
            pending_max,
            trace: blake3::Hasher::new(),
        };
        for (n, trust) in trusts.into_iter().enumerate() {
            let (keypair, mut rows) = (keypair(n), MapRows::default());
            let engine = net.open(&keypair, &trust, &mut rows);
            let id = keypair.public().to_peer_id();
            net.peers.push(Peer {
                id,
                rows,
                engine,
                keypair,
                trust,
                answers: BTreeMap::new(),
                notices: Vec::new(),
                counts: BTreeMap::new(),
                published: BTreeSet::new(),
                starts: 0,
                tick: None,
            });
        }
        net.meet();
        net
    }

    /// Peers that trust everyone.
    pub fn of(seed: u64, peers: usize, pending_max: usize) -> Self {
        Self::new(seed, vec![Trust::Everyone; peers], pending_max)
    }

    fn open(&mut self, keypair: &Keypair, trust: &Trust, rows: &mut MapRows) -> Box<dyn Engine> {
        let args = EngineArgs {
            keypair: keypair.clone(),
            epoch: EPOCH,
            cluster_name: CLUSTER.to_owned(),
            trust: trust.clone(),
            actor_suffix: self.rng.random(),
            started: self.wall(),
            pending_max: self.pending_max,
        };
        automerge::open(args, rows).unwrap()
    }

    fn wall(&self) -> UnixMillis {
        UnixMillis(DAWN + i64::try_from(self.now).unwrap())
    }

    /// What the run did so far, in 32 bytes.
    pub fn trace(&self) -> [u8; 32] {
        self.trace.finalize().into()
    }

    pub fn note(&mut self, what: &str, bytes: &[u8]) {
        self.trace.update(&self.now.to_le_bytes()).update(what.as_bytes()).update(blake3::hash(bytes).as_bytes());
    }

    // What the world does.

    /// Puts each peer into a part of the net; only peers of one part reach each other.
    pub fn part(&mut self, parts: Vec<u8>) {
        self.parts = parts;
        let cut: Vec<u64> = self
            .streams
            .iter()
            .filter(|(_, stream)| self.parts[stream.asker] != self.parts[stream.server])
            .map(|(id, _)| *id)
            .collect();
        for stream in cut {
            self.break_stream(stream);
        }
        self.meet();
    }

    pub fn heal(&mut self) {
        self.part(vec![0; self.peers.len()]);
    }

    /// Tells every peer whom it can reach.
    fn meet(&mut self) {
        for n in 0..self.peers.len() {
            let inputs = self.neighbours(n);
            self.turn(n, inputs);
        }
    }

    fn neighbours(&self, n: usize) -> Vec<Input> {
        let others = (0..self.peers.len()).filter(|other| *other != n);
        let input = |other: usize| {
            let peer = self.peers[other].id;
            if self.parts[other] == self.parts[n] { Input::PeerSeen(peer) } else { Input::PeerGone(peer) }
        };
        others.map(input).collect()
    }

    /// Pulls the plug of a peer, and starts it again from what it committed.
    pub fn crash(&mut self, n: usize) {
        self.note("crash", &[u8::try_from(n).unwrap()]);
        let broken: Vec<u64> =
            self.streams.iter().filter(|(_, s)| s.asker == n || s.server == n).map(|(id, _)| *id).collect();
        self.peers[n].starts += 1;
        self.peers[n].tick = None;
        let (keypair, trust) = (self.peers[n].keypair.clone(), self.peers[n].trust.clone());
        let mut rows = std::mem::take(&mut self.peers[n].rows);
        let engine = self.open(&keypair, &trust, &mut rows);
        self.peers[n].rows = rows;
        self.peers[n].engine = engine;
        for stream in broken {
            self.break_stream(stream);
        }
        let inputs = self.neighbours(n);
        self.turn(n, inputs);
    }

    /// Puts another disk into a peer and starts it.
    pub fn restore(&mut self, n: usize, rows: MapRows) {
        self.peers[n].rows = rows;
        self.crash(n);
    }

    /// Drops the changes of a peer's log up to an application.
    pub fn drop_log(&mut self, n: usize, upto: u64) {
        let rows = &mut self.peers[n].rows;
        let old: Vec<(Vec<u8>, Vec<u8>)> = rows
            .rows(Table::Applied)
            .take_while(|(at, _)| u64::from_be_bytes((*at).try_into().unwrap()) <= upto)
            .map(|(at, key)| (at.to_vec(), key.to_vec()))
            .collect();
        for (at, key) in old {
            rows.remove(Table::Applied, &at).unwrap();
            rows.remove(Table::Changes, &key).unwrap();
        }
    }

    fn break_stream(&mut self, stream: u64) {
        let Some(Stream { asker, server, starts, .. }) = self.streams.remove(&stream) else { return };
        if self.peers[asker].starts == starts.0 {
            let peer = self.peers[server].id;
            self.turn(asker, vec![Input::SyncEnded { peer, complete: false }]);
        }
    }

    // What users do.

    /// Writes at a peer, in one turn; returns the tickets.
    pub fn write(&mut self, n: usize, ops: Vec<Op>) -> Vec<Ticket> {
        let tickets: Vec<Ticket> = ops.iter().map(|_| Ticket(self.id())).collect();
        let input = |(ticket, op)| Input::Write { ticket, op, seen: Seen::Any };
        self.turn(n, tickets.iter().copied().zip(ops).map(input).collect());
        tickets
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// What a peer holds pinned: key order, whole pins.
    pub fn pinset(&self, n: usize) -> Vec<Pin> {
        let (mut pins, mut cursor) = (Vec::new(), None);
        loop {
            let (page, next) = Reader.page(cursor.as_deref(), 7, &self.peers[n].rows).unwrap();
            pins.extend(page);
            match next {
                Some(next) => cursor = Some(next),
                None => return pins,
            }
        }
    }

    // Time.

    /// Lets `millis` pass.
    pub fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= end) {
            self.now = entry.key().0;
            let event = entry.remove();
            self.event(event);
        }
        self.now = end;
    }

    /// Lets fair weather and whole connections be, until nothing moves any more but heartbeats; panics when that never is.
    pub fn run_until_quiet(&mut self) {
        self.weather = Weather::FAIR;
        self.heal();
        for _ in 0..40 {
            let before = (self.frames, self.syncs, self.clocks());
            self.run(25_000);
            if before == (self.frames, self.syncs, self.clocks()) {
                return;
            }
        }
        panic!("never quiet: {:?}", self.peers.iter().map(|peer| peer.engine.summary()).collect::<Vec<_>>());
    }

    fn clocks(&self) -> Vec<[u8; 32]> {
        self.peers.iter().map(|peer| peer.engine.summary().clock_hash).collect()
    }

    fn at(&mut self, delay: u64, event: Event) {
        let id = self.id();
        self.queue.insert((self.now + delay, id), event);
    }

    fn delay(&mut self) -> u64 {
        self.rng.random_range(1..=self.weather.delay)
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Gossip { from, to, topic, bytes } if self.parts[from] == self.parts[to] => {
                let item = self.peers[to].engine.check().gossip(topic, &bytes).expect("peers are honest");
                self.turn(to, vec![Input::Checked { from: self.peers[from].id, item }]);
            }
            Event::Gossip { .. } => (),
            Event::Ask { to, stream, bytes } => self.serve(to, stream, &bytes),
            Event::Answer { to, stream, bytes } => self.answered(to, stream, &bytes),
            Event::Broken { stream } => self.break_stream(stream),
            Event::Tick { to, start } => {
                if self.peers[to].starts == start && self.peers[to].tick == Some(self.now) {
                    self.turn(to, vec![Input::Tick]);
                }
            }
        }
    }

    /// The answering side: takes a frame, and says all that it has to say.
    fn serve(&mut self, n: usize, id: u64, bytes: &Bytes) {
        let Some(mut stream) = self.streams.remove(&id) else { return };
        let mut is_sound = stream.session.receive(bytes).is_ok();
        let mut frames = Vec::new();
        while is_sound && let Some(frame) = stream.session.next(&self.peers[n].rows).unwrap() {
            frames.push(frame);
            is_sound &= frames.len() < 10_000;
        }
        assert!(is_sound, "an honest sync breaks no rule");
        let asker = stream.asker;
        for bytes in frames {
            stream.arrives = (self.now + self.delay()).max(stream.arrives + 1);
            self.at(stream.arrives - self.now, Event::Answer { to: asker, stream: id, bytes });
        }
        self.streams.insert(id, stream);
    }

    fn answered(&mut self, n: usize, id: u64, bytes: &Bytes) {
        if self.rng.random_bool(self.weather.break_stream) {
            return self.break_stream(id);
        }
        let Some(stream) = self.streams.get(&id) else { return };
        let peer = self.peers[stream.server].id;
        self.note("frame", bytes);
        self.frames += usize::from(bytes[0] == 4 && bytes[1] > 0);
        let frame = self.peers[n].engine.check().frame(bytes).expect("an honest sync breaks no rule");
        self.turn(n, vec![Input::Frame { peer, frame }]);
    }

    /// One turn of a peer: its transaction, and what leaves after it, unless the plug is pulled before or after the commit.
    pub fn turn(&mut self, n: usize, inputs: Vec<Input>) {
        let crash = self.weather.crash > 0.0 && self.rng.random_bool(self.weather.crash);
        let is_before = crash && self.rng.random_bool(0.5);
        let backup = is_before.then(|| self.peers[n].rows.clone());
        let now = Now { wall: self.wall(), mono: self.now };
        let peer = &mut self.peers[n];
        let turn = peer.engine.turn(inputs, now, &mut peer.rows).unwrap();
        if let Some(backup) = backup {
            self.peers[n].rows = backup;
        }
        if crash {
            return self.crash(n);
        }
        self.leave(n, turn);
    }

    fn leave(&mut self, n: usize, turn: Turn) {
        let peer = &mut self.peers[n];
        peer.answers.extend(turn.answers);
        peer.notices.extend(turn.notices);
        for (what, count) in turn.counts {
            *peer.counts.entry(what).or_default() += count;
        }
        if let Some(at) = turn.tick_at {
            let at = u64::try_from(at.0 - DAWN).unwrap().max(self.now + 1);
            let start = peer.starts;
            if peer.tick != Some(at) {
                peer.tick = Some(at);
                self.at(at - self.now, Event::Tick { to: n, start });
            }
        }
        for sending in turn.sends {
            self.send(n, sending);
        }
    }

    fn send(&mut self, n: usize, sending: Sending) {
        match sending {
            Sending::Gossip { topic, bytes } => {
                self.note("gossip", &bytes);
                if topic == 0 {
                    self.peers[n].published.insert(bytes.clone());
                }
                for to in (0..self.peers.len()).filter(|to| *to != n) {
                    let copies = usize::from(!self.rng.random_bool(self.weather.drop))
                        + usize::from(self.rng.random_bool(self.weather.twice));
                    for _ in 0..copies {
                        let delay = self.delay();
                        self.at(delay, Event::Gossip { from: n, to, topic, bytes: bytes.clone() });
                    }
                }
            }
            Sending::OpenSync { peer, hello } => self.open_stream(n, peer, hello),
            Sending::Frame { peer, bytes } => {
                let Some((id, server)) = self.stream_to(n, peer) else { return };
                let delay = self.delay();
                let stream = self.streams.get_mut(&id).unwrap();
                stream.arrives = (self.now + delay).max(stream.arrives + 1);
                let delay = stream.arrives - self.now;
                self.at(delay, Event::Ask { to: server, stream: id, bytes });
            }
            Sending::CloseSync { peer } => {
                if let Some((id, _)) = self.stream_to(n, peer) {
                    self.streams.remove(&id);
                }
            }
        }
    }

    fn open_stream(&mut self, n: usize, peer: PeerId, hello: Bytes) {
        let server = self.peers.iter().position(|other| other.id == peer).unwrap();
        assert!(self.stream_to(n, peer).is_none(), "one sync a peer");
        self.syncs += 1;
        let (id, delay) = (self.id(), self.delay());
        let session = self.peers[server].engine.answer().session(self.peers[n].id);
        let starts = (self.peers[n].starts, self.peers[server].starts);
        self.streams.insert(id, Stream { asker: n, server, starts, session, arrives: self.now + delay });
        let reaches = self.parts[n] == self.parts[server];
        let event =
            if reaches { Event::Ask { to: server, stream: id, bytes: hello } } else { Event::Broken { stream: id } };
        self.at(delay, event);
    }

    fn stream_to(&self, n: usize, peer: PeerId) -> Option<(u64, usize)> {
        let mut found = self.streams.iter().filter(|(_, s)| s.asker == n && self.peers[s.server].id == peer);
        found.next().map(|(id, stream)| (*id, stream.server))
    }
}
