//! The counters, and the rates that follow from them.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Protocols that are counted apart: about a dozen are spoken, and what is beyond counts as not agreed on.
const PROTOCOLS_MAX: usize = 64;

/// Two looks at the counters have so much between them at least: a shorter time would show a burst as a rate.
const LOOK_MIN: Duration = Duration::from_millis(100);

/// Bytes of one protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Received.
    pub total_in: u64,
    /// Sent.
    pub total_out: u64,
    /// Received a second, lately.
    pub rate_in: f64,
    /// Sent a second, lately.
    pub rate_out: f64,
}

/// The counters of one protocol.
#[derive(Debug, Default)]
pub struct Tally {
    received: AtomicU64,
    sent: AtomicU64,
    seen: Mutex<Traffic>,
}

impl Tally {
    /// Counts `n` bytes in.
    pub fn received(&self, n: usize) {
        self.received.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// Counts `n` bytes out.
    pub fn sent(&self, n: usize) {
        self.sent.fetch_add(n as u64, Ordering::Relaxed);
    }

    fn look(&self, seconds: f64) {
        let (received, sent) = (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = |new: u64, old: u64, rate| smoothed(rate, new.saturating_sub(old), seconds);
        *seen = Traffic {
            total_in: received,
            total_out: sent,
            rate_in: rate(received, seen.total_in, seen.rate_in),
            rate_out: rate(sent, seen.total_out, seen.rate_out),
        };
    }

    fn traffic(&self) -> Traffic {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (total_in, total_out) = (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed));
        Traffic { total_in, total_out, ..seen }
    }
}

/// The new rate, as Go's meters have it: the first one is taken as it is, then the older ones fade with each second.
fn smoothed(rate: f64, bytes: u64, seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown with two digits")]
    let instant = bytes as f64 / seconds;
    if rate == 0.0 { instant } else { rate + (1.0 - (-1.0_f64).exp()) * (instant - rate) }
}

/// The counters of all protocols.
#[derive(Clone, Debug, Default)]
pub struct Tallies(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Before a protocol is agreed on.
    unnamed: Arc<Tally>,
    named: Mutex<BTreeMap<String, Arc<Tally>>>,
    looked: Mutex<Option<Instant>>,
}

impl Tallies {
    /// The counters of streams whose protocol is not agreed on yet.
    pub fn unnamed(&self) -> Arc<Tally> {
        self.0.unnamed.clone()
    }

    /// The counters of `protocol`.
    pub fn of(&self, protocol: &str) -> Arc<Tally> {
        let mut named = self.named();
        if let Some(tally) = named.get(protocol) {
            return tally.clone();
        }
        if named.len() >= PROTOCOLS_MAX {
            return self.unnamed();
        }
        named.entry(protocol.to_owned()).or_default().clone()
    }

    /// Renews the rates; called about once a second.
    pub fn look(&self, now: Instant) {
        let mut looked = self.0.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let since = looked.map_or(Duration::from_secs(1), |looked| now.saturating_duration_since(looked));
        if since < LOOK_MIN {
            return;
        }
        *looked = Some(now);
        self.all().into_iter().for_each(|(_, tally)| tally.look(since.as_secs_f64()));
    }

    /// Returns the bytes by protocol; the empty one is what was said before one was agreed on. Protocols without any are left out.
    pub fn traffic(&self) -> BTreeMap<String, Traffic> {
        let all = self.all().into_iter().map(|(protocol, tally)| (protocol, tally.traffic()));
        all.filter(|(_, traffic)| traffic.total_in + traffic.total_out > 0).collect()
    }

    fn all(&self) -> Vec<(String, Arc<Tally>)> {
        let named = self.named().iter().map(|(protocol, tally)| (protocol.clone(), tally.clone())).collect::<Vec<_>>();
        std::iter::once((String::new(), self.unnamed())).chain(named).collect()
    }

    /// A map is whole whatever happened to who looked something up in it.
    fn named(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Tally>>> {
        self.0.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task;

    #[test]
    fn bytes_are_counted_by_protocol_and_what_moved_nothing_is_left_out() {
        let tallies = Tallies::default();
        tallies.of("/a").received(5);
        tallies.of("/a").sent(3);
        tallies.unnamed().sent(1);
        drop(tallies.of("/b"));
        let traffic = tallies.traffic();
        assert_eq!(traffic.keys().collect::<Vec<_>>(), ["", "/a"]);
        assert_eq!((traffic["/a"].total_in, traffic["/a"].total_out, traffic[""].total_out), (5, 3, 1));
    }

    #[test]
    fn a_rate_is_bytes_a_second_and_fades() {
        let (tallies, start) = (Tallies::default(), task::now());
        tallies.look(start);
        tallies.of("/a").received(2_000);
        tallies.look(start + Duration::from_secs(2));
        let rate = |tallies: &Tallies| tallies.traffic()["/a"].rate_in;
        assert!((rate(&tallies) - 1_000.0).abs() < 1e-6);
        tallies.look(start + Duration::from_secs(3));
        assert!((rate(&tallies) - 367.879).abs() < 1e-2, "{}", rate(&tallies));
        // Too soon to say anything.
        tallies.look(start + Duration::from_millis(3_050));
        assert!((rate(&tallies) - 367.879).abs() < 1e-2);
    }

    #[test]
    fn protocols_beyond_the_bound_count_as_unnamed() {
        let tallies = Tallies::default();
        for n in 0..PROTOCOLS_MAX + 5 {
            tallies.of(&format!("/{n}")).received(1);
        }
        assert_eq!(tallies.traffic().len(), PROTOCOLS_MAX + 1);
        assert_eq!(tallies.traffic()[""].total_in, 5);
    }
}
