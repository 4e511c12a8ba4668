//! The lines of `/rebalance`.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model;

/// A line of the answer: a copy that moves, or at the end what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Rebalanced {
    /// A copy moves.
    Moved(Shift),
    /// The last line.
    Ended(Balance),
}

/// A copy that moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shift {
    /// Of which pin.
    pub cid: String,
    /// Its label.
    pub name: String,
    /// Who lets go of it, once the others have it.
    pub from: String,
    /// Who is to hold it.
    pub to: String,
    /// Its size; `null` when the peer that was asked does not know it.
    pub bytes: Option<u64>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// How far the peer with most and the one with least were apart.
    pub spread_before: u64,
    /// How far they are apart when all copies have arrived.
    pub spread_after: u64,
    /// What the peers have.
    pub peers: Vec<Share>,
}

/// What a peer has by the metric: free bytes, or less than none of what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// Who.
    pub peer: String,
    /// Its label.
    pub peername: String,
    /// What it had.
    pub before: i64,
    /// What it is to have when all copies have arrived, and daemons have collected what they let go of.
    pub after: i64,
}

impl From<&model::Rebalanced> for Rebalanced {
    fn from(line: &model::Rebalanced) -> Self {
        match line {
            model::Rebalanced::Moved(shift) => Self::Moved(shift.into()),
            model::Rebalanced::Ended(balance) => Self::Ended(balance.into()),
        }
    }
}

impl From<&model::Shift> for Shift {
    fn from(shift: &model::Shift) -> Self {
        let model::Shift { cid, name, from, to, bytes } = shift;
        let (cid, from, to) = (cid.to_string(), from.to_string(), to.to_string());
        Self { cid, name: name.clone(), from, to, bytes: *bytes }
    }
}

impl From<&model::Balance> for Balance {
    fn from(balance: &model::Balance) -> Self {
        let model::Balance { dry_run, metric, pins, moved, bytes, unknown, skipped, stopped, shares } = balance;
        let spread = |of: fn(&model::Share) -> i64| {
            let (most, least) = (shares.iter().map(of).max(), shares.iter().map(of).min());
            most.unwrap_or(0).abs_diff(least.unwrap_or(0))
        };
        Self {
            dry_run: *dry_run,
            metric: metric.clone(),
            pins: *pins,
            moved: *moved,
            bytes: *bytes,
            unknown: *unknown,
            skipped: *skipped,
            stopped: *stopped,
            spread_before: spread(|share| share.before),
            spread_after: spread(|share| share.after),
            peers: shares.iter().map(Share::from).collect(),
        }
    }
}

impl From<&model::Share> for Share {
    fn from(share: &model::Share) -> Self {
        let model::Share { peer, peername, before, after } = share;
        Self { peer: peer.to_string(), peername: peername.clone(), before: *before, after: *after }
    }
}
