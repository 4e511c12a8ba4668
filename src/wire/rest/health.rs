//! Go's `ConnectGraph` and `GlobalRepoGC`.
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::model;

/// The answer of `/health/graph`: all keys and values are peer IDs but the labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConnectGraph {
    /// Who was asked.
    pub cluster_id: String,
    /// Labels of the peers that answered.
    pub id_to_peername: BTreeMap<String, String>,
    /// Neighbours of each IPFS daemon.
    pub ipfs_links: BTreeMap<String, Vec<String>>,
    /// Which other members each member reaches.
    pub cluster_links: BTreeMap<String, Vec<String>>,
    /// Whom the peer that was asked trusts.
    pub cluster_trust_links: BTreeMap<String, bool>,
    /// The daemon of each peer.
    pub cluster_to_ipfs: BTreeMap<String, String>,
}

/// The answer of `/health/bandwidth`: bytes by protocol, the empty one is what came before there was one.
pub type Bandwidth = BTreeMap<String, Traffic>;

/// Bytes and bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Traffic {
    /// Received.
    pub total_in: i64,
    /// Sent.
    pub total_out: i64,
    /// Received, a second.
    #[serde(serialize_with = "as_go_writes")]
    pub rate_in: f64,
    /// Sent, a second.
    #[serde(serialize_with = "as_go_writes")]
    pub rate_out: f64,
}

/// A number of Go's JSON: a whole one has no point.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn as_go_writes<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    #[expect(clippy::cast_possible_truncation, reason = "only what is whole and small is written as an integer")]
    let whole = *number as i64;
    #[expect(clippy::cast_precision_loss, reason = "compared with what it came from")]
    let is_whole = (whole as f64 - number).abs() == 0.0;
    if is_whole { serializer.serialize_i64(whole) } else { serializer.serialize_f64(*number) }
}

/// The answer of `POST /ipfs/gc`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GlobalRepoGc {
    /// Each peer's part.
    pub peer_map: BTreeMap<String, RepoGc>,
}

/// What one peer's daemon collected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RepoGc {
    /// The peer.
    pub peer: String,
    /// Its label.
    pub peername: String,
    /// The blocks.
    pub keys: Option<Vec<GcKey>>,
    /// Why it did not run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// One block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GcKey {
    /// Its CID; `null` beside an error.
    pub key: Option<String>,
    /// Why it was not collected.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// The answer of `/pins/counts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PinCounts {
    /// Pins in the pinset, on whatever peers.
    pub pins: u64,
    /// The peer that counts the following.
    pub peer: String,
    /// Pins that it is to hold, as far as it has come with the news.
    pub allocated: u64,
    /// Where it stands with them, and with what it lets go of: by status, zeros too.
    pub status: BTreeMap<String, u64>,
    /// Why what is queued waits: the IPFS daemon is away or has no room. Left out when it waits for its turn alone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub held_up: String,
}

/// The answer of `/peers/{peer}/drain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Drain {
    /// The peer.
    pub peer: String,
    /// Whether it is being drained: it gets no new pins, and its pins get other holders.
    pub leaving: bool,
    /// Pins that are still allocated to it.
    pub pins_left: u64,
    /// Pins that it does not have to hold any more, and keeps until enough others have them.
    pub pins_kept: u64,
    /// Pins that every peer holds, it too: they do not move.
    pub pins_everywhere: u64,
}

impl Drain {
    /// Whether the peer can be taken away: it leaves, and nothing is left that only it may hold.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.leaving && self.pins_left == 0 && self.pins_kept == 0
    }
}

impl From<&model::Drain> for Drain {
    fn from(drain: &model::Drain) -> Self {
        let model::Drain { peer, leaving, pins_left, pins_kept, pins_everywhere } = *drain;
        Self { peer: peer.to_string(), leaving, pins_left, pins_kept, pins_everywhere }
    }
}

fn texts<K: ToString, V: ToString>(map: &BTreeMap<K, V>) -> BTreeMap<String, String> {
    map.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn lists<K: ToString, V: ToString>(map: &BTreeMap<K, Vec<V>>) -> BTreeMap<String, Vec<String>> {
    map.iter().map(|(key, list)| (key.to_string(), list.iter().map(ToString::to_string).collect())).collect()
}

impl From<&model::ConnectGraph> for ConnectGraph {
    fn from(graph: &model::ConnectGraph) -> Self {
        Self {
            cluster_id: graph.own.to_string(),
            id_to_peername: texts(&graph.names),
            ipfs_links: lists(&graph.ipfs_links),
            cluster_links: lists(&graph.cluster_links),
            cluster_trust_links: graph.trusted.iter().map(|(peer, trusted)| (peer.to_string(), *trusted)).collect(),
            cluster_to_ipfs: texts(&graph.daemons),
        }
    }
}

impl From<&model::PinCounts> for PinCounts {
    fn from(counts: &model::PinCounts) -> Self {
        let held = counts.by_status.iter().filter(|(status, _)| !status.is_leaving());
        Self {
            pins: counts.pins,
            peer: counts.peer.to_string(),
            allocated: held.map(|(_, n)| n).sum(),
            status: counts.by_status.iter().map(|(status, n)| (status.name().to_owned(), *n)).collect(),
            held_up: counts.held_up.clone().unwrap_or_default(),
        }
    }
}

impl From<&[model::RepoGc]> for GlobalRepoGc {
    fn from(peers: &[model::RepoGc]) -> Self {
        Self { peer_map: peers.iter().map(|gc| (gc.peer.to_string(), RepoGc::from(gc))).collect() }
    }
}

impl From<&model::RepoGc> for RepoGc {
    fn from(gc: &model::RepoGc) -> Self {
        let key = |key: &model::GcKey| GcKey { key: key.cid.map(|cid| cid.to_string()), error: key.error.clone() };
        Self {
            peer: gc.peer.to_string(),
            peername: gc.peername.clone(),
            keys: Some(gc.keys.iter().map(key).collect()),
            error: gc.error.clone(),
        }
    }
}

#[cfg(test)]
#[path = "golden_tests.rs"]
mod golden_tests;
