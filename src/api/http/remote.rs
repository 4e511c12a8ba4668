//! Who is at the other end of a connection.
use std::fmt;
use std::net::IpAddr;

use crate::model::PeerId;

/// Goes with every request: who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// Whoever has this address.
    Address(IpAddr),
    /// A peer, over libp2p.
    Peer(PeerId),
    /// A process of this machine, over a unix socket.
    Local,
}

impl fmt::Display for Remote {
    /// As Go's request log has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Peer(peer) => peer.fmt(f),
            Self::Local => f.write_str("@"),
        }
    }
}
