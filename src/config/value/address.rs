//! Addresses and peer IDs in text, with Go's words for what is wrong with them.
use std::fmt;
use std::path::PathBuf;

use crate::model::{Cid, Multiaddr, PeerId};

/// Where an HTTP server listens or is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/unix/<path>`: a socket in the file system.
    Unix(PathBuf),
    /// Anything else, such as `/ip4/127.0.0.1/tcp/9094` or `/dns4/ipfs0/tcp/5001`.
    Address(Multiaddr),
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to parse multiaddr {text:?}: {cause}")]
pub struct AddressError {
    text: String,
    cause: String,
}

/// Reads a multiaddress; `/ipfs/<id>` is `/p2p/<id>`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_multiaddr(text: &str) -> Result<Multiaddr, AddressError> {
    let fault = |cause: String| AddressError { text: text.into(), cause };
    if text.is_empty() {
        return Err(fault("empty multiaddr".into()));
    }
    if !text.starts_with('/') {
        return Err(fault("must begin with /".into()));
    }
    text.parse().map_err(|e: libp2p::multiaddr::Error| fault(e.to_string()))
}

/// Reads a peer ID: base58, or a CID of a libp2p key.
///
/// # Errors
/// What is wrong with it.
pub fn parse_peer_id(text: &str) -> Result<PeerId, PeerIdError> {
    const SHORTEST: usize = 2;
    if text.len() < SHORTEST {
        return Err(PeerIdError("invalid cid: cid too short".into()));
    }
    let base58 = text.parse::<PeerId>();
    let cid = || {
        const LIBP2P_KEY: u64 = 0x72;
        let cid = text.parse::<Cid>().ok().filter(|cid| cid.codec() == LIBP2P_KEY)?;
        PeerId::from_bytes(&cid.hash().to_bytes()).ok()
    };
    base58.or_else(|e| cid().ok_or_else(|| PeerIdError(e.to_string())))
}

/// Why a text is no peer ID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to parse peer ID: {0}")]
pub struct PeerIdError(String);

impl Endpoint {
    /// Reads an endpoint.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("/unix/") {
            Some("") => Err(AddressError { text: text.into(), cause: "a path is missing".into() }),
            Some(path) => Ok(Self::Unix(PathBuf::from(format!("/{path}")))),
            None => parse_multiaddr(text).map(Self::Address),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "/unix{}", path.display()),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8";

    #[test]
    fn the_old_name_of_p2p_is_read_and_never_printed() {
        let address = parse_multiaddr(&format!("/dns4/example.org/tcp/9096/ipfs/{ID}")).unwrap();
        assert_eq!(address.to_string(), format!("/dns4/example.org/tcp/9096/p2p/{ID}"));
        assert_eq!(parse_multiaddr("x").unwrap_err().to_string(), "failed to parse multiaddr \"x\": must begin with /");
        for good in
            ["/ip4/0.0.0.0/udp/9096/quic", "/ip4/10.0.0.0/ipcidr/8", "/dnsaddr/example.org", "/ip6/::/tcp/9096/ws"]
        {
            assert_eq!(parse_multiaddr(good).unwrap().to_string(), good);
        }
    }

    #[test]
    fn sockets_of_the_file_system_keep_their_whole_path() {
        let socket = Endpoint::parse("/unix/run/cluster/api-socket").unwrap();
        assert_eq!(socket, Endpoint::Unix("/run/cluster/api-socket".into()));
        assert_eq!(socket.to_string(), "/unix/run/cluster/api-socket");
        assert!(Endpoint::parse("/unix/").is_err());
    }

    #[test]
    fn peer_ids_are_read_as_base58_and_as_cids() {
        let id = parse_peer_id(ID).unwrap();
        let hash = id.as_ref().to_owned();
        let cid = Cid::new_v1(0x72, hash);
        assert_eq!(parse_peer_id(&cid.to_string()), Ok(id));
        assert_eq!(parse_peer_id("x").unwrap_err().to_string(), "failed to parse peer ID: invalid cid: cid too short");
        assert!(parse_peer_id("nonsense").is_err());
    }
}
