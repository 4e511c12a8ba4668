//! Metrics and alerts.
use serde::{Deserialize, Serialize};

use super::Time;
use crate::model;

/// Go's `Metric`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Alert {
    /// The last value.
    #[serde(flatten)]
    pub metric: Metric,
    /// When the expiry was noticed.
    pub triggered_at: Time,
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
