//! The addresses we know of peers; dials of a peer ask it.
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    dummy,
};
use libp2p::{Multiaddr, PeerId};

use super::transport::{is_supported, peer_of, without_peer};

/// How many peers are known; the one not heard of for longest makes room.
const PEERS_MAX: usize = 1024;

/// How many addresses of one peer are known, the newest: it has a few interfaces, and may have moved.
const ADDRESSES_MAX: usize = 16;

#[derive(Debug, Default)]
struct Entry {
    /// The newest first.
    addresses: Vec<Multiaddr>,
    touched: u64,
}

#[derive(Debug, Default)]
struct Pages {
    peers: BTreeMap<PeerId, Entry>,
    clock: u64,
}

/// A shared address book.
#[derive(Clone, Debug, Default)]
pub struct Book(Arc<Mutex<Pages>>);

impl Book {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an address of `peer`; returns whether it is one that can be dialled.
    pub fn add(&self, peer: PeerId, address: &Multiaddr) -> bool {
        let names_other = peer_of(address).is_some_and(|other| other != peer);
        if names_other || !is_supported(address) {
            return false;
        }
        let address = without_peer(address);
        let mut pages = self.pages();
        pages.clock += 1;
        let touched = pages.clock;
        if !pages.peers.contains_key(&peer) && pages.peers.len() >= PEERS_MAX {
            let oldest = pages.peers.iter().min_by_key(|(_, entry)| entry.touched).map(|(peer, _)| *peer);
            oldest.and_then(|oldest| pages.peers.remove(&oldest));
        }
        let entry = pages.peers.entry(peer).or_default();
        entry.touched = touched;
        if !entry.addresses.contains(&address) {
            entry.addresses.insert(0, address);
            entry.addresses.truncate(ADDRESSES_MAX);
        }
        true
    }

    /// Takes an address out: another peer lives there.
    pub fn remove(&self, peer: &PeerId, address: &Multiaddr) {
        let address = without_peer(address);
        if let Some(entry) = self.pages().peers.get_mut(peer) {
            entry.addresses.retain(|known| *known != address);
        }
    }

    /// Returns the addresses of `peer`, the newest first, without its ID.
    #[must_use]
    pub fn of(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.pages().peers.get(peer).map(|entry| entry.addresses.clone()).unwrap_or_default()
    }
}

/// Gives dials of a peer the addresses of a [`Book`].
pub struct Behaviour {
    book: Book,
}

impl Behaviour {
    /// Reads `book`.
    #[must_use]
    pub fn new(book: Book) -> Self {
        Self { book }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        Ok(peer.map(|peer| self.book.of(&peer)).unwrap_or_default())
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: usize) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn the_newest_addresses_are_kept_first() {
        let (book, peer) = (Book::default(), PeerId::random());
        (1..=40).for_each(|port| assert!(book.add(peer, &address(port))));
        assert_eq!(book.of(&peer).len(), ADDRESSES_MAX);
        assert_eq!(book.of(&peer)[0], address(40));
        book.remove(&peer, &address(40));
        assert_eq!(book.of(&peer)[0], address(39));
    }

    #[test]
    fn addresses_of_other_peers_and_transports_are_refused() {
        let (book, peer) = (Book::default(), PeerId::random());
        assert!(!book.add(peer, &address(1).with_p2p(PeerId::random()).unwrap()));
        assert!(!book.add(peer, &"/ip4/127.0.0.1/udp/1/quic-v1".parse().unwrap()));
        assert!(book.add(peer, &address(1).with_p2p(peer).unwrap()));
        assert_eq!(book.of(&peer), [address(1)]);
    }

    #[test]
    fn the_number_of_peers_is_bounded() {
        let (book, first, second) = (Book::default(), PeerId::random(), PeerId::random());
        book.add(first, &address(1));
        book.add(second, &address(2));
        book.add(first, &address(3));
        (0..PEERS_MAX - 1).for_each(|_| assert!(book.add(PeerId::random(), &address(4))));
        assert!(book.of(&second).is_empty());
        assert_eq!(book.of(&first).len(), 2);
    }
}
