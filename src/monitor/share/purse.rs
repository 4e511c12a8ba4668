//! What a budget is spent on: bytes that are held, and bytes that transfers have been promised.
use std::collections::BTreeMap;

use crate::model::Cid;

/// The account of one follower. It never says yes to what would be more than the budget.
#[derive(Clone, Debug)]
pub struct Purse {
    budget: u64,
    /// Bytes of all pins that the daemon was asked for and has not let go of.
    held: u64,
    /// Transfers that run.
    open: BTreeMap<Cid, Transfer>,
}

#[derive(Clone, Copy, Debug)]
struct Transfer {
    /// Bytes that it may fetch.
    promised: u64,
    /// Bytes of it that are counted as held.
    counted: u64,
}

impl Transfer {
    fn reserved(self) -> u64 {
        self.promised.saturating_sub(self.counted)
    }
}

impl Purse {
    /// A full purse.
    #[must_use]
    pub fn new(budget: u64) -> Self {
        Self { budget, held: 0, open: BTreeMap::new() }
    }

    /// Bytes that may be used.
    #[must_use]
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// Bytes of pins that are held or half held.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Bytes beyond that, that transfers which run may still fetch.
    #[must_use]
    pub fn reserved(&self) -> u64 {
        self.open.values().fold(0, |sum, transfer| sum.saturating_add(transfer.reserved()))
    }

    /// What is known to be held of a pin changed.
    pub fn count(&mut self, cid: &Cid, before: u64, after: u64) {
        self.held = self.held.saturating_sub(before).saturating_add(after);
        if let Some(transfer) = self.open.get_mut(cid) {
            transfer.counted = after;
        }
    }

    /// Promises `bytes` in all to a transfer of a pin of which `counted` are held; false when there is no room, and
    /// then it has what it had before.
    #[must_use]
    pub fn reserve(&mut self, cid: Cid, bytes: u64, counted: u64) -> bool {
        let before = self.open.get(&cid).copied();
        let promised = bytes.max(before.map_or(0, |transfer| transfer.promised));
        let wanted = Transfer { promised, counted: before.map_or(counted, |transfer| transfer.counted) };
        let others = self.held.saturating_add(self.reserved()) - before.map_or(0, Transfer::reserved);
        let fits = others.saturating_add(wanted.reserved()) <= self.budget;
        if fits {
            self.open.insert(cid, wanted);
        }
        fits
    }

    /// Returns whether a transfer of a pin runs.
    #[must_use]
    pub fn is_open(&self, cid: &Cid) -> bool {
        self.open.contains_key(cid)
    }

    /// The transfer ended, and what it left is counted.
    pub fn close(&mut self, cid: &Cid) {
        self.open.remove(cid);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::monitor::testing::cid;

    #[test]
    fn a_transfer_counts_once() {
        let mut purse = Purse::new(100);
        assert!(purse.reserve(cid(1), 60, 0));
        purse.count(&cid(1), 0, 25);
        assert_eq!((purse.held(), purse.reserved()), (25, 35));
        assert!(!purse.reserve(cid(2), 41, 0));
        assert!(purse.reserve(cid(2), 40, 0));
        purse.count(&cid(1), 25, 60);
        purse.close(&cid(1));
        assert_eq!((purse.held(), purse.reserved()), (60, 40));
    }

    #[test]
    fn one_that_grows_is_stopped_where_there_is_no_room() {
        let mut purse = Purse::new(100);
        assert!(purse.reserve(cid(1), 60, 0) && purse.reserve(cid(2), 30, 0));
        assert!(purse.reserve(cid(2), 40, 0));
        assert!(!purse.reserve(cid(2), 41, 0));
        assert_eq!(purse.reserved(), 100);
        purse.close(&cid(1));
        assert!(purse.reserve(cid(2), 41, 0));
    }

    #[test]
    fn one_that_goes_on_needs_only_the_rest() {
        let mut purse = Purse::new(100);
        purse.count(&cid(1), 0, 70);
        assert!(purse.reserve(cid(1), 90, 70));
        assert!(!purse.reserve(cid(2), 11, 0) && purse.reserve(cid(2), 10, 0));
    }

    proptest! {
        #[test]
        fn no_order_of_transfers_takes_more_than_the_budget(
            steps in proptest::collection::vec((0..6_u64, 0..60_u64, 0..3_u8), 0..200),
        ) {
            let mut purse = Purse::new(100);
            let mut held: BTreeMap<u64, u64> = (0..6).map(|n| (n, 0)).collect();
            let mut open = BTreeMap::new();
            for (n, bytes, what) in steps {
                let before = held[&n];
                match what {
                    0 => if purse.reserve(cid(n), bytes, before) { *open.entry(n).or_insert(bytes) = bytes.max(open.get(&n).copied().unwrap_or(0)) },
                    1 => if let Some(promised) = open.remove(&n) {
                        let after = bytes.min(promised).max(before);
                        purse.count(&cid(n), before, after);
                        purse.close(&cid(n));
                        held.insert(n, after);
                    },
                    _ => if !open.contains_key(&n) {
                        purse.count(&cid(n), before, 0);
                        held.insert(n, 0);
                    },
                }
                prop_assert_eq!(purse.held(), held.values().sum::<u64>());
                let reserved: u64 = open.iter().map(|(n, promised): (&u64, &u64)| promised.saturating_sub(held[n])).sum();
                prop_assert_eq!(purse.reserved(), reserved);
                prop_assert!(purse.held() + purse.reserved() <= 100);
            }
        }
    }
}
