//! What waits, in the order in which it is served: a window over the rows that are due in the ledger.
use std::collections::BTreeMap;

use crate::model::Cid;

/// Where something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// Known to be there, waits for a transfer: oldest first.
    Hot,
    /// New wishes: newest first.
    Fresh,
    /// Retries: oldest first.
    Retry,
    /// To be unpinned: oldest first.
    Unpin,
}

/// The lanes; a CID waits in one of them at most.
#[derive(Debug)]
pub(super) struct Lanes {
    max: usize,
    number: u64,
    lens: [usize; 4],
    waiting: BTreeMap<(Lane, u64), Cid>,
    places: BTreeMap<Cid, (Lane, u64)>,
}

impl Lanes {
    /// Empty lanes with room for `max` CIDs.
    pub fn new(max: usize) -> Self {
        Self { max, number: 0, lens: [0; 4], waiting: BTreeMap::new(), places: BTreeMap::new() }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many wait in `lane`.
    pub fn len_of(&self, lane: Lane) -> usize {
        self.lens[lane as usize]
    }

    /// Returns whether `cid` waits.
    pub fn contains(&self, cid: &Cid) -> bool {
        self.places.contains_key(cid)
    }

    /// Lets `cid` wait in `lane`, and in no other; false when another one had to go for lack of room.
    pub fn push(&mut self, lane: Lane, cid: Cid) -> bool {
        self.remove(&cid);
        self.number += 1;
        self.waiting.insert((lane, self.number), cid);
        self.places.insert(cid, (lane, self.number));
        self.lens[lane as usize] += 1;
        if self.len() <= self.max {
            return true;
        }
        self.evict();
        false
    }

    /// Takes `cid` out.
    pub fn remove(&mut self, cid: &Cid) {
        if let Some(place) = self.places.remove(cid) {
            self.waiting.remove(&place);
            self.lens[place.0 as usize] -= 1;
        }
    }

    /// Takes the first of `lane` out.
    pub fn pop(&mut self, lane: Lane) -> Option<Cid> {
        let cid = self.peek(lane)?;
        self.remove(&cid);
        Some(cid)
    }

    fn peek(&self, lane: Lane) -> Option<Cid> {
        let mut lane_of = self.waiting.range((lane, 0)..=(lane, u64::MAX));
        let first = if lane == Lane::Fresh { lane_of.next_back() } else { lane_of.next() };
        first.map(|(_, cid)| *cid)
    }

    /// Lets go of what would be served last; it is still in the ledger.
    fn evict(&mut self) {
        let of = |lane| (lane, 0)..=(lane, u64::MAX);
        let last = self.waiting.range(of(Lane::Retry)).next_back();
        let last = last.or_else(|| self.waiting.range(of(Lane::Fresh)).next());
        let last = last.or_else(|| self.waiting.last_key_value());
        if let Some((_, cid)) = last {
            self.remove(&cid.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipfs::fake::cid;

    #[test]
    fn new_wishes_are_served_newest_first_and_retries_oldest_first() {
        let mut lanes = Lanes::new(10);
        for n in 0..3 {
            lanes.push(Lane::Fresh, cid(n));
            lanes.push(Lane::Retry, cid(10 + n));
        }
        assert_eq!([lanes.pop(Lane::Fresh), lanes.pop(Lane::Fresh)], [Some(cid(2)), Some(cid(1))]);
        assert_eq!([lanes.pop(Lane::Retry), lanes.pop(Lane::Retry)], [Some(cid(10)), Some(cid(11))]);
    }

    #[test]
    fn a_cid_waits_in_one_lane_only() {
        let mut lanes = Lanes::new(10);
        lanes.push(Lane::Fresh, cid(1));
        lanes.push(Lane::Unpin, cid(1));
        assert_eq!((lanes.len(), lanes.len_of(Lane::Fresh), lanes.len_of(Lane::Unpin)), (1, 0, 1));
    }

    #[test]
    fn without_room_the_last_retry_goes_then_the_oldest_wish() {
        let mut lanes = Lanes::new(2);
        lanes.push(Lane::Fresh, cid(1));
        lanes.push(Lane::Retry, cid(2));
        assert!(!lanes.push(Lane::Fresh, cid(3)));
        assert!(!lanes.contains(&cid(2)));
        assert!(!lanes.push(Lane::Fresh, cid(4)));
        assert!(!lanes.contains(&cid(1)) && lanes.contains(&cid(3)) && lanes.contains(&cid(4)));
    }
}
