//! What is known of a snapshot on its way in, and of those who lend it.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::believe::Belief;
use super::verify::Reading;
use crate::crdt::Now;
use crate::crdt::automerge::formats::clock::Hash;
use crate::crdt::automerge::formats::snapshot::lend::Gathering;
use crate::crdt::automerge::formats::snapshot::manifest::Core;
use crate::crdt::automerge::merge::Merge;
use crate::model::PeerId;

/// Peers that are remembered at most, of each kind.
const PEERS_MAX: usize = 1024;

/// A stream without a frame for so long is given up, in milliseconds.
pub const IDLE: u64 = 60_000;

/// What was asked for has to be there after so long, in milliseconds, or others are asked: a lender of a frame a minute
/// would keep us from all syncs.
const WINDOW_TIME: u64 = 300_000;

/// A snapshot that can be had, and who attests it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Who attests it.
    pub by: PeerId,
    /// Its pins.
    pub pins: u64,
}

/// Why a state is joined though no log is out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heal {
    /// Whose state.
    pub peer: PeerId,
    /// Whether our own entries count for nothing.
    pub is_repair: bool,
}

/// The snapshot that is on its way in.
pub struct Wanted {
    /// Where it is.
    pub generation: u64,
    /// Its name.
    pub id: Hash,
    /// What it is.
    pub core: Core,
    /// Why it is believed.
    pub belief: Belief,
    /// Who said what it is; [`None`] after a restart.
    pub giver: Option<PeerId>,
    /// Places of the frames that are not here.
    pub missing: BTreeSet<u32>,
    /// Frames that are here in another generation: ours, its, its place.
    pub copies: VecDeque<(u32, u64, u32)>,
    /// Where reading it through stands.
    pub reading: Option<Reading>,
    /// Whether our own entries count for nothing.
    pub is_repair: bool,
}

/// A stream on which we are lent.
pub struct Lender {
    /// When it last said something.
    pub last: u64,
    /// When it was last asked for something.
    pub asked_at: u64,
    /// Its manifest, as far as it came.
    pub manifest: Gathering,
    /// What its snapshot is called, and its places of the frames that we miss.
    pub offer: Option<(Hash, Places)>,
    /// Its places that we asked for, with ours.
    pub asked: BTreeMap<u32, u32>,
    /// The frame that comes in pieces.
    pub frame: Option<(u32, Gathering)>,
}

/// Its places of the frames that we miss.
pub enum Places {
    /// The same as ours: it lends the same snapshot.
    Same,
    /// Ours -> its.
    Other(BTreeMap<u32, u32>),
}

impl Lender {
    /// One that was just asked for its manifest.
    pub fn new(now: Now) -> Self {
        Self {
            last: now.mono,
            asked_at: now.mono,
            manifest: Gathering::default(),
            offer: None,
            asked: BTreeMap::new(),
            frame: None,
        }
    }

    /// When it is given up: it is silent, or slower than anybody can wait for.
    pub fn due(&self) -> u64 {
        let owes = self.offer.is_none() || !self.asked.is_empty();
        let late = if owes { self.asked_at + WINDOW_TIME } else { u64::MAX };
        late.min(self.last + IDLE)
    }
}

impl Wanted {
    /// Nothing of it is here yet.
    pub fn new(generation: u64, core: Core, belief: Belief, giver: Option<PeerId>, is_repair: bool) -> Self {
        let missing = (0..u32::try_from(core.frames.len()).unwrap_or(u32::MAX)).collect();
        let (id, copies) = (core.id(), VecDeque::new());
        Self { generation, id, core, belief, giver, missing, copies, reading: None, is_repair }
    }

    /// Returns whether no lender has to say anything any more.
    pub fn is_here(&self) -> bool {
        self.missing.is_empty() || !self.copies.is_empty()
    }

    /// Returns whether the frame that is read next is here.
    pub fn reads_on(&self) -> bool {
        !self.missing.contains(&self.reading.as_ref().map_or(0, Reading::next))
    }

    /// Where another snapshot has the frames that we miss.
    pub fn shared(&self, other: &Core) -> Places {
        let theirs: BTreeMap<Hash, u32> = hashes(other).map(|(place, hash)| (hash, place)).collect();
        let place = |place: &u32| Some((*place, *theirs.get(&self.core.frames[*place as usize].hash)?));
        Places::Other(self.missing.iter().filter_map(place).collect())
    }
}

/// The places of frames and their hashes.
pub fn hashes(core: &Core) -> impl Iterator<Item = (u32, Hash)> {
    (0..).zip(&core.frames).map(|(place, frame)| (place, frame.hash))
}

/// Returns whether a state has seen something that ours has not.
pub fn is_useful(core: &Core, merge: &Merge) -> bool {
    let lacks = merge.state.clock.lacks(&core.groups);
    lacks.news || lacks.dependants
}

/// Keeps a moment of a peer; the earliest goes when there are too many.
pub fn remember(map: &mut BTreeMap<PeerId, u64>, peer: PeerId, at: u64) {
    if map.len() >= PEERS_MAX
        && !map.contains_key(&peer)
        && let Some(oldest) = map.iter().min_by_key(|(_, at)| **at).map(|(peer, _)| *peer)
    {
        map.remove(&oldest);
    }
    map.insert(peer, at);
}
