//! How far the clocks of others are off, as their pings tell.
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::model::{Metric, PeerId, UnixMillis};

/// A ping carries no moment, but the end of its life, which its sender makes two of its intervals after he sent it.
const PING_LIVES: i64 = 2;
/// Pings that the interval of a peer is told from: of so many, half may be late, lost or sent between.
const PINGS_MAX: usize = 9;
/// Fewer say nothing: a neighbour that is new tells its last ping again, which may be as old as its interval.
const PINGS_MIN: usize = 5;
/// Of the latest pings the fastest counts: the others were held up on their way.
const LATEST: usize = 4;
/// Clocks that differ by more make metrics expire too early.
const SKEW_MAX_MILLIS: u64 = 5_000;
/// Peers whose pings are kept: a hostile member may send under many identities.
const PEERS_MAX: usize = 4_096;
/// A peer that was silent for so long is forgotten.
const GONE_AFTER: Duration = Duration::from_hours(1);

/// The pings of the others, and what they say of their clocks. It needs nobody's settings, and no clock that is right.
#[derive(Clone, Debug, Default)]
pub struct Clocks {
    peers: BTreeMap<PeerId, Pings>,
}

/// The end of the life of each, by its sender's clock, and when it came, by ours; in nanoseconds.
#[derive(Clone, Debug, Default)]
struct Pings {
    heard: VecDeque<(i64, i64)>,
    is_off: bool,
}

impl Clocks {
    /// Takes a ping that came at `now`; one that is told again counts when it was heard first.
    pub fn hear(&mut self, ping: &Metric, now: UnixMillis) {
        let known = self.peers.contains_key(&ping.peer);
        if !known && self.peers.len() >= PEERS_MAX {
            return;
        }
        let heard = &mut self.peers.entry(ping.peer).or_default().heard;
        if heard.iter().any(|(expires, _)| *expires == ping.expire_nanos) {
            return;
        }
        heard.push_back((ping.expire_nanos, now.nanos()));
        if heard.len() > PINGS_MAX {
            heard.pop_front();
        }
    }

    /// Returns by how many milliseconds each peer's clock is ahead of ours, of those that told enough, by peer.
    #[must_use]
    pub fn skews(&self) -> Vec<(PeerId, i64)> {
        self.peers.iter().filter_map(|(peer, pings)| Some((*peer, pings.skew_millis()?))).collect()
    }

    /// Forgets who is silent at `now`; returns the peers whose clocks are off by more than 5 s since the last time with
    /// by how many milliseconds they are ahead, and those that are right again with [`None`].
    pub fn check(&mut self, now: UnixMillis) -> Vec<(PeerId, Option<i64>)> {
        let is_heard = |pings: &Pings| {
            let last = pings.heard.back().map_or(i64::MIN, |(_, came)| *came);
            now < UnixMillis(last / 1_000_000).plus(GONE_AFTER)
        };
        self.peers.retain(|_, pings| is_heard(pings));
        self.peers.iter_mut().filter_map(|(peer, pings)| pings.turn(*peer)).collect()
    }
}

impl Pings {
    fn skew_millis(&self) -> Option<i64> {
        if self.heard.len() < PINGS_MIN {
            return None;
        }
        let left = self.heard.iter().rev().take(LATEST).map(|(expires, came)| expires.saturating_sub(*came)).max()?;
        Some(left.saturating_sub(self.interval().saturating_mul(PING_LIVES)) / 1_000_000)
    }

    /// The median of what lies between two pings.
    fn interval(&self) -> i64 {
        let pairs = self.heard.iter().zip(self.heard.iter().skip(1));
        let mut gaps: Vec<i64> = pairs.map(|((one, _), (next, _))| next.saturating_sub(*one)).collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied().unwrap_or_default()
    }

    /// What is new of the clock of `peer`.
    fn turn(&mut self, peer: PeerId) -> Option<(PeerId, Option<i64>)> {
        let skew = self.skew_millis()?;
        let is_off = skew.unsigned_abs() > SKEW_MAX_MILLIS;
        let was_off = std::mem::replace(&mut self.is_off, is_off);
        (is_off != was_off).then_some((peer, Some(skew).filter(|_| is_off)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::testing::{at, metric, peer};

    /// A ping each `interval` seconds, by a clock that is `ahead`, the last of them at `until`.
    fn pings(clocks: &mut Clocks, n: u8, (interval, ahead): (i64, i64), seconds: std::ops::RangeInclusive<i64>) {
        for now in seconds.filter(|now| now % interval == 0) {
            clocks.hear(&metric("ping", peer(n), "", now + ahead + 2 * interval), at(now));
        }
    }

    #[test]
    fn clocks_are_compared_whatever_the_interval_of_their_pings() {
        let mut clocks = Clocks::default();
        pings(&mut clocks, 1, (15, 0), 0..=60);
        pings(&mut clocks, 2, (2, -90), 0..=60);
        pings(&mut clocks, 3, (15, 86_400 * 365), 0..=60);
        pings(&mut clocks, 4, (30, -7_200), 0..=120);
        let mut expected = [(peer(1), 0), (peer(2), -90_000), (peer(3), 31_536_000_000), (peer(4), -7_200_000)];
        expected.sort();
        assert_eq!(clocks.skews(), expected);
    }

    #[test]
    fn too_few_pings_say_nothing_and_one_that_is_told_again_is_one() {
        let mut clocks = Clocks::default();
        pings(&mut clocks, 1, (15, 60), 0..=45);
        assert!(clocks.skews().is_empty());
        for later in 46..59 {
            clocks.hear(&metric("ping", peer(1), "", 45 + 60 + 30), at(later));
        }
        assert!(clocks.skews().is_empty());
        pings(&mut clocks, 1, (15, 60), 60..=60);
        assert_eq!(clocks.skews(), [(peer(1), 60_000)]);
    }

    #[test]
    fn pings_that_are_late_lost_or_sent_between_change_nothing() {
        let mut clocks = Clocks::default();
        let mut hear = |sent: i64, came: i64| clocks.hear(&metric("ping", peer(1), "", sent + 30), at(came));
        for (sent, came) in [(0, 12), (1, 12), (15, 15), (30, 30), (75, 75), (90, 99), (105, 113), (120, 120)] {
            hear(sent, came);
        }
        assert_eq!(clocks.skews(), [(peer(1), 0)]);
    }

    #[test]
    fn a_clock_that_is_off_is_told_once_and_again_when_it_is_right() {
        let mut clocks = Clocks::default();
        pings(&mut clocks, 1, (15, -6), 0..=60);
        pings(&mut clocks, 2, (15, 5), 0..=60);
        assert_eq!(clocks.check(at(60)), [(peer(1), Some(-6_000))]);
        assert!(clocks.check(at(61)).is_empty());
        pings(&mut clocks, 1, (15, 0), 75..=120);
        assert_eq!(clocks.check(at(120)), [(peer(1), None)]);
        assert!(clocks.check(at(121)).is_empty());
        pings(&mut clocks, 1, (15, 3_600), 135..=255);
        assert_eq!(clocks.check(at(255)), [(peer(1), Some(3_600_000))]);
    }

    #[test]
    fn who_is_silent_is_forgotten_and_nobody_can_fill_the_memory() {
        let mut clocks = Clocks::default();
        pings(&mut clocks, 1, (15, -86_400 * 9), 0..=60);
        clocks.check(at(60 + 3_599));
        assert_eq!(clocks.skews().len(), 1);
        clocks.check(at(60 + 3_600));
        assert!(clocks.peers.is_empty());
        for n in 0..=PEERS_MAX {
            clocks.hear(&metric("ping", PeerId::random(), "", 30), at(i64::try_from(n).unwrap()));
        }
        for n in 0..100 {
            let known = *clocks.peers.keys().next().unwrap();
            clocks.hear(&metric("ping", known, "", n), at(9_000));
        }
        assert_eq!(clocks.peers.len(), PEERS_MAX);
        assert!(clocks.peers.values().all(|pings| pings.heard.len() <= PINGS_MAX));
    }

    #[test]
    fn no_moment_that_a_stranger_names_breaks_anything() {
        let mut clocks = Clocks::default();
        for n in 0..20 {
            let expire_nanos = if n % 2 == 0 { i64::MAX - n } else { i64::MIN + n };
            clocks.hear(&Metric { expire_nanos, ..metric("ping", peer(1), "", 0) }, at(n));
        }
        assert_eq!(clocks.skews().len(), 1);
        assert!(clocks.check(at(20))[0].1.is_some());
    }
}
