//! Metrics, alerts, and the health of the replication.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::model;

/// Go's `Metric`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Whose value it is.
    pub peer: String,
    /// The value.
    pub value: String,
    /// When it expires, in Unix nanoseconds.
    pub expire: i64,
    /// Whether it counts.
    pub valid: bool,
    /// Its weight for the allocator.
    pub weight: i64,
    /// Whether equal values form a partition.
    pub partitionable: bool,
    /// When it came, in Unix nanoseconds.
    pub received_at: i64,
}

/// Go's `Alert`: a metric that expired, and when that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Alert {
    /// The last value.
    #[serde(flatten)]
    pub metric: Metric,
    /// When the expiry was noticed.
    pub triggered_at: Time,
}

/// How the replication of the peer that is asked stands: an answer of our own, which Go's programs do not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReplicationHealth {
    /// Pins in the pinset.
    pub pins: u64,
    /// Hash of the clock, in hex: equal clocks have applied the same changes.
    pub clock: String,
    /// Hash of the digest, in hex; zero while a join goes on. Equal clocks with unequal digests are a fault.
    pub digest: String,
    /// Whether every peer that spoke lately has this clock.
    pub in_sync: bool,
    /// Since when that is not so; zero when it is.
    pub behind_since: Time,
    /// When a trusted peer was heard last since this one started; zero when none was.
    pub trusted_at: Time,
    /// Whether the keys of another peer's state are being joined.
    pub joining: bool,
    /// Changes that wait for others in memory.
    pub pending: usize,
    /// Changes of untrusted authors that wait on disk for a trusted one above them.
    pub staged: usize,
    /// Writers that signed two histories.
    pub forks: usize,
    /// Bytes of the log of changes.
    pub log_bytes: u64,
    /// When the snapshot was made or fetched that others may have; zero when there is none.
    pub snapshot_at: Time,
    /// Clocks of other peers, as their pings tell; a peer is here after its fifth.
    pub clocks: Vec<Clock>,
    /// What was noticed, newest first.
    pub notices: Vec<Notice>,
    /// How a follower with a byte budget spends it; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<ShareHealth>,
}

/// How a follower spends its byte budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ShareHealth {
    /// The budget.
    pub max_bytes: u64,
    /// Bytes of pins that it holds.
    pub held_bytes: u64,
    /// Bytes that transfers which run may still fetch.
    pub reserved_bytes: u64,
}

/// The clock of another peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Clock {
    /// Whose.
    pub peer: String,
    /// By how many milliseconds it is ahead of that of the peer that is asked; negative when it is behind.
    pub ahead_millis: i64,
}

/// Something that an operator should hear of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Notice {
    /// When.
    pub at: Time,
    /// What.
    pub text: String,
}

impl From<&model::Metric> for Metric {
    fn from(metric: &model::Metric) -> Self {
        Self {
            name: metric.name.clone(),
            peer: metric.peer.to_string(),
            value: metric.value.clone(),
            expire: metric.expire_nanos,
            valid: metric.valid,
            weight: metric.weight,
            partitionable: metric.partitionable,
            received_at: metric.received_nanos,
        }
    }
}

impl From<&model::Alert> for Alert {
    fn from(alert: &model::Alert) -> Self {
        Self { metric: Metric::from(&alert.metric), triggered_at: alert.triggered.into() }
    }
}
