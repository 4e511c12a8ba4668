//! What a webhook is told: our own shape, around Go's of an alert.
use serde::Serialize;

use super::rest::Alert;

/// The body of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The alert, as `/health/alerts` shows it.
    #[serde(flatten)]
    pub alert: Alert,
    /// The peer that raised it.
    pub reporter: String,
    /// Its label.
    pub reporter_name: String,
    /// The same each time that this alert of this peer is delivered, and of no other.
    pub delivery_id: String,
}
