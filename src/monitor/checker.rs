//! Missing metrics become alerts.
use std::collections::BTreeSet;

use super::Window;
use super::repair::LEAVING;
use crate::model::{Alert, PeerId, UnixMillis};

/// Notices metrics that expire: one alert a failure.
///
/// It cannot end or give up: a metric that comes back and expires again is a new alert, as often as that happens.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    /// The failures that were told of; as bounded as the window, which it is cut to in each round.
    failed: BTreeSet<(PeerId, String)>,
}

impl Checker {
    /// Returns an alert for each newest metric of `window` that expired since it was last live, by peer and name.
    pub fn check(&mut self, window: &Window, now: UnixMillis) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let mut failed = BTreeSet::new();
        // A peer that is not drained any more, or gone as it should, is no failure.
        for metric in window.newest_of_all().filter(|metric| metric.name != LEAVING) {
            let key = (metric.peer, metric.name.clone());
            let known = self.failed.contains(&key);
            let expired = now.nanos() > metric.expire_nanos;
            if expired && !known {
                alerts.push(Alert { metric: metric.clone(), triggered: now });
            }
            // An invalid metric that has not expired proves nothing: the failure, if there is one, goes on.
            if expired || (known && !metric.valid) {
                failed.insert(key);
            }
        }
        self.failed = failed;
        alerts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Metric;
    use crate::monitor::testing::{at, metric, peer};

    fn window(metrics: &[Metric]) -> Window {
        let mut window = Window::default();
        for metric in metrics {
            window.insert(metric.clone(), at(0));
        }
        window
    }

    #[test]
    fn one_failure_is_one_alert() {
        let mut checker = Checker::default();
        let window = window(&[metric("ping", peer(1), "", 30)]);
        assert!(checker.check(&window, at(30)).is_empty());
        let alerts = checker.check(&window, at(31));
        assert_eq!(alerts.len(), 1);
        assert_eq!((alerts[0].metric.peer, alerts[0].triggered), (peer(1), at(31)));
        for later in 32..1_000 {
            assert!(checker.check(&window, at(later)).is_empty());
        }
    }

    #[test]
    fn the_end_of_a_drain_is_no_failure() {
        let mut checker = Checker::default();
        let window = window(&[metric(LEAVING, peer(1), "", 30)]);
        assert!(checker.check(&window, at(31)).is_empty());
    }

    #[test]
    fn a_peer_that_dies_again_is_told_of_again() {
        let mut checker = Checker::default();
        let mut window = window(&[metric("ping", peer(1), "", 30)]);
        for round in 0..10 {
            let start = round * 100;
            assert_eq!(checker.check(&window, at(start + 31)).len(), 1, "round {round}");
            window.insert(metric("ping", peer(1), "", start + 130), at(start + 100));
            assert!(checker.check(&window, at(start + 101)).is_empty());
        }
    }

    #[test]
    fn an_invalid_metric_is_no_recovery() {
        let mut checker = Checker::default();
        let mut window = window(&[metric("freespace", peer(1), "", 30)]);
        assert_eq!(checker.check(&window, at(31)).len(), 1);
        window.insert(Metric { valid: false, ..metric("freespace", peer(1), "", 60) }, at(32));
        assert!(checker.check(&window, at(33)).is_empty());
        assert!(checker.check(&window, at(61)).is_empty());
    }

    #[test]
    fn every_name_of_every_peer_is_watched_and_forgotten_with_its_peer() {
        let mut checker = Checker::default();
        let mut window = window(&[
            metric("ping", peer(1), "", 30),
            metric("freespace", peer(1), "", 40),
            metric("ping", peer(2), "", 30),
        ]);
        assert_eq!(checker.check(&window, at(35)).len(), 2);
        assert_eq!(checker.check(&window, at(45)).len(), 1);
        window.evict(at(10_000));
        assert!(checker.check(&window, at(10_000)).is_empty());
        assert!(checker.failed.is_empty());
    }
}
