//! What happened to the pins of a peer, in an order that is kept.
use super::{Cid, TrackerStatus, UnixMillis};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: UnixMillis,
    /// What.
    pub what: Happening,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A CID came into the pinset, or its pin changed.
    Wished(Cid),
    /// A CID left the pinset.
    Dropped(Cid),
    /// What this peer does about a CID came to an end of some kind.
    Came {
        /// Of what.
        cid: Cid,
        /// Pinned, unpinned, or the kind of failure.
        status: TrackerStatus,
        /// What went wrong, at most 1 KiB; empty when nothing did.
        error: String,
    },
    /// A whole state was taken over: any pin may have come, changed or gone.
    Everything,
}

/// An event as its reader is told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What reading goes on after.
    pub id: String,
    /// The event; `None` says that some were missed, so that all has to be looked at anew.
    pub event: Option<Event>,
}
