//! Moving copies of pins to peers that have room.
use super::{Cid, PeerId};

/// How peers are to be balanced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebalance {
    /// Whether it is only said what would move.
    pub dry_run: bool,
    /// Bytes that may move at most; `None`: as many as it takes.
    pub max_bytes: Option<u64>,
}

/// What is told while that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebalanced {
    /// A copy moves.
    Moved(Shift),
    /// Nothing more does.
    Ended(Balance),
}

/// One copy's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    /// Of which pin.
    pub cid: Cid,
    /// Its label.
    pub name: String,
    /// Who lets go of it, once the others have it.
    pub from: PeerId,
    /// Who is to hold it.
    pub to: PeerId,
    /// Its size, as far as the peer that was asked knows it.
    pub bytes: Option<u64>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The metric that peers were balanced by.
    pub metric: String,
    /// Pins in the pinset, on whatever peers.
    pub pins: u64,
    /// Copies that moved.
    pub moved: u64,
    /// Their bytes; those of unknown size count as the mean of the known.
    pub bytes: u64,
    /// How many of them were of unknown size.
    pub unknown: u64,
    /// Copies that were to move and did not, because the pin or the peer changed meanwhile.
    pub skipped: u64,
    /// Whether it ended because no more bytes may move.
    pub stopped: bool,
    /// What the peers have.
    pub shares: Vec<Share>,
}

/// What a peer has by the metric: free bytes, or less than none of what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Who.
    pub peer: PeerId,
    /// Its label.
    pub peername: String,
    /// What it had.
    pub before: i64,
    /// What it is to have when all copies have arrived, and daemons have collected what they let go of.
    pub after: i64,
}
