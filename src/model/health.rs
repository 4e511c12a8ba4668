//! What a cluster says of its connections, and of the blocks that its daemons let go.
use std::collections::BTreeMap;

use super::{Cid, PeerId};

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
