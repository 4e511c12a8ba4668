//! What a peer shows of itself at one moment: from what is at hand, whatever the pinset's size.
use std::path::Path;
use std::time::Duration;

use super::Cluster;
use crate::cluster::pinset::Load;
use crate::crdt::Summary;
use crate::model::TrackerStatus;
use crate::observe::Meters;
use crate::store::free_space;
use crate::task;
use crate::tracker::{self, Daemon};

/// A peer at one moment.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Its pinset and the replication.
    pub summary: Summary,
    /// What waits for the pinset's writer.
    pub writer: Load,
    /// What the tracker does.
    pub tracker: tracker::Load,
    /// Where the tracker's rows stand; nothing when the ledger cannot be read.
    pub by_status: Vec<(TrackerStatus, u64)>,
    /// How long the row that waits longest has been due.
    pub oldest_due: Duration,
    /// Whether the IPFS daemon answers.
    pub ipfs_is_up: bool,
    /// The weight of the disk metric that this peer last told.
    pub disk_weight: Option<i64>,
    /// Members, this peer among them.
    pub members: usize,
    /// Peers that this one is connected to.
    pub connected: usize,
    /// Alerts that are kept.
    pub alerts: usize,
    /// The greatest difference between this clock and that of another peer; nothing before enough pings came.
    pub clock_skew: Option<Duration>,
    /// Bytes of the files of the stores.
    pub store_bytes: Vec<(&'static str, u64)>,
    /// Bytes free where they are.
    pub free_bytes: Option<u64>,
}

impl Cluster {
    /// Returns the meters of this peer's parts.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.inner.meters
    }

    /// Returns how this peer is at the moment.
    #[must_use]
    pub fn observe(&self) -> Observation {
        let inner = &*self.inner;
        let rows = inner.tracker.counts().ok();
        let by_status = rows.iter().flat_map(|rows| TrackerStatus::TRACKED.map(|status| (status, rows.of(status))));
        Observation {
            summary: self.summary(),
            writer: inner.pinset.load(),
            tracker: inner.tracker.load(),
            by_status: by_status.collect(),
            oldest_due: inner.tracker.oldest_due().unwrap_or_default(),
            ipfs_is_up: matches!(inner.tracker.daemon(), Daemon::Up(_)),
            disk_weight: self.disk_weight(),
            members: inner.members.peerset(task::wall()).len(),
            connected: inner.swarm.connected().len(),
            alerts: inner.alerts.count(),
            clock_skew: self.clock_skew(),
            store_bytes: self.store_bytes(),
            free_bytes: inner.stores[0].parent().and_then(|folder| free_space(folder).ok()),
        }
    }

    fn clock_skew(&self) -> Option<Duration> {
        let skews = self.inner.members.skews();
        skews.iter().map(|(_, ahead)| Duration::from_millis(ahead.unsigned_abs())).max()
    }

    fn disk_weight(&self) -> Option<i64> {
        let own = |name: &str| self.metrics(name).into_iter().find(|metric| metric.peer == self.inner.own);
        ["freespace", "reposize"].iter().find_map(|name| own(name)).map(|metric| metric.weight)
    }

    fn store_bytes(&self) -> Vec<(&'static str, u64)> {
        let size = |path: &Path| path.metadata().map(|data| data.len()).ok();
        let [pinset, ledger] = &self.inner.stores;
        let sizes = [("pinset", size(pinset)), ("ledger", size(ledger))];
        sizes.into_iter().filter_map(|(store, bytes)| Some((store, bytes?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::cluster::testing::{Lone, cid, metric_of};
    use crate::model::{PinOptions, TrackerStatus};
    use crate::task;

    #[tokio::test]
    async fn a_lone_peer_whose_daemon_is_away_shows_what_waits() {
        let lone = Lone::start(|_| ()).await;
        let quiet = lone.cluster.observe();
        for n in 0..3 {
            lone.cluster.pin(cid(n), PinOptions::default()).await.unwrap();
        }
        let mut news = lone.cluster.inner.tracker.news();
        let seen = loop {
            let seen = lone.cluster.observe();
            if seen.by_status.contains(&(TrackerStatus::PinQueued, 3)) {
                break seen;
            }
            news.changed().await.unwrap();
        };
        assert_eq!((quiet.summary.entries, seen.summary.entries, seen.members, seen.connected), (0, 3, 1, 0));
        assert_eq!(seen.tracker.waiting.iter().map(|(_, n)| n).sum::<usize>(), 3, "{:?}", seen.tracker);
        assert_eq!(seen.tracker.running.iter().map(|(_, n)| n).sum::<usize>(), 0, "{:?}", seen.tracker);
        assert!(!seen.ipfs_is_up && seen.disk_weight.is_none());
        assert_eq!(seen.store_bytes.iter().map(|(store, _)| *store).collect::<Vec<_>>(), ["pinset", "ledger"]);
        assert!(seen.store_bytes.iter().all(|(_, bytes)| *bytes > 0) && seen.free_bytes.is_some());
        let disk = metric_of("freespace", lone.cluster.own_id(), 7);
        assert!(lone.cluster.inner.members.receive(disk, task::wall()));
        assert_eq!(lone.cluster.observe().disk_weight, Some(7));
        lone.stop().await;
    }
}
