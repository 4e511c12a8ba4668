//! Rings when so much happened in the daemon that its space and its queue are told anew: Go's `informer_trigger_interval`.
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::watch;

/// Counts what changes the daemon's space; clones count together.
#[derive(Clone, Debug)]
pub struct Trigger {
    every: Option<NonZeroU32>,
    count: Arc<AtomicU32>,
    bell: watch::Sender<()>,
}

impl Trigger {
    /// Rings each time that so many steps were made; never with zero.
    #[must_use]
    pub fn new(every: u32) -> Self {
        Self { every: NonZeroU32::new(every), count: Arc::default(), bell: watch::Sender::new(()) }
    }

    /// Rings from now on.
    #[must_use]
    pub fn bell(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }

    /// A pin begins or ends, or blocks were collected.
    pub(super) fn step(&self) {
        let Some(every) = self.every else { return };
        let count = self.count.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if count % every == 0 {
            self.bell.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_third_step_rings_and_zero_never_does() {
        for (every, expected) in [(3, vec![2, 5, 8]), (1, (0..9).collect()), (0, vec![])] {
            let trigger = Trigger::new(every);
            let mut bell = trigger.bell();
            let rings = (0..9).filter(|_| {
                trigger.step();
                let rang = bell.has_changed().unwrap();
                bell.mark_unchanged();
                rang
            });
            assert_eq!(rings.collect::<Vec<u32>>(), expected);
        }
    }
}
