//! Who a peer is, versions and errors.
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model;

/// `GET /version`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Version {
    /// The version with its build metadata.
    pub version: String,
}

/// The body of an answer that is not 2xx.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Error {
    /// The HTTP status; 0 when no answer came.
    pub code: u16,
    /// What went wrong.
    pub message: String,
    /// Where too few peers can hold a pin: by peer, why it cannot. Ours, not Go's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// The answer of `POST /token`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Token {
    /// Lets its user in.
    pub token: String,
}

/// The body of `POST /peers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AddPeer {
    /// Who joins.
    pub peer_id: String,
}

/// Go's `ID`: what a peer says of itself; addresses and peers stay text because other peers' may be of kinds unknown here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PeerInfo {
    /// The peer.
    pub id: String,
    /// Its addresses.
    pub addresses: Option<Vec<String>>,
    /// Its peerset, itself included.
    pub cluster_peers: Option<Vec<String>>,
    /// Addresses of the others.
    pub cluster_peers_addresses: Option<Vec<String>>,
    /// Its version.
    pub version: String,
    /// Always empty.
    pub commit: String,
    /// The protocol of calls between peers.
    pub rpc_protocol_version: String,
    /// Why the rest is missing.
    pub error: String,
    /// Its IPFS daemon.
    pub ipfs: IpfsId,
    /// Its label.
    pub peername: String,
}

/// Go's `IPFSID`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IpfsId {
    /// The daemon's peer ID, left out while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its addresses.
    pub addresses: Option<Vec<String>>,
    /// Why it is unknown.
    pub error: String,
}

/// Texts of a list; `null` unless the list `is_known`.
fn texts<T: ToString>(list: &[T], is_known: bool) -> Option<Vec<String>> {
    is_known.then(|| list.iter().map(ToString::to_string).collect())
}

impl From<&model::PeerInfo> for PeerInfo {
    fn from(info: &model::PeerInfo) -> Self {
        let answered = info.error.is_empty();
        Self {
            id: info.id.to_string(),
            addresses: texts(&info.addresses, answered),
            cluster_peers: texts(&info.cluster_peers, answered),
            cluster_peers_addresses: texts(&info.cluster_peers_addresses, answered),
            version: info.version.clone(),
            commit: info.commit.clone(),
            rpc_protocol_version: info.rpc_protocol_version.clone(),
            error: info.error.clone(),
            ipfs: IpfsId::from(&info.ipfs),
            peername: info.peername.clone(),
        }
    }
}

impl From<&model::IpfsInfo> for IpfsId {
    fn from(info: &model::IpfsInfo) -> Self {
        Self {
            id: info.id.map(|id| id.to_string()),
            addresses: texts(&info.addresses, info.id.is_some()),
            error: info.error.clone(),
        }
    }
}
