//! What the tracker asks of an IPFS node, and what went wrong with it.
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::model::{Cid, GcKey, IpfsInfo, MaxDepth, Multiaddr, PeerId};

/// What to make IPFS hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinRequest {
    /// What.
    pub cid: Cid,
    /// How deep.
    pub max_depth: MaxDepth,
    /// The label that the daemon may show.
    pub name: String,
    /// The pin that this one replaces.
    pub update_from: Option<Cid>,
    /// Peers that have the content; connected to first, errors ignored.
    pub origins: Vec<Multiaddr>,
}

/// How far a pin is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Blocks fetched so far.
    pub blocks: u64,
    /// Bytes fetched so far.
    pub bytes: u64,
}

/// How the daemon holds a CID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The whole DAG.
    Recursive,
    /// The root block.
    Direct,
}

/// Space of the daemon's repository in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepoStat {
    /// Used.
    pub size: u64,
    /// Allowed.
    pub max: u64,
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Try again after this long, and longer each time.
    RetryAfter(Duration),
    /// The daemon is away: try again as soon as it answers.
    WhenBack,
    /// Its disk is full: try again when it has room.
    WhenRoom,
    /// Trying again helps nothing.
    GiveUp,
}

/// Why the daemon did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IpfsError {
    /// The daemon is not there.
    #[error("{0}")]
    Unreachable(String),
    /// The daemon refused, in Go's words: `IPFS error (<path>). Code: ..`.
    #[error("{0}")]
    Refused(String),
    /// It refused because its disk is full, in Go's words as well.
    #[error("{0}")]
    Full(String),
    /// No byte, no block arrived for this long.
    #[error("no block of {cid} arrived for {silent:?}")]
    Stalled {
        /// Of what.
        cid: Cid,
        /// How long.
        silent: Duration,
    },
    /// The answer stopped in the middle, or is not what the daemon's API says.
    #[error("{0}")]
    Garbled(String),
    /// The configuration forbids it.
    #[error("ipfs unpinning is disallowed by configuration on this peer")]
    UnpinDisabled,
}

impl IpfsError {
    /// What to do about it; every variant names its remedy, so that a new one has to choose.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        const MINUTE: Duration = Duration::from_mins(1);
        match self {
            Self::Unreachable(_) => Remedy::WhenBack,
            Self::Refused(_) | Self::Stalled { .. } | Self::Garbled(_) => Remedy::RetryAfter(MINUTE),
            Self::Full(_) => Remedy::WhenRoom,
            Self::UnpinDisabled => Remedy::GiveUp,
        }
    }
}

/// An IPFS node: Kubo over HTTP, or the embedded one.
pub trait Connector: Send + Sync + 'static {
    /// Makes the node hold a DAG; each item is progress, the end of the stream without an error is success. The last item
    /// has the size of the DAG, as far as the node tells it.
    ///
    /// Dropping the stream cancels the request. A stall is an error of the stream.
    fn pin(&self, request: PinRequest) -> BoxStream<'static, Result<Progress, IpfsError>>;

    /// Lets go of a CID; one that is not held is a success.
    fn unpin(&self, cid: Cid) -> BoxFuture<'static, Result<(), IpfsError>>;

    /// How the node holds one CID.
    fn held(&self, cid: Cid) -> BoxFuture<'static, Result<Option<Held>, IpfsError>>;

    /// All that the node holds, recursive then direct, with back-pressure.
    fn list(&self) -> BoxStream<'static, Result<(Cid, Held), IpfsError>>;

    /// Bytes of a DAG as its root block tells them, which the node fetches; [`None`] where only a walk would tell.
    fn size(&self, cid: Cid) -> BoxFuture<'static, Result<Option<u64>, IpfsError>>;

    /// Who the node is.
    fn id(&self) -> BoxFuture<'static, Result<IpfsInfo, IpfsError>>;

    /// Its space.
    fn repo_stat(&self) -> BoxFuture<'static, Result<RepoStat, IpfsError>>;

    /// Its neighbours.
    fn swarm_peers(&self) -> BoxFuture<'static, Result<Vec<PeerId>, IpfsError>>;

    /// Makes it connect to another node.
    fn connect(&self, address: Multiaddr) -> BoxFuture<'static, Result<(), IpfsError>>;

    /// Lets go of every block that no pin needs; what it says of each, as it says it.
    fn gc(&self) -> BoxFuture<'static, Result<Vec<GcKey>, IpfsError>>;

    /// The CID that a path leads to.
    fn resolve(&self, path: String) -> BoxFuture<'static, Result<Cid, IpfsError>>;
}
