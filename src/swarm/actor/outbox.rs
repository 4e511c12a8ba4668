//! Comings and goings that wait for room in the event queue; only the latest of a peer counts.
use std::collections::BTreeSet;

use libp2p::PeerId;

use crate::swarm::event::Event;

/// What the owner has been told, and what is true.
#[derive(Debug, Default)]
pub struct Outbox {
    told: BTreeSet<PeerId>,
    connected: BTreeSet<PeerId>,
    news: BTreeSet<PeerId>,
}

impl Outbox {
    /// Notes whether `peer` is connected.
    pub fn set(&mut self, peer: PeerId, connected: bool) {
        if connected {
            self.connected.insert(peer);
        } else {
            self.connected.remove(&peer);
        }
        if self.told.contains(&peer) == connected {
            self.news.remove(&peer);
        } else {
            self.news.insert(peer);
        }
    }

    /// Returns whether `peer` is connected.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        self.connected.contains(peer)
    }

    /// The connected peers.
    pub fn connected(&self) -> &BTreeSet<PeerId> {
        &self.connected
    }

    /// Returns whether the owner is to be told something.
    pub fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Takes the next event to tell.
    pub fn take(&mut self) -> Option<Event> {
        let peer = self.news.pop_first()?;
        if self.connected.contains(&peer) {
            self.told.insert(peer);
            Some(Event::Connected(peer))
        } else {
            self.told.remove(&peer);
            Some(Event::Disconnected(peer))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_before_it_is_told_is_not_told() {
        let (mut outbox, peer) = (Outbox::default(), PeerId::random());
        outbox.set(peer, true);
        outbox.set(peer, false);
        assert!(!outbox.has_news());
        outbox.set(peer, true);
        assert!(matches!(outbox.take(), Some(Event::Connected(_))));
        outbox.set(peer, false);
        assert!(matches!(outbox.take(), Some(Event::Disconnected(_))));
        assert!(outbox.take().is_none());
    }
}
