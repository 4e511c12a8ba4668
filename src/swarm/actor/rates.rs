//! How much one peer may say.
use std::collections::BTreeMap;
use std::time::Instant;

use libp2p::PeerId;

/// Messages a second of one author or relay that are handed on.
const MESSAGES_RATE: f64 = 1000.0;

/// Bytes a second of one author or relay that are handed on.
const BYTES_RATE: f64 = 4.0 * 1024.0 * 1024.0;

/// Seconds of silence that a peer may save up for a burst: a group commit sends its changes at once.
const BURST_SECONDS: f64 = 2.0;

/// How many peers are metered; a new one past that has to wait until others are quiet.
const PEERS_MAX: usize = 4096;

/// A token bucket a peer.
#[derive(Debug, Default)]
pub struct Rates {
    buckets: BTreeMap<PeerId, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    messages: f64,
    bytes: f64,
    at: Instant,
}

impl Bucket {
    fn full(at: Instant) -> Self {
        Self { messages: MESSAGES_RATE * BURST_SECONDS, bytes: BYTES_RATE * BURST_SECONDS, at }
    }

    fn fill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.messages = (self.messages + seconds * MESSAGES_RATE).min(MESSAGES_RATE * BURST_SECONDS);
        self.bytes = (self.bytes + seconds * BYTES_RATE).min(BYTES_RATE * BURST_SECONDS);
        self.at = now;
    }

    fn is_full(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at).as_secs_f64() >= BURST_SECONDS
    }
}

impl Rates {
    /// Returns whether `peer` may say another message of `len` bytes, and counts it.
    pub fn admit(&mut self, peer: PeerId, len: usize, now: Instant) -> bool {
        if !self.buckets.contains_key(&peer) && self.buckets.len() >= PEERS_MAX {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            if self.buckets.len() >= PEERS_MAX {
                return false;
            }
        }
        let bucket = self.buckets.entry(peer).or_insert_with(|| Bucket::full(now));
        bucket.fill(now);
        let len = f64::from(u32::try_from(len).unwrap_or(u32::MAX));
        if bucket.messages < 1.0 || bucket.bytes < len {
            return false;
        }
        bucket.messages -= 1.0;
        bucket.bytes -= len;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::task;

    fn admitted(rates: &mut Rates, peer: PeerId, count: usize, len: usize, now: Instant) -> usize {
        (0..count).filter(|_| rates.admit(peer, len, now)).count()
    }

    #[test]
    fn a_peer_above_its_rate_waits_and_others_do_not() {
        let (mut rates, now, loud) = (Rates::default(), task::now(), PeerId::random());
        assert_eq!(admitted(&mut rates, loud, 5000, 10, now), 2000);
        assert_eq!(admitted(&mut rates, PeerId::random(), 10, 10, now), 10);
        assert_eq!(admitted(&mut rates, loud, 5000, 10, now + Duration::from_secs(1)), 1000);
    }

    #[test]
    fn bytes_count_too() {
        let (mut rates, now, loud) = (Rates::default(), task::now(), PeerId::random());
        assert_eq!(admitted(&mut rates, loud, 100, 1 << 20, now), 8);
    }

    #[test]
    fn the_number_of_metered_peers_is_bounded() {
        let (mut rates, now) = (Rates::default(), task::now());
        for _ in 0..PEERS_MAX {
            assert!(rates.admit(PeerId::random(), 1, now));
        }
        assert!(!rates.admit(PeerId::random(), 1, now));
        assert!(rates.admit(PeerId::random(), 1, now + Duration::from_secs(3)));
        assert!(rates.buckets.len() < 10);
    }
}
