//! Who is in the cluster, as the metrics that arrived here say.
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::ping;
use super::ping::Names;
use crate::model::{Alert, Metric, PeerId, UnixMillis};
use crate::monitor::{Absent, Candidate, Census, Checker, Clocks, LEAVING, Window};

/// A ping that expired this long ago may not have been told of yet.
const UNTOLD: Duration = Duration::from_mins(1);

/// The metric window and its checker, shared by all parts of the peer.
///
/// The lock is held for lookups in memory only, never across an await.
pub struct Members {
    own: PeerId,
    peerset_metric: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    window: Window,
    checker: Checker,
    clocks: Clocks,
    absent: Absent,
}

impl Members {
    /// The members as `own` sees them: who has a live metric named `peerset_metric`, and itself.
    #[must_use]
    pub fn new(own: PeerId, peerset_metric: String) -> Self {
        Self { own, peerset_metric, state: Mutex::default() }
    }

    /// Waits for peers that lived when this one last ran.
    pub fn wait_for(&self, absent: Absent) {
        self.lock().absent = absent;
    }

    /// Returns alerts for those that were waited for in vain; they are not waited for any more.
    pub fn give_up(&self, now: UnixMillis) -> Vec<Alert> {
        self.lock().absent.give_up(now)
    }

    /// Returns the last ping of each other peer that lives, or whose end may not have been told of.
    #[must_use]
    pub fn last_pings(&self, now: UnixMillis) -> Vec<Metric> {
        let state = self.lock();
        let until = |ping: &Metric| UnixMillis(ping.expire_nanos.max(ping.received_nanos) / 1_000_000).plus(UNTOLD);
        let newest = state.window.newest_named("ping").filter(|ping| ping.peer != self.own && ping.valid);
        let recent = newest.filter(|ping| now < until(ping));
        recent.chain(state.absent.waiting()).cloned().collect()
    }

    /// Takes a metric whose sender is who it says; returns whether it was kept.
    pub fn receive(&self, metric: Metric, now: UnixMillis) -> bool {
        let mut state = self.lock();
        if metric.name == "ping" && metric.peer != self.own {
            state.clocks.hear(&metric, now);
            state.absent.heard(&metric.peer);
        }
        state.window.insert(metric, now)
    }

    /// Returns the peerset in the order of peer IDs.
    #[must_use]
    pub fn peerset(&self, now: UnixMillis) -> Vec<PeerId> {
        self.lock().window.peerset(&self.peerset_metric, self.own, now)
    }

    /// Returns what `peer` last said of itself.
    #[must_use]
    pub fn names(&self, peer: &PeerId) -> Names {
        self.lock().window.newest("ping", peer).map(|metric| ping::decode(&metric.value)).unwrap_or_default()
    }

    /// Returns the latest live metric `name` of each peer.
    #[must_use]
    pub fn metrics(&self, name: &str, now: UnixMillis) -> Vec<Metric> {
        self.lock().window.latest(name, now)
    }

    /// Returns the names of all metrics.
    #[must_use]
    pub fn metric_names(&self) -> Vec<String> {
        self.lock().window.names()
    }

    /// Returns every peer as a candidate for allocations that need all metrics of `names`.
    #[must_use]
    pub fn candidates(&self, names: &[&str], now: UnixMillis) -> Vec<Candidate> {
        self.lock().window.candidates(names, now)
    }

    /// As [`Members::candidates`], with those whose repository is full.
    #[must_use]
    pub fn candidates_or_full(&self, names: &[&str], now: UnixMillis) -> Vec<Candidate> {
        self.lock().window.candidates_or_full(names, now)
    }

    /// Returns who may be counted on now, for one who began to listen at `began` and waits for a missing peer for a grace.
    #[must_use]
    pub fn census(&self, times: (UnixMillis, Duration, UnixMillis)) -> Census {
        let state = self.lock();
        let lives = state.window.lives(&self.peerset_metric);
        let (.., now) = times;
        Census::of(self.own, lives, &state.window.telling(LEAVING, now), times)
    }

    /// Returns who is being drained, as they say.
    #[must_use]
    pub fn leaving(&self, now: UnixMillis) -> BTreeSet<PeerId> {
        self.lock().window.telling(LEAVING, now)
    }

    /// Looks for metrics that expired, and returns their alerts.
    pub fn check(&self, now: UnixMillis) -> Vec<Alert> {
        let mut state = self.lock();
        let State { window, checker, .. } = &mut *state;
        let new = checker.check(window, now);
        window.evict(now);
        new
    }

    /// Returns the clocks that went wrong or right since the last call: by how many milliseconds one is ahead of ours.
    pub fn check_clocks(&self, now: UnixMillis) -> Vec<(PeerId, Option<i64>)> {
        self.lock().clocks.check(now)
    }

    /// Returns by how many milliseconds the clocks of others are ahead of ours, of those that said enough, by peer.
    #[must_use]
    pub fn skews(&self) -> Vec<(PeerId, i64)> {
        self.lock().clocks.skews()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the members")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ping(peer: PeerId, expires: i64) -> Metric {
        Metric {
            name: "ping".into(),
            peer,
            value: r#"{"peer_name":"rust"}"#.into(),
            expire_nanos: UnixMillis::from_seconds(expires).nanos(),
            valid: true,
            weight: 0,
            partitionable: false,
            received_nanos: 0,
        }
    }

    #[test]
    fn clocks_are_told_from_the_pings_of_others_alone() {
        let (own, other) = (PeerId::random(), PeerId::random());
        let members = Members::new(own, "ping".into());
        for now in (0..90).step_by(15) {
            for peer in [own, other] {
                members.receive(ping(peer, now + 30 + 3_600), UnixMillis::from_seconds(now));
                members.receive(Metric { name: "freespace".into(), ..ping(peer, now) }, UnixMillis::from_seconds(now));
            }
        }
        assert_eq!(members.skews(), [(other, 3_600_000)]);
        assert_eq!(members.check_clocks(UnixMillis::from_seconds(90)), [(other, Some(3_600_000))]);
    }

    #[test]
    fn a_peer_is_a_member_until_its_ping_expires_and_then_an_alert() {
        let (own, other) = (PeerId::random(), PeerId::random());
        let members = Members::new(own, "ping".into());
        assert!(members.receive(ping(other, 30), UnixMillis(0)));
        assert_eq!(members.peerset(UnixMillis::from_seconds(10)).len(), 2);
        assert_eq!(members.names(&other).peername, "rust");
        assert!(members.check(UnixMillis::from_seconds(10)).is_empty());
        assert_eq!(members.peerset(UnixMillis::from_seconds(31)), [own]);
        assert_eq!(members.check(UnixMillis::from_seconds(31)).len(), 1);
        assert!(members.check(UnixMillis::from_seconds(32)).is_empty());
    }

    #[test]
    fn who_says_that_it_leaves_is_gone_until_it_takes_that_back() {
        use crate::monitor::Standing;

        let (own, other, now) = (PeerId::random(), PeerId::random(), UnixMillis::from_seconds(10));
        let members = Members::new(own, "ping".into());
        members.receive(ping(other, 90), now);
        let standing = |at: UnixMillis| members.census((UnixMillis(0), Duration::from_mins(5), at)).standing(&other);
        let says = |valid| Metric { name: LEAVING.into(), valid, ..ping(other, 60) };
        assert_eq!(standing(now), Standing::Here);
        members.receive(says(true), now);
        assert_eq!((members.leaving(now), standing(now)), ([other].into(), Standing::Gone));
        assert_eq!(standing(UnixMillis::from_seconds(61)), Standing::Here, "it has not said so for long");
        members.receive(says(false), now);
        assert_eq!((members.leaving(now), standing(now)), ([].into(), Standing::Here));
    }
}
