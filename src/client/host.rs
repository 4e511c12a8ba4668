//! Where servers are.
use std::path::PathBuf;

use multiaddr::{Multiaddr, Protocol};
use url::Url;

use super::error::NewError;
use crate::wire::rest::tcp_target;

/// A server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) target: Target,
    /// The beginning of all URLs.
    pub(super) base: String,
    /// What errors show in its place.
    pub(super) shown: String,
}

/// What is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// `host:port`; a name is looked up at each dial, and all its addresses are tried.
    Tcp(String),
    Unix(PathBuf),
    /// A peer's streams; the address ends in the peer, or is a name that leads to one.
    Libp2p(Multiaddr),
}

impl Host {
    /// Reads a multiaddress, `/unix/<path>`, or an `http` or `https` URL.
    pub(super) fn parse(text: &str, https: bool) -> Result<Self, NewError> {
        let fault = |reason: &str| NewError::Address { address: text.into(), reason: reason.into() };
        if let Some(path) = text.strip_prefix("/unix/") {
            let target = Target::Unix(format!("/{path}").into());
            return Ok(Self { target, base: "http://restapi".into(), shown: "http+unix://restapi".into() });
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            let url: Url = text.parse().map_err(|error: url::ParseError| fault(&error.to_string()))?;
            let port = url.port_or_known_default().unwrap_or(80);
            let host = url.host_str().ok_or_else(|| fault("no host"))?;
            return Ok(Self::tcp(&format!("{host}:{port}"), https || url.scheme() == "https"));
        }
        if !text.starts_with('/') {
            return Err(fault("must begin with /"));
        }
        let address: Multiaddr = text.parse().map_err(|error: multiaddr::Error| fault(&error.to_string()))?;
        let is_libp2p = |part: &Protocol<'_>| matches!(part, Protocol::P2p(_) | Protocol::Dnsaddr(_));
        if address.iter().any(|part| is_libp2p(&part)) {
            return Self::libp2p(text, address);
        }
        let tls = address.iter().any(|part| matches!(part, Protocol::Https | Protocol::Tls));
        let (target, _) = tcp_target(&address).ok_or_else(|| fault("no host with a TCP port"))?;
        Ok(Self::tcp(&target, https || tls))
    }

    /// The handshake says who the server is, so that there is no TLS whatever was asked for.
    fn libp2p(text: &str, address: Multiaddr) -> Result<Self, NewError> {
        let fault = |reason: &str| NewError::Address { address: text.into(), reason: reason.into() };
        let peer = address.iter().find_map(|part| if let Protocol::P2p(peer) = part { Some(peer) } else { None });
        if matches!(address.iter().next(), Some(Protocol::P2p(_))) {
            return Err(fault("APIAddr only includes a Peer ID"));
        }
        let name = peer.map_or_else(|| "dnsaddr".into(), |peer| peer.to_string());
        let target = Target::Libp2p(address);
        Ok(Self { target, base: format!("http://{name}"), shown: format!("libp2p://{name}") })
    }

    fn tcp(target: &str, https: bool) -> Self {
        let scheme = if https { "https" } else { "http" };
        let base = format!("{scheme}://{target}");
        Self { target: Target::Tcp(target.into()), shown: base.clone(), base }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_many_forms() {
        let base = |text: &str| Host::parse(text, false).unwrap().base;
        assert_eq!(base("/ip4/127.0.0.1/tcp/9094"), "http://127.0.0.1:9094");
        assert_eq!(base("/ip6/::1/tcp/9094"), "http://[::1]:9094");
        assert_eq!(base("/dns4/example.org/tcp/443/https"), "https://example.org:443");
        assert_eq!(base("https://example.org"), "https://example.org:443");
        assert_eq!(Host::parse("/ip4/1.2.3.4/tcp/1", true).unwrap().base, "https://1.2.3.4:1");
        assert_eq!(Host::parse("/unix/a/b", true).unwrap().target, Target::Unix("/a/b".into()));
    }

    #[test]
    fn others_are_refused_by_name() {
        let why = |text: &str| Host::parse(text, false).unwrap_err().to_string();
        assert_eq!(why("abc"), "failed to parse multiaddr \"abc\": must begin with /");
        assert!(why("/ip4/1.2.3.4/udp/1").contains("no host with a TCP port"));
        let peer = "/ip4/1.2.3.4/tcp/1/p2p/12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8";
        let host = Host::parse(peer, true).unwrap();
        assert_eq!(host.target, Target::Libp2p(peer.parse().unwrap()));
        assert_eq!(host.base, "http://12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8");
        assert_eq!(Host::parse("/dnsaddr/example.org", false).unwrap().base, "http://dnsaddr");
        assert!(why(&peer[peer.find("/p2p").unwrap()..]).contains("only includes a Peer ID"));
    }
}
