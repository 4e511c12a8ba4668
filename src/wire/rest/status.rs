//! Go's `GlobalPinInfo`.
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::model::{self, TrackerStatus};

/// The status of one pin on all peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GlobalPinInfo {
    /// The pin.
    pub cid: Option<String>,
    /// Its label.
    pub name: String,
    /// Who holds it.
    pub allocations: Option<Vec<String>>,
    /// Who has the content.
    pub origins: Option<Vec<String>>,
    /// When it was pinned.
    pub created: Time,
    /// The user's keys and values.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Each peer's part.
    pub peer_map: BTreeMap<String, PinInfoShort>,
}

/// What differs from peer to peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PinInfoShort {
    /// The peer's label.
    pub peername: String,
    /// Its IPFS daemon, left out while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipfs_peer_id: Option<String>,
    /// Addresses of the daemon, left out when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipfs_peer_addresses: Option<Vec<String>>,
    /// One of Go's names.
    pub status: String,
    /// Since when.
    pub timestamp: Time,
    /// What went wrong.
    pub error: String,
    /// How often it was tried.
    pub attempt_count: u32,
    /// Bytes of it that the daemon has, left out while unknown. Ours, not Go's.
    #[serde(skip_serializing_if = "is_zero")]
    pub bytes: u64,
    /// When it is tried again by itself, left out where it is not. Ours, not Go's.
    #[serde(skip_serializing_if = "is_none")]
    pub next_try: Time,
    /// Whether it is served before others.
    pub priority_pin: bool,
}

impl PinInfoShort {
    /// The status; unknown names are [`TrackerStatus::Undefined`].
    #[must_use]
    pub fn tracker_status(&self) -> TrackerStatus {
        TrackerStatus::ALL.into_iter().find(|s| s.name() == self.status).unwrap_or(TrackerStatus::Undefined)
    }
}

fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

impl From<&model::GlobalPinInfo> for GlobalPinInfo {
    /// A CID that is not pinned has no origins; asked of one peer alone, no allocations either.
    fn from(info: &model::GlobalPinInfo) -> Self {
        let is_pinned = info.peer_map.values().any(|short| short.status != TrackerStatus::Unpinned);
        Self {
            cid: Some(info.cid.to_string()),
            name: info.name.clone(),
            allocations: Some(texts(&info.allocations)).filter(|_| is_pinned || info.created.is_some()),
            origins: Some(texts(&info.origins)).filter(|_| is_pinned),
            created: info.created.into(),
            metadata: Some(info.metadata.clone()).filter(|map| !map.is_empty()),
            peer_map: info.peer_map.iter().map(|(peer, short)| (peer.to_string(), short.into())).collect(),
        }
    }
}

impl From<&model::PinInfoShort> for PinInfoShort {
    fn from(short: &model::PinInfoShort) -> Self {
        Self {
            peername: short.peername.clone(),
            ipfs_peer_id: short.ipfs_peer_id.map(|id| id.to_string()),
            ipfs_peer_addresses: Some(texts(&short.ipfs_peer_addresses)).filter(|list| !list.is_empty()),
            status: short.status.name().into(),
            timestamp: short.timestamp.into(),
            error: short.error.clone(),
            attempt_count: short.attempt_count,
            bytes: short.bytes,
            next_try: short.next_try.into(),
            priority_pin: short.priority_pin,
        }
    }
}

/// One event of `/events`: all that its lines say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Event {
    /// What listening goes on after.
    pub id: String,
    /// `pin` (added or changed), `unpin`, `status`, or `reset`: events were missed, or too many came at once.
    pub event: String,
    /// When.
    #[serde(skip_serializing_if = "is_none")]
    pub at: Time,
    /// Of what.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cid: String,
    /// Where the peer stands with it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// What went wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

fn is_none(at: &Time) -> bool {
    at.is_zero()
}

impl From<&model::Told> for Event {
    fn from(told: &model::Told) -> Self {
        let kind = |event: &str, cid: Option<&model::Cid>| Self {
            id: told.id.clone(),
            event: event.into(),
            at: told.event.as_ref().map(|event| event.at).into(),
            cid: cid.map(ToString::to_string).unwrap_or_default(),
            ..Self::default()
        };
        match told.event.as_ref().map(|event| &event.what) {
            Some(model::Happening::Wished(cid)) => kind("pin", Some(cid)),
            Some(model::Happening::Dropped(cid)) => kind("unpin", Some(cid)),
            Some(model::Happening::Came { cid, status, error }) => {
                Self { status: status.name().into(), error: error.clone(), ..kind("status", Some(cid)) }
            }
            Some(model::Happening::Everything) | None => kind("reset", None),
        }
    }
}
