//! What a cluster says of its connections, and of the blocks that its daemons let go.
use std::collections::BTreeMap;

use super::{Cid, PeerId, TrackerStatus};

/// A block that was collected, or why one was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcKey {
    /// Which; `None` beside an error.
    pub cid: Option<Cid>,
    /// Why it is still there.
    pub error: String,
}

/// What garbage collection on one peer's daemon did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoGc {
    /// Whose daemon.
    pub peer: PeerId,
    /// The peer's label.
    pub peername: String,
    /// The blocks.
    pub keys: Vec<GcKey>,
    /// Why it did not run.
    pub error: String,
}

/// What is asked of a peer that may be drained, or is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draining {
    /// How far it is.
    Look,
    /// To give away what it holds, and take nothing new.
    Begin,
    /// To be a peer like the others again.
    End,
}

/// How far a peer is with giving away what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Which peer.
    pub peer: PeerId,
    /// Whether it is being drained.
    pub leaving: bool,
    /// Pins that are still allocated to it.
    pub pins_left: u64,
    /// Pins that it does not have to hold any more, and keeps until enough others have them.
    pub pins_kept: u64,
    /// Pins that everybody holds: they do not move.
    pub pins_everywhere: u64,
}

/// Who is connected with whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectGraph {
    /// Who was asked.
    pub own: PeerId,
    /// Labels of the peers that answered.
    pub names: BTreeMap<PeerId, String>,
    /// Neighbours of each daemon.
    pub ipfs_links: BTreeMap<PeerId, Vec<PeerId>>,
    /// Which other members each member reaches.
    pub cluster_links: BTreeMap<PeerId, Vec<PeerId>>,
    /// Whom this peer trusts.
    pub trusted: BTreeMap<PeerId, bool>,
    /// The daemon of each peer.
    pub daemons: BTreeMap<PeerId, PeerId>,
}

/// What a probe asks a peer: each more than the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Whether it runs: if not, a restart helps.
    Live,
    /// Whether it reads and writes pins: if not, requests belong elsewhere.
    Ready,
    /// Whether it has all changes that it heard of.
    Synced,
}

impl Probe {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Live, Self::Ready, Self::Synced];

    /// Returns the path that it is asked at.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Live => "/livez",
            Self::Ready => "/readyz",
            Self::Synced => "/syncedz",
        }
    }
}

/// How many pins there are, and where one peer stands with those that it is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinCounts {
    /// Whose statuses.
    pub peer: PeerId,
    /// Pins in the pinset, on whatever peers.
    pub pins: u64,
    /// Of each of [`TrackerStatus::TRACKED`], how many of this peer's stand there.
    pub by_status: Vec<(TrackerStatus, u64)>,
    /// Why what is queued waits, if its turn is not all that it waits for.
    pub held_up: Option<String>,
}
