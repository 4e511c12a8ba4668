//! Values that expire, and the alerts raised when they do.
use super::{PeerId, UnixMillis};

/// One value of one peer: Go's `Metric`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// `ping`, `freespace`, `tag:<key>`, `pinqueue`, ..
    pub name: String,
    /// Whose value it is.
    pub peer: PeerId,
    /// The value as text.
    pub value: String,
    /// When it expires, in Unix nanoseconds by the sender's clock.
    pub expire_nanos: i64,
    /// An invalid metric takes its sender off the list.
    pub valid: bool,
    /// The allocator prefers greater weights.
    pub weight: i64,
    /// Whether peers of equal value form one partition.
    pub partitionable: bool,
    /// When it was received here, in Unix nanoseconds.
    pub received_nanos: i64,
}

impl Metric {
    /// Returns whether the metric counts at `now`.
    #[must_use]
    pub fn is_live(&self, now: UnixMillis) -> bool {
        self.valid && now.nanos() <= self.expire_nanos
    }
}

/// A metric that expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The last value.
    pub metric: Metric,
    /// When the expiry was noticed.
    pub triggered: UnixMillis,
}
