//! Says the same thing about the same thing once an hour.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_hours(1);

/// How many things are remembered; of more nothing is said, because somebody makes them up.
const THINGS_MAX: usize = 1024;

/// When each thing was last told.
#[derive(Debug)]
pub struct Hourly<K> {
    told: BTreeMap<K, Instant>,
}

impl<K> Default for Hourly<K> {
    fn default() -> Self {
        Self { told: BTreeMap::new() }
    }
}

impl<K: Ord> Hourly<K> {
    /// Returns whether `thing` is to be told now, and notes that it was.
    pub fn is_due(&mut self, thing: K, now: Instant) -> bool {
        self.told.retain(|_, at| now.saturating_duration_since(*at) < HOUR);
        if self.told.contains_key(&thing) || self.told.len() >= THINGS_MAX {
            return false;
        }
        self.told.insert(thing, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task;

    #[test]
    fn a_thing_is_told_once_an_hour() {
        let (mut hourly, now) = (Hourly::default(), task::now());
        assert!(hourly.is_due("a", now));
        assert!(!hourly.is_due("a", now + HOUR / 2));
        assert!(hourly.is_due("b", now));
        assert!(hourly.is_due("a", now + HOUR));
    }

    #[test]
    fn made_up_things_are_told_a_bounded_number_of_times() {
        let (mut hourly, now) = (Hourly::default(), task::now());
        assert_eq!((0..9999).filter(|n| hourly.is_due(*n, now)).count(), THINGS_MAX);
    }
}
