//! TCP (with DNS) -> private network -> noise -> yamux. No QUIC: it knows no private networks.
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::Either;
use libp2p::core::ConnectedPoint;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::transport::{Boxed, Transport};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::{Multiaddr, PeerId, dns, noise, tcp, yamux};

use super::args::Secret;
use super::traffic::{Counted, Tallies};

/// How long the handshake may take: with a wrong secret one side may wait for ever.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// Addresses remembered as reached: more than there are dials at once, so that only what an aborted dial left is lost.
const REACHED_MAX: usize = 4096;

/// The addresses whose TCP connection opened and whose handshake is not over: what tells a wrong secret from a dead host.
#[derive(Clone, Debug, Default)]
pub struct Reached(Arc<Mutex<BTreeSet<Multiaddr>>>);

impl Reached {
    fn note(&self, address: &Multiaddr) {
        let mut reached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reached.len() >= REACHED_MAX {
            reached.clear();
        }
        reached.insert(without_peer(address));
    }

    /// Returns whether `address` was reached, and forgets it.
    pub fn take(&self, address: &Multiaddr) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&without_peer(address))
    }
}

/// `address` without a `/p2p/..` at its end.
#[must_use]
pub fn without_peer(address: &Multiaddr) -> Multiaddr {
    let mut address = address.clone();
    if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
        address.pop();
    }
    address
}

/// The peer that `address` ends in.
#[must_use]
pub fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    let Some(Protocol::P2p(peer)) = address.iter().last() else { return None };
    Some(peer)
}

/// The IP address that a part of an address is.
#[must_use]
pub fn ip_part(part: &Protocol<'_>) -> Option<IpAddr> {
    if let Protocol::Ip4(ip) = part {
        Some((*ip).into())
    } else if let Protocol::Ip6(ip) = part {
        Some((*ip).into())
    } else {
        None
    }
}

/// Returns whether the transport can dial `address` or listen on it: TCP over IP or a name, nothing on top.
#[must_use]
pub fn is_supported(address: &Multiaddr) -> bool {
    let parts: Vec<_> = address.iter().collect();
    let (host, rest) = parts.split_first().map_or((None, &parts[..]), |(host, rest)| (Some(host), rest));
    let rest = match host {
        Some(Protocol::Dnsaddr(_)) => Some(rest),
        Some(host) if ip_part(host).is_some() || is_name(host) => after_tcp(rest),
        Some(_) | None => None,
    };
    matches!(rest, Some([] | [Protocol::P2p(_)]))
}

fn is_name(host: &Protocol<'_>) -> bool {
    matches!(host, Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_))
}

fn after_tcp<'p, 'a>(parts: &'p [Protocol<'a>]) -> Option<&'p [Protocol<'a>]> {
    let (tcp, rest) = parts.split_first()?;
    matches!(tcp, Protocol::Tcp(_)).then_some(rest)
}

/// Fails when another program listens at `address`: the transport shares ports, so that it would get half of our peers.
///
/// # Errors
/// Why it cannot be listened on.
pub fn is_free(address: &Multiaddr) -> io::Result<()> {
    let mut parts = address.iter();
    let (Some(ip), Some(Protocol::Tcp(port))) = (parts.next().and_then(|part| ip_part(&part)), parts.next()) else {
        return Ok(());
    };
    if port == 0 { Ok(()) } else { TcpListener::bind((ip, port)).map(drop) }
}

/// Builds the transport.
///
/// # Errors
/// Keys that noise cannot sign with.
pub fn build(
    keypair: &Keypair,
    secret: Option<&Secret>,
    dial_timeout: Duration,
    reached: Reached,
    traffic: Tallies,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let base = TransportTimeout::with_outgoing_timeout(with_names(tcp), dial_timeout);
    let key = secret.map(|secret| PreSharedKey::new(secret.0));
    let private = base.and_then(move |socket, point| {
        if let ConnectedPoint::Dialer { address, .. } = &point {
            reached.note(address);
        }
        async move {
            match key {
                Some(key) => PnetConfig::new(key).handshake(socket).await.map(Either::Left).map_err(io::Error::other),
                None => Ok(Either::Right(socket)),
            }
        }
    });
    Ok(private
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux::Config::default())
        .timeout(UPGRADE_TIMEOUT)
        .map(move |(peer, muxer), _| (peer, StreamMuxerBox::new(Counted::new(muxer, traffic.clone()))))
        .boxed())
}

/// Resolves names with the system's settings; without any, only addresses work.
fn with_names(tcp: tcp::tokio::Transport) -> dns::tokio::Transport<tcp::tokio::Transport> {
    if let Ok(transport) = dns::tokio::Transport::system(tcp) {
        return transport;
    }
    tracing::warn!("the system's DNS settings cannot be read: peers are reached by IP addresses alone");
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    dns::tokio::Transport::custom(
        tcp,
        dns::ResolverConfig::from_parts(None, vec![], vec![]),
        dns::ResolverOpts::default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_is_supported_and_nothing_else() {
        for good in ["/ip4/0.0.0.0/tcp/9096", "/dns4/a.example/tcp/1", "/ip6/::1/tcp/1", "/dnsaddr/a.example"] {
            assert!(is_supported(&good.parse().unwrap()), "{good}");
        }
        for bad in ["/ip4/0.0.0.0/udp/9096/quic", "/ip4/1.2.3.4/udp/1/quic-v1", "/ip4/1.2.3.4/tcp/1/ws", "/unix/a"] {
            assert!(!is_supported(&bad.parse().unwrap()), "{bad}");
        }
    }

    #[test]
    fn a_reached_address_is_told_once_with_or_without_its_peer() {
        let reached = Reached::default();
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        reached.note(&address.clone().with(Protocol::P2p(PeerId::random())));
        assert!(reached.take(&address));
        assert!(!reached.take(&address));
    }
}
