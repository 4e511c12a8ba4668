//! A pin and candidates in, peers out, best first.
use std::collections::{BTreeMap, BTreeSet};

use super::balance::{Score, order};
use crate::model::{Cid, PeerId, Replication};

/// What is to be allocated.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The pin's CID; it breaks ties, so that a burst of pins spreads.
    pub cid: &'a Cid,
    /// How many peers are to hold it.
    pub replication: Replication,
    /// The allocations stored with the pin; empty for a new one, and for one that was everywhere.
    pub current: &'a [PeerId],
    /// The peers that the user asked for; they come before other new ones.
    pub priority: &'a [PeerId],
    /// Every peer known, fit or not.
    pub candidates: &'a [Candidate],
}

/// A peer that may hold a pin, or why it may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    peer: PeerId,
    scores: Result<Vec<Score>, Unfit>,
}

impl Candidate {
    /// A peer that can hold pins; greater weights are preferred.
    #[must_use]
    pub fn new(peer: PeerId, weight: i64) -> Self {
        Self::of(peer, vec![Score { value: String::new(), weight, partitionable: false }])
    }

    /// A peer that can hold pins, with what it says of each level of `allocate_by`.
    #[must_use]
    pub const fn of(peer: PeerId, scores: Vec<Score>) -> Self {
        Self { peer, scores: Ok(scores) }
    }

    /// A peer that cannot.
    #[must_use]
    pub const fn unfit(peer: PeerId, why: Unfit) -> Self {
        Self { peer, scores: Err(why) }
    }

    /// Whom this is about.
    #[must_use]
    pub const fn peer(&self) -> &PeerId {
        &self.peer
    }

    /// What it says of each level; [`None`] of one that is unfit.
    #[must_use]
    pub fn scores(&self) -> Option<&[Score]> {
        self.scores.as_deref().ok()
    }

    /// This candidate, fit whatever it lacks, and the last choice then: for a peer that has the pin already.
    #[must_use]
    pub fn kept(self) -> Self {
        match self.scores {
            Ok(_) => self,
            Err(_) => Self::of(self.peer, Vec::new()),
        }
    }

    /// This candidate when `fit`, else the same peer with the reason `why`.
    #[must_use]
    pub fn only_if(self, fit: bool, why: Unfit) -> Self {
        match (fit, &self.scores) {
            (false, Ok(_)) => Self::unfit(self.peer, why),
            (true, _) | (false, Err(_)) => self,
        }
    }
}

/// Why a peer is no candidate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It sends no live metric of this name.
    #[error("no live `{0}` metric")]
    NoMetric(String),
    /// It is the peer that the pin is moved away from.
    #[error("the pin is being moved away from it")]
    Excluded,
    /// It is to be taken away, and says so.
    #[error("it is being drained")]
    Leaving,
    /// `pin_only_on_trusted_peers` is set, and it is not one.
    #[error("not trusted, and pin_only_on_trusted_peers is set")]
    NotTrusted,
    /// `pin_only_on_untrusted_peers` is set, and it is trusted.
    #[error("trusted, and pin_only_on_untrusted_peers is set")]
    Trusted,
}

/// Why a pin was not allocated; the text is Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocateError {
    /// Fewer than the minimum replication factor can hold it.
    #[error(
        "not enough peers to allocate CID. Needed at least: {needed}. Wanted at most: {wanted}. \
         Available candidates: {available}. See logs for more info."
    )]
    NotEnoughPeers {
        /// New peers needed.
        needed: usize,
        /// New peers wanted.
        wanted: usize,
        /// New peers there are.
        available: usize,
        /// The peers that are no candidates, each with its reason.
        unfit: Vec<(PeerId, Unfit)>,
    },
}

impl AllocateError {
    /// The peers that are no candidates, each with its reason.
    #[must_use]
    pub fn unfit(&self) -> &[(PeerId, Unfit)] {
        let Self::NotEnoughPeers { unfit, .. } = self;
        unfit
    }
}

/// Returns the peers that are to hold a pin; none when everybody is.
///
/// Live peers that hold it already come first, then the user's, then the others, each in the order of Go's balanced
/// allocator: by weight, spread over the values of tags; where that is equal, by a hash of CID and peer. While enough of them live, the stored list is returned as it is, dead peers
/// included: a pin does not move because a peer restarts.
///
/// # Errors
/// [`AllocateError::NotEnoughPeers`] when fewer than the minimum replication factor can hold it.
///
/// # Examples
/// ```
/// use ipfs_cluster::model::{PeerId, Pin, Replication};
/// use ipfs_cluster::monitor::{Candidate, Request, allocate};
///
/// let cid = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq".parse().unwrap();
/// let (full, roomy) = (PeerId::random(), PeerId::random());
/// let candidates = [Candidate::new(full, 0), Candidate::new(roomy, 1 << 30)];
/// let replication = Replication::Between { min: 1, max: 1 };
/// let request = Request { cid: &cid, replication, current: &[], priority: &[], candidates: &candidates };
/// assert_eq!(allocate(&request), Ok(vec![roomy]));
/// ```
pub fn allocate(request: &Request<'_>) -> Result<Vec<PeerId>, AllocateError> {
    let (min, max) = match request.replication {
        Replication::Everywhere => return Ok(Vec::new()),
        Replication::Between { min, max } => (count(min), count(max)),
    };
    let Classes { current, priority, others } = classify(request);
    if current.len() > max {
        return Ok(current.into_iter().take(max).collect());
    }
    if current.len() >= min {
        return Ok(request.current.to_vec());
    }
    let (needed, wanted) = (min - current.len(), max - current.len());
    let available = priority.len() + others.len();
    if available < needed {
        return Err(AllocateError::NotEnoughPeers { needed, wanted, available, unfit: unfit(request) });
    }
    let new = priority.into_iter().chain(others).take(wanted);
    Ok(current.into_iter().chain(new).collect())
}

/// The fit peers, each in one class, best first.
struct Classes {
    current: Vec<PeerId>,
    priority: Vec<PeerId>,
    others: Vec<PeerId>,
}

fn classify(request: &Request<'_>) -> Classes {
    let fit: BTreeMap<PeerId, &[Score]> =
        request.candidates.iter().filter_map(|c| c.scores.as_deref().ok().map(|scores| (c.peer, scores))).collect();
    let current: BTreeSet<&PeerId> = request.current.iter().collect();
    let priority: BTreeSet<&PeerId> = request.priority.iter().collect();
    let mut classes = [const { Vec::new() }; 3];
    for (peer, scores) in fit {
        let class = match (current.contains(&peer), priority.contains(&peer)) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        };
        classes[class].push((peer, scores));
    }
    let [current, priority, others] = classes.map(|class| order(request.cid, &class));
    Classes { current, priority, others }
}

fn unfit(request: &Request<'_>) -> Vec<(PeerId, Unfit)> {
    let reason = |c: &Candidate| c.scores.as_ref().err().map(|why| (c.peer, why.clone()));
    request.candidates.iter().filter_map(reason).collect()
}

fn count(factor: u32) -> usize {
    usize::try_from(factor).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::testing::{cid, peer};

    /// Peers 1.. with these weights.
    fn live(weights: &[i64]) -> Vec<Candidate> {
        (1..).zip(weights).map(|(n, weight)| Candidate::new(peer(n), *weight)).collect()
    }

    fn peers(ns: &[u8]) -> Vec<PeerId> {
        ns.iter().map(|n| peer(*n)).collect()
    }

    struct Case<'a> {
        factors: (u32, u32),
        current: &'a [u8],
        priority: &'a [u8],
        live: Vec<Candidate>,
    }

    fn run(case: &Case<'_>) -> Result<Vec<PeerId>, AllocateError> {
        let replication = Replication::Between { min: case.factors.0, max: case.factors.1 };
        let (current, priority) = (peers(case.current), peers(case.priority));
        let (current, priority, candidates) = (&current[..], &priority[..], &case.live[..]);
        allocate(&Request { cid: &cid(1), replication, current, priority, candidates })
    }

    fn new(factors: (u32, u32), live: Vec<Candidate>) -> Result<Vec<PeerId>, AllocateError> {
        run(&Case { factors, current: &[], priority: &[], live })
    }

    #[test]
    fn a_new_pin_goes_to_the_peers_with_most_space() {
        assert_eq!(new((2, 3), live(&[100, 500, 300, 400, 200])), Ok(peers(&[2, 4, 3])));
        assert_eq!(new((2, 3), live(&[100, 500])), Ok(peers(&[2, 1])));
    }

    #[test]
    fn too_few_peers_are_refused_in_gos_words_with_each_peers_reason() {
        let mut candidates = live(&[100]);
        candidates.push(Candidate::unfit(peer(2), Unfit::NoMetric("freespace".into())));
        let error = new((2, 3), candidates).unwrap_err();
        let text = "not enough peers to allocate CID. Needed at least: 2. Wanted at most: 3. \
                    Available candidates: 1. See logs for more info.";
        assert_eq!(error.to_string(), text);
        let AllocateError::NotEnoughPeers { unfit, .. } = error;
        assert_eq!(unfit, [(peer(2), Unfit::NoMetric("freespace".into()))]);
        assert_eq!(unfit[0].1.to_string(), "no live `freespace` metric");
    }

    #[test]
    fn a_dead_peer_stays_allocated_while_enough_live() {
        let case = Case { factors: (2, 3), current: &[1, 2, 9], priority: &[], live: live(&[1, 2, 3, 4]) };
        assert_eq!(run(&case), Ok(peers(&[1, 2, 9])));
    }

    #[test]
    fn dead_peers_are_replaced_when_too_few_live() {
        let case = Case { factors: (2, 3), current: &[1, 8, 9], priority: &[], live: live(&[1, 20, 30, 40]) };
        assert_eq!(run(&case), Ok(peers(&[1, 4, 3])));
    }

    #[test]
    fn a_pin_moves_away_from_an_excluded_peer() {
        let mut candidates = live(&[10, 20, 30, 40]);
        candidates[2] = candidates[2].clone().only_if(false, Unfit::Excluded);
        let case = Case { factors: (3, 3), current: &[1, 2, 3], priority: &[], live: candidates };
        assert_eq!(run(&case), Ok(peers(&[2, 1, 4])));
    }

    #[test]
    fn a_lower_factor_keeps_the_best_of_the_current_peers() {
        let case = Case { factors: (1, 1), current: &[1, 2, 3], priority: &[], live: live(&[10, 30, 20, 99]) };
        assert_eq!(run(&case), Ok(peers(&[2])));
    }

    #[test]
    fn the_users_peers_come_first_if_they_live() {
        let case = Case { factors: (2, 2), current: &[], priority: &[9, 1], live: live(&[10, 20, 30]) };
        assert_eq!(run(&case), Ok(peers(&[1, 3])));
    }

    #[test]
    fn the_users_peers_do_not_move_a_pin_that_has_enough() {
        let case = Case { factors: (2, 2), current: &[1, 2], priority: &[3], live: live(&[10, 20, 30]) };
        assert_eq!(run(&case), Ok(peers(&[1, 2])));
    }

    #[test]
    fn everywhere_is_an_empty_list() {
        let request = Request {
            cid: &cid(1),
            replication: Replication::Everywhere,
            current: &[],
            priority: &[],
            candidates: &[],
        };
        assert_eq!(allocate(&request), Ok(Vec::new()));
    }

    #[test]
    fn a_burst_spreads_over_peers_of_equal_weight() {
        let candidates = live(&[5; 5]);
        let replication = Replication::Between { min: 2, max: 2 };
        let mut held: BTreeMap<PeerId, usize> = BTreeMap::new();
        for n in 0..1_000 {
            let cid = cid(n);
            let request = Request { cid: &cid, replication, current: &[], priority: &[], candidates: &candidates };
            for peer in allocate(&request).unwrap() {
                *held.entry(peer).or_default() += 1;
            }
        }
        assert!(held.len() == 5 && held.values().all(|n| (300..500).contains(n)), "{held:?}");
    }

    proptest::proptest! {
        #[test]
        fn allocations_are_live_distinct_and_as_many_as_asked_for(
            min in 1_u32..5, more in 0_u32..4, current in proptest::collection::btree_set(1_u8..12, 0..6),
            weights in proptest::collection::vec(-5_i64..5, 0..9),
        ) {
            let current: Vec<u8> = current.into_iter().collect();
            let known = live(&weights);
            let case = Case { factors: (min, min + more), current: &current, priority: &[], live: known.clone() };
            let alive = |peer: &PeerId| known.iter().any(|c| c.peer() == peer);
            match run(&case) {
                Ok(peers) => {
                    let distinct: BTreeSet<&PeerId> = peers.iter().collect();
                    assert_eq!(distinct.len(), peers.len());
                    let living = peers.iter().filter(|peer| alive(peer)).count();
                    assert!(living >= count(min) && living <= count(min + more));
                    let case = Case { current: &[], ..case };
                    let again = Request { cid: &cid(1), replication: Replication::Between { min, max: min + more },
                        current: &peers, priority: &[], candidates: &case.live };
                    assert_eq!(allocate(&again), Ok(peers.clone()), "allocating twice moves nothing");
                }
                Err(AllocateError::NotEnoughPeers { needed, available, .. }) => assert!(available < needed),
            }
        }
    }
}
