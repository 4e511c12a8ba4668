//! How many new starts of a peer are forwarded: each start that writes costs every peer a row of its clock, for ever.
//!
//! What is not forwarded is not lost: every peer takes all starts by sync, so all end equal.
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::model::PeerId;

/// New starts of one peer that are forwarded in [`PERIOD`].
const STARTS_MAX: usize = 4;

const PERIOD: Duration = Duration::from_hours(1);

/// Peers that are remembered; the one that was quiet for longest goes first.
const PEERS_MAX: usize = 4096;

/// The starts whose changes were forwarded, the latest of each peer.
#[derive(Debug, Default)]
pub struct Starts(BTreeMap<PeerId, Seen>);

#[derive(Debug, Default)]
struct Seen {
    starts: VecDeque<([u8; 8], Duration)>,
    last: Duration,
}

impl Starts {
    /// Returns whether changes of `start` are forwarded at `now`, on a clock that never goes back.
    pub fn forwards(&mut self, peer: PeerId, start: [u8; 8], now: Duration) -> bool {
        if self.0.len() >= PEERS_MAX && !self.0.contains_key(&peer) {
            self.forget_one();
        }
        let seen = self.0.entry(peer).or_default();
        seen.last = now;
        if seen.starts.iter().any(|(known, _)| *known == start) {
            return true;
        }
        let is_free = seen.starts.len() < STARTS_MAX || seen.starts.front().is_some_and(|(_, at)| *at + PERIOD <= now);
        if is_free {
            seen.starts.push_back((start, now));
        }
        if seen.starts.len() > STARTS_MAX {
            seen.starts.pop_front();
        }
        is_free
    }

    fn forget_one(&mut self) {
        if let Some(peer) = self.0.iter().min_by_key(|(_, seen)| seen.last).map(|(peer, _)| *peer) {
            self.0.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(n: u8) -> [u8; 8] {
        [n; 8]
    }

    #[test]
    fn four_new_starts_of_a_peer_are_forwarded_in_an_hour_and_known_ones_always() {
        let (mut starts, peer, minute) = (Starts::default(), PeerId::random(), Duration::from_mins(1));
        for n in 0..4 {
            assert!(starts.forwards(peer, start(n), minute * u32::from(n)));
        }
        assert!(!starts.forwards(peer, start(4), minute * 59));
        assert!(starts.forwards(peer, start(0), minute * 59), "a start that is known goes on");
        assert!(starts.forwards(PeerId::random(), start(4), minute * 59), "another peer has its own");
        assert!(starts.forwards(peer, start(4), minute * 60), "an hour after the first");
        assert!(!starts.forwards(peer, start(5), minute * 60), "one a place");
        assert!(starts.forwards(peer, start(5), minute * 61));
    }

    #[test]
    fn any_number_of_peers_takes_bounded_memory() {
        let mut starts = Starts::default();
        for n in 0..u32::try_from(PEERS_MAX).unwrap() + 10 {
            assert!(starts.forwards(PeerId::random(), start(1), Duration::from_secs(n.into())));
        }
        assert_eq!(starts.0.len(), PEERS_MAX);
    }
}
