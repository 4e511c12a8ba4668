//! Fair use of the daemon: as many calls a second as it answers quickly, for others use it too.
//!
//! Additive increase, multiplicative decrease (as of TCP, RFC 5681): while small calls are answered within [`TARGET`], those
//! who had to wait may go faster; when they are not, everybody goes slower.
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::task;

/// What a call that reads a row of the daemon's pins may take: one that takes longer is a daemon with more work than it does.
const TARGET: Duration = Duration::from_millis(500);
/// Latencies are judged, and the rate is changed, once in this time.
const WINDOW: Duration = Duration::from_secs(1);
/// Calls a second at the start, at the least and at the most.
const RATE_FIRST: f64 = 1_000.0;
const RATE_MIN: f64 = 5.0;
const RATE_MAX: f64 = 10_000.0;
/// The part of the rate that is left after a window that was too slow.
const SLOWER: f64 = 0.7;
/// What is added to the rate after a window in which calls waited and none was slow: its tenth, and this.
const FASTER: f64 = 10.0;
/// Calls that may be made at once after a pause, as a part of a second's.
const BURST: f64 = 0.1;

/// How many calls a second may be made; moments are times since some start.
#[derive(Debug)]
struct Pace {
    rate: f64,
    /// Calls that may be made now; below zero, those that wait.
    credit: f64,
    filled: Duration,
    window: Window,
}

/// What happened since the rate was last judged.
#[derive(Debug, Default)]
struct Window {
    began: Duration,
    slow: usize,
    quick: usize,
    waited: bool,
}

impl Pace {
    const fn new() -> Self {
        let window = Window { began: Duration::ZERO, slow: 0, quick: 0, waited: false };
        Self { rate: RATE_FIRST, credit: RATE_FIRST * BURST, filled: Duration::ZERO, window }
    }

    /// Books a call; returns how long it has to wait.
    fn book(&mut self, now: Duration) -> Duration {
        self.judge(now);
        let passed = now.saturating_sub(self.filled).as_secs_f64();
        (self.credit, self.filled) = ((self.credit + passed * self.rate).min((self.rate * BURST).max(1.0)), now);
        self.credit -= 1.0;
        if self.credit >= 0.0 {
            return Duration::ZERO;
        }
        self.window.waited = true;
        Duration::from_secs_f64(-self.credit / self.rate)
    }

    /// A small call took so long.
    fn took(&mut self, latency: Duration, now: Duration) {
        self.judge(now);
        if latency > TARGET {
            self.window.slow += 1;
        } else {
            self.window.quick += 1;
        }
    }

    fn judge(&mut self, now: Duration) {
        if now < self.window.began + WINDOW {
            return;
        }
        let Window { slow, quick, waited, .. } = std::mem::take(&mut self.window);
        self.window.began = now;
        if slow > quick {
            self.rate = (self.rate * SLOWER).max(RATE_MIN);
            tracing::debug!(rate = self.rate, "the IPFS daemon is slow: fewer calls a second");
        } else if slow == 0 && waited {
            self.rate = (self.rate * 1.1 + FASTER).min(RATE_MAX);
        }
    }
}

/// The pace of one daemon's calls.
#[derive(Debug)]
pub(super) struct Turnstile {
    start: Instant,
    pace: Mutex<Pace>,
}

impl Turnstile {
    /// A daemon that was not called yet.
    pub fn new() -> Self {
        Self { start: task::now(), pace: Mutex::new(Pace::new()) }
    }

    /// Waits until it is a call's turn: at most as long as all calls that wait at one time take.
    pub async fn pass(&self) {
        let wait = self.with(Pace::book);
        if !wait.is_zero() {
            let mut place = Place(Some(self));
            tokio::time::sleep(wait).await;
            place.0 = None;
        }
    }

    /// A small call begins; it is timed until it is answered or given up.
    pub fn small(&self) -> Small<'_> {
        Small { turnstile: self, began: task::now(), is_answered: false }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Pace, Duration) -> T) -> T {
        // Numbers are whole whatever happened to who wrote them.
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut pace, task::now().duration_since(self.start))
    }
}

/// A small call that runs.
pub(super) struct Small<'a> {
    turnstile: &'a Turnstile,
    began: Instant,
    is_answered: bool,
}

impl Small<'_> {
    /// It was answered.
    pub fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Small<'_> {
    /// A call that is given up, or failed, says how slow the daemon is as far as it had waited already: probes that make way
    /// after a second are all that is seen of a daemon that answers none.
    fn drop(&mut self) {
        let took = task::now().duration_since(self.began);
        if self.is_answered || took > TARGET {
            self.turnstile.with(|pace, now| pace.took(took, now));
        }
    }
}

/// A place among those who wait. Who goes before its turn gives it back: probes that make way for newer pins would else
/// book more calls than the daemon ever gets, and who comes then waits for all of them.
struct Place<'a>(Option<&'a Turnstile>);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(turnstile) = self.0 {
            turnstile.with(|pace, _| pace.credit += 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Calls as often as it may for so many seconds, each answered after `latency`; returns the calls of the last second.
    fn call(pace: &mut Pace, now: &mut Duration, seconds: u64, latency: Duration) -> usize {
        let mut last = 0;
        for _ in 0..seconds {
            let end = *now + ms(1_000);
            last = 0;
            while *now < end {
                *now += pace.book(*now) + ms(1) / 16;
                pace.took(latency, *now);
                last += 1;
            }
        }
        last
    }

    #[test]
    fn who_waits_goes_faster_while_answers_are_quick_and_slower_when_they_are_not() {
        let (mut pace, mut now) = (Pace::new(), ms(0));
        let first = call(&mut pace, &mut now, 1, ms(3));
        assert!((900..=1_110).contains(&first), "{first} calls in the first second");
        let quick = call(&mut pace, &mut now, 60, ms(3));
        assert!(quick > 5_000, "{quick} calls a second after a minute");
        let slow = call(&mut pace, &mut now, 60, ms(2_000));
        assert!((4..=8).contains(&slow), "{slow} calls a second beside a daemon that is slow");
        assert!(call(&mut pace, &mut now, 30, ms(3)) > 300, "it recovers by itself");
    }

    #[test]
    fn who_does_not_wait_gets_no_right_to_more() {
        let mut pace = Pace::new();
        for n in 0..600 {
            assert_eq!(pace.book(ms(n * 100)), ms(0));
            pace.took(ms(3), ms(n * 100));
        }
        assert!((pace.rate - RATE_FIRST).abs() < 1.0, "{}", pace.rate);
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_answers_nobody_in_time_is_asked_less() {
        let turnstile = Turnstile::new();
        for _ in 0..20 {
            turnstile.pass().await;
            let calls: Vec<_> = (0..10).map(|_| turnstile.small()).collect();
            tokio::time::sleep(ms(1_000)).await;
            drop(calls);
        }
        assert!(turnstile.with(|pace, _| pace.rate) < RATE_FIRST / 10.0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_before_its_turn_leaves_it_to_others() {
        let turnstile = Turnstile::new();
        for _ in 0..10_000 {
            let mut pass = std::pin::pin!(turnstile.pass());
            let _ = futures::poll!(&mut pass);
        }
        let began = task::now();
        turnstile.pass().await;
        let waited = task::now().duration_since(began);
        assert!(waited <= ms(10), "{waited:?} behind those who are gone");
    }

    #[test]
    fn one_slow_call_among_quick_ones_changes_nothing() {
        let mut pace = Pace::new();
        for n in 0..100 {
            pace.took(if n % 10 == 0 { ms(900) } else { ms(3) }, ms(n * 100));
        }
        assert!((pace.rate - RATE_FIRST).abs() < 1.0, "{}", pace.rate);
    }
}
