//! The one brake of all that makes IPFS daemons fetch pins which others hold: bytes a second.
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::monitor::Brake;
use crate::task;

/// The longest wait of a pin before it is judged anew.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Lets pins pass one after another, each when those before it are paid.
#[derive(Debug)]
pub struct Throttle {
    start: Instant,
    brake: Mutex<Brake>,
}

impl Throttle {
    /// So many bytes a second; zero: no limit.
    #[must_use]
    pub fn new(rate: u64) -> Self {
        Self { start: task::now(), brake: Mutex::new(Brake::new(rate)) }
    }

    /// Waits until a pin of so many bytes may go; returns what `judge` finds then, or [`None`] as soon as it finds nothing.
    pub async fn pass<T>(&self, bytes: impl Fn() -> u64, judge: impl Fn() -> Option<T>) -> Option<T> {
        let mut brake = self.brake.lock().await;
        loop {
            let found = judge()?;
            let wait = brake.wait(self.millis());
            if wait.is_zero() {
                brake.pay(bytes(), self.millis());
                return Some(found);
            }
            tokio::time::sleep(wait.min(WAIT_MAX)).await;
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(task::now().duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}
