//! The value of the `ping` metric: what a peer says of itself to all.
use serde::{Deserialize, Serialize};

use crate::model::{IpfsInfo, Multiaddr, PeerId, PinInfoShort, TrackerStatus, UnixMillis};

/// Greatest size of a ping value that is read, in bytes: a name and some dozens of addresses.
const PING_MAX: usize = 16 * 1024;

/// Greatest number of addresses kept of one ping; a daemon has some dozens at most.
const ADDRESSES_MAX: usize = 64;

/// What a peer last said of itself in its ping.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Its label.
    pub peername: String,
    /// Its IPFS daemon.
    pub ipfs_peer_id: Option<PeerId>,
    /// Addresses of that daemon.
    pub ipfs_peer_addresses: Vec<Multiaddr>,
}

impl Names {
    /// The part of a row that this peer has when only its `status` is known.
    #[must_use]
    pub fn row(&self, status: TrackerStatus, error: String, now: UnixMillis) -> PinInfoShort {
        PinInfoShort {
            peername: self.peername.clone(),
            ipfs_peer_id: self.ipfs_peer_id,
            ipfs_peer_addresses: self.ipfs_peer_addresses.clone(),
            error,
            ..PinInfoShort::new(status, now)
        }
    }
}

/// Go's JSON, each field left out when it is empty.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Value {
    #[serde(skip_serializing_if = "String::is_empty")]
    peer_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ipfs_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ipfs_addresses: Vec<String>,
}

/// Returns the value that tells `peername` and the daemon's identity, with those of its addresses that others can reach.
#[must_use]
pub fn encode(peername: &str, ipfs: &IpfsInfo) -> String {
    let value = Value {
        peer_name: peername.into(),
        ipfs_id: ipfs.id.map_or_else(String::new, PeerId::to_base58),
        ipfs_addresses: ipfs.reachable().map(ToString::to_string).collect(),
    };
    serde_json::to_string(&value).unwrap_or_default()
}

/// Returns what a ping says; what does not parse is left out.
#[must_use]
pub fn decode(value: &str) -> Names {
    let value: Value = match value.len() {
        0..=PING_MAX => serde_json::from_str(value).unwrap_or_default(),
        _ => Value::default(),
    };
    Names {
        peername: value.peer_name,
        ipfs_peer_id: value.ipfs_id.parse::<PeerId>().ok(),
        ipfs_peer_addresses: value.ipfs_addresses.iter().take(ADDRESSES_MAX).filter_map(|a| a.parse().ok()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_carries_the_reachable_addresses_alone() {
        let id = PeerId::random();
        let addresses = ["/ip4/127.0.0.1/tcp/4001", "/ip4/10.0.0.7/tcp/4001", "/dns4/node.example/tcp/4001"];
        let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        let names = decode(&encode("rust", &IpfsInfo { id: Some(id), addresses, error: String::new() }));
        assert_eq!((names.peername.as_str(), names.ipfs_peer_id), ("rust", Some(id)));
        assert_eq!(names.ipfs_peer_addresses.len(), 2);
    }

    #[test]
    fn an_empty_ping_is_an_empty_object_and_rubbish_says_nothing() {
        assert_eq!(encode("", &IpfsInfo::default()), "{}");
        assert_eq!(decode("[").peername, "");
        assert_eq!(decode(&"x".repeat(PING_MAX + 1)).peername, "");
    }
}
