//! Peers and what they say of themselves.
use std::collections::BTreeSet;

use libp2p::multiaddr::Protocol;
pub use libp2p::{Multiaddr, PeerId};

/// What a peer answers to "who are you": Go's `ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// The peer.
    pub id: PeerId,
    /// Its addresses, each ending in `/p2p/<id>`.
    pub addresses: Vec<Multiaddr>,
    /// The peerset as it sees it, itself included.
    pub cluster_peers: Vec<PeerId>,
    /// Known addresses of the other members.
    pub cluster_peers_addresses: Vec<Multiaddr>,
    /// Its version.
    pub version: String,
    /// Always empty, as in Go.
    pub commit: String,
    /// `/ipfscluster/1.0/rpc`.
    pub rpc_protocol_version: String,
    /// Why the rest is missing; empty when it answered.
    pub error: String,
    /// Its IPFS daemon.
    pub ipfs: IpfsInfo,
    /// Its human label.
    pub peername: String,
}

impl PeerInfo {
    /// The row of a peer that did not answer.
    #[must_use]
    pub fn failed(id: PeerId, error: String) -> Self {
        Self {
            id,
            addresses: Vec::new(),
            cluster_peers: Vec::new(),
            cluster_peers_addresses: Vec::new(),
            version: String::new(),
            commit: String::new(),
            rpc_protocol_version: String::new(),
            error,
            ipfs: IpfsInfo::default(),
            peername: String::new(),
        }
    }
}

/// The identity of an IPFS daemon: Go's `IPFSID`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpfsInfo {
    /// Absent while the daemon is unknown.
    pub id: Option<PeerId>,
    /// Its swarm addresses.
    pub addresses: Vec<Multiaddr>,
    /// Why it is unknown.
    pub error: String,
}

impl IpfsInfo {
    /// The addresses of the daemon that others can reach, which are the ones that metrics and status rows show.
    pub fn reachable(&self) -> impl Iterator<Item = &Multiaddr> {
        self.addresses.iter().filter(|address| is_reachable(address))
    }
}

/// Whether others can reach the address: a DNS name, or a global unicast IP (which, as in Go, private ones are).
fn is_reachable(address: &Multiaddr) -> bool {
    address.iter().next().is_some_and(|first| {
        if let Protocol::Ip4(ip) = first {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_link_local() || ip.is_multicast())
        } else if let Protocol::Ip6(ip) = first {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local() || ip.is_multicast())
        } else {
            matches!(first.tag(), "dns" | "dns4" | "dns6" | "dnsaddr")
        }
    })
}

/// Whose changes count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// `"*"`.
    Everyone,
    /// These, and the peer itself.
    Only(BTreeSet<PeerId>),
}

impl Trust {
    /// Returns whether changes of `peer` count; `own` is always trusted.
    #[must_use]
    pub fn trusts(&self, own: &PeerId, peer: &PeerId) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only(peers) => own == peer || peers.contains(peer),
        }
    }
}
