//! Recent metrics of each peer, and when they expire.
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::allocate::{Candidate, Unfit};
use super::balance::Score;
use crate::model::{Metric, PeerId, UnixMillis};

/// Metrics kept of each name of each peer: the newest counts, the others show how it moved.
const RING_MAX: usize = 25;
/// Peers whose metrics are kept: a hostile member may send under many identities.
const PEERS_MAX: usize = 4_096;
/// Names kept of one peer: the informers have a handful, tags some more.
const NAMES_MAX: usize = 64;
/// Bytes of names and values kept of one peer; 25 pings with every address of a large host are about half of it.
const PEER_BYTES_MAX: usize = 64 * 1024;
/// A peer is forgotten when its last metric expired this long ago.
const GONE_AFTER: Duration = Duration::from_hours(1);
/// A peer that is silent for this long does not count any more, whatever expiry it promised.
const LIFE_MAX: Duration = Duration::from_hours(24);
/// The metric of free space; it is void when there is none.
const FREE: &str = "freespace";

/// The metrics that peers sent lately.
///
/// Nothing here trusts a sender: who sends a metric under another's name has to be refused before [`Window::insert`].
#[derive(Clone, Debug, Default)]
pub struct Window {
    peers: BTreeMap<PeerId, Peer>,
}

impl Window {
    /// Takes a metric that arrived at `now`; returns whether it was kept.
    ///
    /// It is not kept when a bound is reached: too many peers, too many names of one peer, or too many bytes.
    pub fn insert(&mut self, mut metric: Metric, now: UnixMillis) -> bool {
        metric.received_nanos = now.nanos();
        metric.expire_nanos = metric.expire_nanos.min(now.plus(LIFE_MAX).nanos());
        if !self.peers.contains_key(&metric.peer) && self.peers.len() >= PEERS_MAX {
            self.evict(now);
            if self.peers.len() >= PEERS_MAX {
                return false;
            }
        }
        let peer = metric.peer;
        let kept = self.peers.entry(peer).or_default().insert(metric);
        if self.peers.get(&peer).is_some_and(|of| of.rings.is_empty()) {
            self.peers.remove(&peer);
        }
        kept
    }

    /// Forgets the peers whose last metric expired more than an hour ago.
    pub fn evict(&mut self, now: UnixMillis) {
        self.peers.retain(|_, peer| now < UnixMillis(peer.expiry_nanos() / 1_000_000).plus(GONE_AFTER));
    }

    /// Returns the newest metric `name` of each peer where it is valid and not expired, by the bytes of the peer ID.
    #[must_use]
    pub fn latest(&self, name: &str, now: UnixMillis) -> Vec<Metric> {
        self.newest_of_all().filter(|metric| metric.name == name && metric.is_live(now)).cloned().collect()
    }

    /// Returns the newest metric `name` of `peer`, expired or not.
    #[must_use]
    pub fn newest(&self, name: &str, peer: &PeerId) -> Option<&Metric> {
        self.peers.get(peer)?.rings.get(name)?.back()
    }

    /// Returns when each peer was last to be counted on: until its newest metric `name` expires, or when that arrived.
    ///
    /// A peer whose clock is behind tells metrics that have expired; it speaks all the same.
    #[must_use]
    pub fn lives(&self, name: &str) -> Vec<(PeerId, UnixMillis)> {
        let newest = self.newest_of_all().filter(|metric| metric.name == name);
        let expiry = |metric: &Metric| if metric.valid { metric.expire_nanos } else { i64::MIN };
        let until = |metric: &Metric| expiry(metric).max(metric.received_nanos);
        newest.map(|metric| (metric.peer, UnixMillis(until(metric) / 1_000_000))).collect()
    }

    /// Returns the newest metric `name` of each peer, live or not.
    pub fn newest_named(&self, name: &str) -> impl Iterator<Item = &Metric> {
        self.peers.values().filter_map(move |peer| peer.newest(name))
    }

    /// Returns the names of the metrics that are kept, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let names: BTreeSet<&String> = self.peers.values().flat_map(|peer| peer.rings.keys()).collect();
        names.into_iter().cloned().collect()
    }

    /// Returns the peerset: the peers with a live metric `name`, and `own`, by the bytes of the peer ID.
    #[must_use]
    pub fn peerset(&self, name: &str, own: PeerId, now: UnixMillis) -> Vec<PeerId> {
        let mut peers = self.telling(name, now);
        peers.insert(own);
        peers.into_iter().collect()
    }

    /// Returns the peers with a live metric `name`.
    #[must_use]
    pub fn telling(&self, name: &str, now: UnixMillis) -> BTreeSet<PeerId> {
        let live = |peer: &Peer| peer.newest(name).is_some_and(|metric| metric.is_live(now));
        self.peers.iter().filter(|(_, peer)| live(peer)).map(|(id, _)| *id).collect()
    }

    /// Returns every known peer as a candidate for allocations, by the bytes of the peer ID.
    ///
    /// A peer needs all metrics of `names`, which are the levels that it is scored by.
    #[must_use]
    pub fn candidates(&self, names: &[&str], now: UnixMillis) -> Vec<Candidate> {
        self.peers.iter().map(|(id, peer)| peer.candidate(*id, names, |metric| metric.is_live(now))).collect()
    }

    /// As [`Window::candidates`], but that a peer whose free space is told as void has none: its repository is full.
    #[must_use]
    pub fn candidates_or_full(&self, names: &[&str], now: UnixMillis) -> Vec<Candidate> {
        let is_full = |metric: &Metric| metric.name == FREE && !metric.valid && now.nanos() <= metric.expire_nanos;
        let counts = |metric: &Metric| metric.is_live(now) || is_full(metric);
        self.peers.iter().map(|(id, peer)| peer.candidate(*id, names, counts)).collect()
    }

    /// The newest metric of each name of each peer, by peer and name.
    pub(super) fn newest_of_all(&self) -> impl Iterator<Item = &Metric> {
        self.peers.values().flat_map(|peer| peer.rings.values().filter_map(VecDeque::back))
    }
}

/// What is kept of one peer.
#[derive(Clone, Debug, Default)]
struct Peer {
    /// By name, oldest first; no ring is empty.
    rings: BTreeMap<String, VecDeque<Metric>>,
    bytes: usize,
}

impl Peer {
    fn insert(&mut self, metric: Metric) -> bool {
        let size = size(&metric);
        let known = self.rings.contains_key(&metric.name);
        if size > PEER_BYTES_MAX || (!known && self.rings.len() >= NAMES_MAX) {
            return false;
        }
        let ring = self.rings.entry(metric.name.clone()).or_default();
        while ring.len() >= RING_MAX || self.bytes + size > PEER_BYTES_MAX {
            match ring.pop_front() {
                Some(old) => self.bytes -= self::size(&old),
                None => break,
            }
        }
        let fits = self.bytes + size <= PEER_BYTES_MAX;
        if fits {
            self.bytes += size;
            ring.push_back(metric);
        } else {
            self.rings.remove(&metric.name);
        }
        fits
    }

    fn newest(&self, name: &str) -> Option<&Metric> {
        self.rings.get(name)?.back()
    }

    fn expiry_nanos(&self) -> i64 {
        self.rings.values().filter_map(VecDeque::back).map(|metric| metric.expire_nanos).max().unwrap_or(i64::MIN)
    }

    fn candidate(&self, id: PeerId, names: &[&str], counts: impl Fn(&Metric) -> bool) -> Candidate {
        let live = |name: &&str| self.newest(name).filter(|metric| counts(metric));
        let score = |metric: &Metric| Score {
            value: metric.value.clone(),
            weight: if metric.valid { metric.weight } else { 0 },
            partitionable: metric.partitionable,
        };
        let scores: Result<Vec<Score>, _> =
            names.iter().map(|name| live(name).map(score).ok_or_else(|| Unfit::NoMetric((*name).to_owned()))).collect();
        scores.map_or_else(|missing| Candidate::unfit(id, missing), |scores| Candidate::of(id, scores))
    }
}

fn size(metric: &Metric) -> usize {
    metric.name.len() + metric.value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::testing::{at, metric, peer};

    #[test]
    fn the_newest_metric_counts_until_it_expires() {
        let mut window = Window::default();
        assert!(window.insert(metric("ping", peer(1), "old", 30), at(0)));
        assert!(window.insert(metric("ping", peer(1), "new", 40), at(10)));
        let values = |now| window.latest("ping", at(now)).into_iter().map(|m| m.value).collect::<Vec<_>>();
        assert_eq!(values(40), ["new"]);
        assert!(values(41).is_empty());
        assert_eq!(window.newest("ping", &peer(1)).unwrap().value, "new");
        assert_eq!(window.latest("ping", at(10))[0].received_nanos, at(10).nanos());
    }

    #[test]
    fn an_invalid_metric_takes_its_sender_off_the_list() {
        let mut window = Window::default();
        window.insert(metric("freespace", peer(1), "1", 30), at(0));
        window.insert(Metric { valid: false, ..metric("freespace", peer(1), "", 60) }, at(1));
        assert!(window.latest("freespace", at(2)).is_empty());
    }

    #[test]
    fn lists_are_in_the_order_of_the_bytes_of_peer_ids() {
        let mut window = Window::default();
        for n in [7, 3, 9, 1] {
            window.insert(metric("ping", peer(n), "", 30), at(0));
        }
        let listed: Vec<Vec<u8>> = window.latest("ping", at(0)).iter().map(|m| m.peer.to_bytes()).collect();
        let mut sorted = listed.clone();
        sorted.sort();
        assert_eq!(listed, sorted);
        assert_eq!(listed.len(), 4);
    }

    #[test]
    fn the_peerset_is_the_live_pings_and_oneself() {
        let mut window = Window::default();
        window.insert(metric("ping", peer(1), "", 30), at(0));
        window.insert(metric("ping", peer(2), "", 60), at(0));
        window.insert(metric("freespace", peer(3), "", 60), at(0));
        let mut expected = vec![peer(2), peer(9)];
        expected.sort();
        assert_eq!(window.peerset("ping", peer(9), at(45)), expected);
        assert_eq!(window.peerset("ping", peer(9), at(100)), [peer(9)]);
    }

    #[test]
    fn names_stay_while_their_peer_does_and_peers_go_an_hour_after_their_last_metric() {
        let mut window = Window::default();
        window.insert(metric("ping", peer(1), "", 30), at(0));
        window.insert(metric("tag:group", peer(1), "eu", 10), at(0));
        assert_eq!(window.names(), ["ping", "tag:group"]);
        window.evict(at(30 + 3599));
        assert_eq!(window.names(), ["ping", "tag:group"]);
        window.evict(at(30 + 3600));
        assert!(window.names().is_empty());
    }

    #[test]
    fn a_promise_to_live_for_ever_ends_after_a_day() {
        let mut window = Window::default();
        window.insert(Metric { expire_nanos: i64::MAX, ..metric("ping", peer(1), "", 0) }, at(0));
        assert_eq!(window.latest("ping", at(86_400)).len(), 1);
        assert!(window.latest("ping", at(86_401)).is_empty());
        window.evict(at(86_400 + 3_600));
        assert!(window.names().is_empty());
    }

    #[test]
    fn every_bound_holds() {
        let mut window = Window::default();
        for n in 0..200 {
            window.insert(metric("ping", peer(1), &"v".repeat(5_000), n), at(0));
            window.insert(metric(&format!("tag:{n}"), peer(1), "", 30), at(0));
        }
        let of = &window.peers[&peer(1)];
        assert_eq!(of.rings.len(), NAMES_MAX);
        assert!(of.bytes <= PEER_BYTES_MAX && of.rings["ping"].len() <= RING_MAX);
        assert_eq!(of.bytes, of.rings.values().flatten().map(size).sum::<usize>());
        assert!(!window.insert(metric("ping", peer(2), &"v".repeat(PEER_BYTES_MAX), 9), at(0)));
        assert_eq!(window.peers.len(), 1);
    }

    #[test]
    fn a_new_peer_is_refused_when_all_places_are_taken_until_somebody_is_gone() {
        let mut window = Window::default();
        let first = peer(1);
        window.insert(metric("ping", first, "", 10), at(0));
        while window.peers.len() < PEERS_MAX {
            window.insert(metric("ping", PeerId::random(), "", 86_400), at(0));
        }
        assert!(!window.insert(metric("ping", peer(2), "", 9_000), at(0)));
        assert!(window.insert(metric("ping", first, "", 20), at(1)));
        assert!(window.insert(metric("ping", peer(2), "", 9_000), at(20 + 3_600)));
    }

    #[test]
    fn a_peer_that_is_full_is_no_candidate_and_has_no_space() {
        let mut window = Window::default();
        window.insert(Metric { valid: false, ..metric("freespace", peer(1), "", 30) }, at(0));
        let none = Score { value: String::new(), weight: 0, partitionable: false };
        assert_eq!(window.candidates_or_full(&["freespace"], at(30)), [Candidate::of(peer(1), vec![none])]);
        let unfit = [Candidate::unfit(peer(1), Unfit::NoMetric("freespace".into()))];
        assert_eq!(window.candidates(&["freespace"], at(30)), unfit);
        assert_eq!(window.candidates_or_full(&["freespace"], at(31)), unfit);
        window.insert(Metric { valid: false, ..metric("reposize", peer(1), "", 30) }, at(0));
        let unfit = [Candidate::unfit(peer(1), Unfit::NoMetric("reposize".into()))];
        assert_eq!(window.candidates_or_full(&["reposize"], at(0)), unfit);
    }

    #[test]
    fn a_candidate_has_every_metric_as_its_scores() {
        let mut window = Window::default();
        window.insert(Metric { partitionable: true, ..metric("tag:group", peer(1), "eu", 30) }, at(0));
        window.insert(Metric { weight: 7, ..metric("freespace", peer(1), "7", 30) }, at(0));
        window.insert(Metric { weight: 9, ..metric("freespace", peer(2), "9", 30) }, at(0));
        let found = window.candidates(&["tag:group", "freespace"], at(1));
        let score = |value: &str, weight, partitionable| Score { value: value.into(), weight, partitionable };
        assert!(found.contains(&Candidate::of(peer(1), vec![score("eu", 0, true), score("7", 7, false)])));
        assert!(found.contains(&Candidate::unfit(peer(2), Unfit::NoMetric("tag:group".into()))));
    }
}
