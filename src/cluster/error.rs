//! Why a call on the cluster failed; the texts that scripts match are Go's.
use crate::crdt::RowsError;
use crate::model::{PinMode, PinType, ReplicationError};
use crate::monitor::AllocateError;

/// Why a call on [`super::Cluster`] failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing is pinned under that CID: the one error that REST answers with 404.
    #[error("pin is not part of the pinset")]
    NotFound,
    /// A follower writes nothing.
    #[error("this peer is configured to be in follower mode. Write operations are disabled")]
    Follower,
    /// The pin must not be made as asked.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Too few peers can hold the pin.
    #[error(transparent)]
    Allocate(#[from] AllocateError),
    /// The pin changed again and again while it was being decided.
    #[error("the pin of {0} is being changed by others: try again")]
    Contended(crate::model::Cid),
    /// The disk is full: nothing is written, reads go on.
    #[error("no space left for the pinset: {free} bytes free, {needed} needed; writes work again when there is space")]
    NoSpace {
        /// Bytes free.
        free: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// The record or the epoch is full.
    #[error(transparent)]
    Write(#[from] crate::crdt::WriteError),
    /// The store is being opened again after an error.
    #[error("the pinset is being opened again after an error: {0}")]
    Reopening(String),
    /// The rows could not be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// IPFS did not do its part.
    #[error(transparent)]
    Ipfs(#[from] crate::ipfs::IpfsError),
    /// The ledger, a peer or a part of this one failed.
    #[error("{0}")]
    Other(String),
    /// This peer is going down.
    #[error("cluster is shutdown")]
    Shutdown,
}

/// Why a pin must not be made as asked; the texts are Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The factors contradict each other.
    #[error(transparent)]
    Replication(#[from] ReplicationError),
    /// It would expire before it begins.
    #[error("pin.ExpireAt set before current time")]
    Expired,
    /// The CID is pinned as another kind.
    #[error("cannot repin CID with different tracking method, clear state with pin rm to proceed. New: {}. Was: {}", .new.name(), .was.name())]
    OtherType {
        /// The kind asked for.
        new: PinType,
        /// The kind there is.
        was: PinType,
    },
    /// Recursive pins do not become direct.
    #[error("cannot repin a CID which is already pinned in recursive mode (new pin is pinned as {}). Unpin it first.", mode_name(*.0))]
    OtherMode(PinMode),
    /// Only data pins can be copied by an update.
    #[error("this pin type cannot be updated")]
    NotUpdatable,
    /// Shards go with their root.
    #[error("cannot unpin a shard directly. Unpin content root CID instead")]
    UnpinShard,
    /// So does the list of shards.
    #[error("cannot unpin a Cluster DAG directly. Unpin content root CID instead")]
    UnpinClusterDag,
    /// A kind that no peer makes.
    #[error("unrecognized pin type")]
    UnknownType,
}

fn mode_name(mode: PinMode) -> &'static str {
    match mode {
        PinMode::Recursive => "recursive",
        PinMode::Direct => "direct",
    }
}
