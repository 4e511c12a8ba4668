//! Notices neighbours whose gossip fell silent: a connection can lose gossip for good without any event.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libp2p::PeerId;

/// A neighbour that says nothing for this many heartbeats is connected to anew.
const SILENT_HEARTBEATS: u32 = 3;

/// How often the patience with a peer that stays silent doubles: a quiet peer is not a deaf connection.
const PATIENCE_MAX: u32 = 5;

/// How many peers' patience is remembered.
const PEERS_MAX: usize = 4096;

/// When each subscribed neighbour was last heard.
#[derive(Debug)]
pub struct Watch {
    silence: Duration,
    heard: BTreeMap<PeerId, Instant>,
    /// How often each was found silent since it was last heard.
    strikes: BTreeMap<PeerId, u32>,
}

impl Watch {
    /// Watches with this heartbeat.
    #[must_use]
    pub fn new(heartbeat: Duration) -> Self {
        Self { silence: heartbeat * SILENT_HEARTBEATS, heard: BTreeMap::new(), strikes: BTreeMap::new() }
    }

    /// Begins to watch a neighbour that subscribed.
    pub fn subscribed(&mut self, peer: PeerId, now: Instant) {
        self.heard.insert(peer, now);
    }

    /// A message of `peer`, or through it, arrived.
    pub fn heard(&mut self, peer: PeerId, now: Instant) {
        if let Some(at) = self.heard.get_mut(&peer) {
            *at = now;
            self.strikes.remove(&peer);
        }
    }

    /// The neighbour disconnected.
    pub fn gone(&mut self, peer: PeerId) {
        self.heard.remove(&peer);
    }

    /// Returns the neighbours that are silent for too long, and stops watching them.
    pub fn silent(&mut self, now: Instant) -> Vec<PeerId> {
        let (silence, strikes) = (self.silence, &self.strikes);
        let late = |(peer, at): &(&PeerId, &Instant)| {
            let patience = silence * (1 << strikes.get(peer).copied().unwrap_or_default().min(PATIENCE_MAX));
            now.saturating_duration_since(**at) > patience
        };
        let silent: Vec<_> = self.heard.iter().filter(late).map(|(peer, _)| *peer).collect();
        for peer in &silent {
            self.heard.remove(peer);
            if self.strikes.contains_key(peer) || self.strikes.len() < PEERS_MAX {
                *self.strikes.entry(*peer).or_default() += 1;
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task;

    const BEAT: Duration = Duration::from_secs(10);

    #[test]
    fn a_neighbour_silent_for_three_heartbeats_is_named_once() {
        let (mut watch, start, peer) = (Watch::new(BEAT), task::now(), PeerId::random());
        watch.subscribed(peer, start);
        watch.heard(peer, start + BEAT);
        assert!(watch.silent(start + BEAT * 4).is_empty());
        assert_eq!(watch.silent(start + BEAT * 4 + BEAT / 2), [peer]);
        assert!(watch.silent(start + BEAT * 9).is_empty());
    }

    #[test]
    fn a_peer_that_stays_silent_is_left_alone_longer_and_longer() {
        let (mut watch, mut now, peer) = (Watch::new(BEAT), task::now(), PeerId::random());
        watch.subscribed(peer, now);
        now += BEAT * 4;
        assert_eq!(watch.silent(now), [peer]);
        watch.subscribed(peer, now);
        assert!(watch.silent(now + BEAT * 6).is_empty());
        now += BEAT * 7;
        assert_eq!(watch.silent(now), [peer]);
        watch.subscribed(peer, now);
        watch.heard(peer, now);
        assert_eq!(watch.silent(now + BEAT * 4), [peer]);
    }

    #[test]
    fn a_peer_that_is_not_subscribed_is_not_watched() {
        let (mut watch, now, peer) = (Watch::new(BEAT), task::now(), PeerId::random());
        watch.heard(peer, now);
        watch.subscribed(peer, now);
        watch.gone(peer);
        assert!(watch.silent(now + BEAT * 9).is_empty());
    }
}
