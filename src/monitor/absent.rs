//! Peers that lived when this one last ran, and have not been heard since it began.
use std::collections::BTreeMap;

use crate::model::{Alert, Metric, PeerId, UnixMillis};

/// What is missed of an earlier start: each peer is heard, or told of once.
#[derive(Clone, Debug, Default)]
pub struct Absent {
    pings: BTreeMap<PeerId, Metric>,
}

impl Absent {
    /// Waits for the peers of `pings`, but for those that an alert of `told` has spoken of since.
    #[must_use]
    pub fn new(pings: impl IntoIterator<Item = Metric>, told: &[Alert]) -> Self {
        let mut newest: BTreeMap<(PeerId, &str), i64> = BTreeMap::new();
        for alert in told {
            let at = newest.entry((alert.metric.peer, alert.metric.name.as_str())).or_insert(i64::MIN);
            *at = (*at).max(alert.triggered.nanos());
        }
        let is_told =
            |ping: &Metric| newest.get(&(ping.peer, ping.name.as_str())).is_some_and(|at| *at > ping.expire_nanos);
        Self { pings: pings.into_iter().filter(|ping| !is_told(ping)).map(|ping| (ping.peer, ping)).collect() }
    }

    /// It speaks: if it stops again, that is seen.
    pub fn heard(&mut self, peer: &PeerId) {
        self.pings.remove(peer);
    }

    /// The last pings of those that are still waited for.
    pub fn waiting(&self) -> impl Iterator<Item = &Metric> {
        self.pings.values()
    }

    /// They were waited for long enough: returns an alert for each, and waits for nobody any more.
    pub fn give_up(&mut self, now: UnixMillis) -> Vec<Alert> {
        std::mem::take(&mut self.pings).into_values().map(|metric| Alert { metric, triggered: now }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::testing::{at, metric, peer};

    #[test]
    fn who_is_heard_is_not_missed_and_the_others_once() {
        let mut absent = Absent::new((1..=3).map(|n| metric("ping", peer(n), "", 30)), &[]);
        absent.heard(&peer(2));
        let mut missed: Vec<_> =
            absent.give_up(at(400)).into_iter().map(|alert| (alert.metric.peer, alert.triggered)).collect();
        let mut expected = vec![(peer(1), at(400)), (peer(3), at(400))];
        missed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(missed, expected);
        assert!(absent.give_up(at(500)).is_empty());
    }

    #[test]
    fn a_death_that_was_told_of_before_is_not_told_of_again_and_a_later_one_is() {
        let told = |triggered| [Alert { metric: metric("ping", peer(1), "", 0), triggered: at(triggered) }];
        let waits = |told: &[Alert]| Absent::new([metric("ping", peer(1), "", 30)], told).waiting().count();
        assert_eq!(waits(&told(31)), 0);
        assert_eq!(waits(&told(29)), 1, "it lived after that");
        let of_another = [Alert { metric: metric("freespace", peer(1), "", 30), triggered: at(31) }];
        assert_eq!(waits(&of_another), 1);
    }
}
