//! Go's balanced allocator: peers in an order that spreads copies over the values of their tags, best first.
//!
//! Each metric of `allocate_by` is a level of a tree. Peers with the same value of a tag are one partition; of any other
//! metric each peer is its own. Partitions are sorted by their weight, then by the weight of all that is in them, then by
//! value; peers are taken from them in turn, at every level (source: `allocator/balanced` of Go 1.1.6). Where Go is
//! arbitrary, a hash of CID and peer decides, so that a burst of pins spreads.
use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::model::{Cid, PeerId};

/// What a peer says of one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    /// The metric's value; peers of one value are together where it is partitionable.
    pub value: String,
    /// The metric's weight.
    pub weight: i64,
    /// Whether the metric is a tag.
    pub partitionable: bool,
}

/// Returns the peers, each with its scores by level, best first.
pub(super) fn order(cid: &Cid, peers: &[(PeerId, &[Score])]) -> Vec<PeerId> {
    let levels = peers.iter().map(|(_, scores)| scores.len()).max().unwrap_or(0);
    // Of a peer that is kept without its metrics nothing is known: it is the last choice.
    let (known, unknown): (Vec<_>, Vec<_>) = peers.iter().partition(|(_, scores)| scores.len() == levels);
    let mut trees = [Partition::over(cid, &known, 0, levels), Partition::over(cid, &unknown, levels, levels)];
    trees.iter_mut().flat_map(|tree| std::iter::from_fn(|| tree.take())).collect()
}

/// Some peers, and their partitions at the next level; at the last level peers only.
struct Partition<'a> {
    value: &'a str,
    weight: i128,
    aggregated: i128,
    /// The least hash of its peers: whom Go would take in any order.
    first: [u8; 32],
    parts: Vec<Partition<'a>>,
    /// Peers of the last level, the best last.
    leaf: Vec<PeerId>,
    next: usize,
}

impl<'a> Partition<'a> {
    fn over(cid: &Cid, peers: &[(PeerId, &'a [Score])], level: usize, levels: usize) -> Self {
        let mut hashed: Vec<([u8; 32], PeerId)> = peers.iter().map(|(peer, _)| (tie_break(cid, peer), *peer)).collect();
        hashed.sort_unstable_by(|a, b| b.cmp(a));
        let first = hashed.last().map_or([0; 32], |(hash, _)| *hash);
        let empty = Self { value: "", weight: 0, aggregated: 0, first, parts: Vec::new(), leaf: Vec::new(), next: 0 };
        if level == levels {
            return Self { leaf: hashed.into_iter().map(|(_, peer)| peer).collect(), ..empty };
        }
        let mut parts: Vec<Self> = groups(peers, level)
            .into_iter()
            .map(|(value, weight, members)| Self { value, weight, ..Self::over(cid, &members, level + 1, levels) })
            .map(|part| Self { aggregated: part.aggregated.saturating_add(part.weight), ..part })
            .collect();
        parts.sort_unstable_by(Self::rank);
        let aggregated = parts.iter().fold(0, |sum: i128, part| sum.saturating_add(part.aggregated));
        Self { aggregated, parts, ..empty }
    }

    fn rank(&self, other: &Self) -> Ordering {
        (other.weight.cmp(&self.weight))
            .then(other.aggregated.cmp(&self.aggregated))
            .then(self.value.cmp(other.value))
            .then(self.first.cmp(&other.first))
    }

    /// Takes the next peer: the partitions in turn, each going on where it was.
    fn take(&mut self) -> Option<PeerId> {
        if let Some(peer) = self.leaf.pop() {
            return Some(peer);
        }
        for _ in 0..self.parts.len() {
            let turn = self.next % self.parts.len();
            self.next = turn + 1;
            if let Some(peer) = self.parts[turn].take() {
                return Some(peer);
            }
        }
        None
    }
}

/// The peers of each partition of a level, with its value and weight.
type Groups<'a> = Vec<(&'a str, i128, Vec<(PeerId, &'a [Score])>)>;

fn groups<'a>(peers: &[(PeerId, &'a [Score])], level: usize) -> Groups<'a> {
    let mut together: BTreeMap<&str, (i128, Vec<_>)> = BTreeMap::new();
    let mut groups = Groups::new();
    for (peer, scores) in peers {
        match scores.get(level) {
            Some(score) if score.partitionable => {
                let (weight, members) = together.entry(&score.value).or_default();
                *weight += i128::from(score.weight);
                members.push((*peer, *scores));
            }
            Some(score) => groups.push((&score.value, score.weight.into(), vec![(*peer, *scores)])),
            None => (),
        }
    }
    groups.extend(together.into_iter().map(|(value, (weight, members))| (value, weight, members)));
    groups
}

/// A number that every peer computes alike and that ranks peers differently for each CID.
fn tie_break(cid: &Cid, peer: &PeerId) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&cid.to_bytes()).update(&peer.to_bytes());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::testing::{cid, peer};

    fn tag(value: &str) -> Score {
        Score { value: value.into(), weight: 0, partitionable: true }
    }

    fn number(weight: i64) -> Score {
        Score { value: weight.unsigned_abs().to_string(), weight, partitionable: false }
    }

    /// The numbers of the peers in order; peer n has the n-th scores, from 1 on.
    fn ordered(scores: &[Vec<Score>]) -> Vec<u8> {
        let peers: Vec<_> = (1..).zip(scores).map(|(n, scores)| (peer(n), &scores[..])).collect();
        let order = order(&cid(1), &peers);
        order.iter().filter_map(|id| (1..=20).find(|n| peer(*n) == *id)).collect()
    }

    fn two(peers: &[(&str, i64)]) -> Vec<u8> {
        ordered(&peers.iter().map(|(value, weight)| vec![tag(value), number(*weight)]).collect::<Vec<_>>())
    }

    #[test]
    fn the_worked_orders_of_go() {
        let one = |weights: &[i64]| ordered(&weights.iter().map(|weight| vec![number(*weight)]).collect::<Vec<_>>());
        assert_eq!(two(&[("default", 100), ("default", 200), ("default", 300), ("default", 400)]), [4, 3, 2, 1]);
        assert_eq!(two(&[("x", 100), ("x", 200), ("y", 250)]), [2, 3, 1]);
        assert_eq!(two(&[("us", 500), ("us", 900), ("us", 100), ("eu", 300), ("ap", 50)]), [2, 4, 5, 1, 3]);
        assert_eq!(one(&[5, 9, 7]), [2, 3, 1]);
        assert_eq!(one(&[-5, -9, -7]), [1, 3, 2], "reposize: less is better");
    }

    #[test]
    fn a_bucket_of_the_queue_comes_before_free_space() {
        let peers = [("us", 0, 500), ("us", -1, 900), ("eu", 0, 400), ("eu", 0, 300)];
        let scores = peers.map(|(region, queue, free)| vec![tag(region), number(queue), number(free)]);
        assert_eq!(ordered(&scores), [1, 3, 2, 4]);
    }

    #[test]
    fn regions_and_zones_take_turns() {
        // Peers 1 to 7 of Go's own test: region, zone, queue, free space.
        let peers = [
            ("us", "us1", 0, 100),
            ("us", "us2", 0, 500),
            ("eu", "eu1", 0, 200),
            ("eu", "eu1", 0, 400),
            ("eu", "eu2", 0, 10),
            ("au", "au1", 0, 50),
            ("au", "au1", -1, 600),
        ];
        let scores = peers.map(|(region, zone, queue, free)| vec![tag(region), tag(zone), number(queue), number(free)]);
        assert_eq!(ordered(&scores), [6, 4, 2, 7, 5, 1, 3]);
    }

    #[test]
    fn every_peer_comes_once_whatever_is_known_of_it() {
        let scores =
            [vec![tag("a"), number(1)], vec![tag("a"), number(i64::MAX)], vec![], vec![tag("b"), number(i64::MIN)]];
        let mut order = ordered(&scores);
        assert_eq!(order.last(), Some(&3));
        order.sort_unstable();
        assert_eq!(order, [1, 2, 3, 4]);
        assert!(ordered(&[]).is_empty());
    }
}
