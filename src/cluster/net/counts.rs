//! Counters of what was refused, dropped or noticed, by name.
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counters; names are constants of the code, so there are some dozens.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<&'static str, u64>>);

impl Counts {
    /// Adds `n` to a counter.
    pub fn add(&self, name: &'static str, n: u64) {
        *self.lock().entry(name).or_default() += n;
    }

    /// Returns every counter that ever moved.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, u64> {
        self.lock().clone()
    }

    /// A number is whole whatever happened to who added to it.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_add_up_and_appear_when_they_move() {
        let counts = Counts::default();
        assert!(counts.all().is_empty());
        counts.add("gossip_refused", 2);
        counts.add("gossip_refused", 1);
        counts.add("changes_untrusted", 1);
        assert_eq!(counts.all(), BTreeMap::from([("changes_untrusted", 1), ("gossip_refused", 3)]));
    }
}
