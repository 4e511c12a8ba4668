//! A pace that several senders share: bytes a second.
use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::task;

/// A pace, or none.
#[derive(Debug)]
pub struct Pace {
    rate: Option<NonZeroU64>,
    /// When what was let go is through.
    through: Mutex<Option<Instant>>,
}

impl Pace {
    /// So many bytes a second; [`None`] lets everything go.
    #[must_use]
    pub fn new(rate: Option<NonZeroU64>) -> Self {
        Self { rate, through: Mutex::default() }
    }

    /// Waits until what went before is through, and counts these bytes in.
    pub async fn wait_for(&self, bytes: usize) {
        if let Some(turn) = self.turn(bytes, task::now()) {
            task::sleep_until(Some(turn)).await;
        }
    }

    fn turn(&self, bytes: usize, now: Instant) -> Option<Instant> {
        let rate = self.rate?.get();
        let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(rate);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut through = self.through.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = through.map_or(now, |through| through.max(now));
        *through = turn.checked_add(takes);
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_take_turns_at_the_pace() {
        let (pace, now) = (Pace::new(NonZeroU64::new(1000)), task::now());
        assert_eq!(pace.turn(500, now), Some(now));
        assert_eq!(pace.turn(2000, now), Some(now + Duration::from_millis(500)));
        assert_eq!(pace.turn(1, now), Some(now + Duration::from_millis(2500)));
        let later = now + Duration::from_mins(1);
        assert_eq!(pace.turn(1, later), Some(later), "what was not used is gone");
        assert_eq!(Pace::new(None).turn(1 << 30, now), None);
    }
}
