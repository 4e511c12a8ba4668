//! Waits until a pin is held by as many peers as it asks for.
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::local;
use crate::cluster::Error;
use crate::cluster::handle::Cluster;
use crate::model::{GlobalPinInfo, Pin, PinInfoShort, Replication, TrackerStatus};
use crate::task;

/// The pause between the first two looks at all peers; each later one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause: a pin that takes minutes is not seen much later than it is there.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Between two looks at this peer's own part, which its ledger rings for at any pin's progress.
const OWN_PAUSE: Duration = Duration::from_millis(50);
/// How long a failure is not believed: until a peer has heard of the pin, it shows what became of the one before.
const STALE_MAX: Duration = Duration::from_secs(2);

impl Cluster {
    /// Waits until as many peers hold `pin` as it asks for at least: all of them, for a pin that is to be everywhere.
    ///
    /// Returns where it stands then, and whether it is held. It is not held when `until` comes first, or when too many
    /// peers failed: they try again, but that takes minutes.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the pin left the pinset meanwhile.
    pub async fn pinned(&self, pin: Pin, until: impl Future<Output = ()>) -> Result<(GlobalPinInfo, bool), Error> {
        let believed_from = task::now() + STALE_MAX;
        let info = local::global(&pin.cid, Some(&pin), task::wall());
        let news = self.inner.tracker.news();
        let mut watched = Watched { cluster: self.clone(), pin, info, news, believed_from };
        let is_held = tokio::select! { biased;
            ended = watched.end() => ended?,
            () = until => false,
        };
        Ok((watched.info, is_held))
    }
}

struct Watched {
    cluster: Cluster,
    pin: Pin,
    /// Where it stood at the last look.
    info: GlobalPinInfo,
    news: watch::Receiver<()>,
    /// When failures begin to be believed.
    believed_from: Instant,
}

impl Watched {
    /// Looks at all peers time and again, and at once when this one is done; returns whether the pin is held.
    async fn end(&mut self) -> Result<bool, Error> {
        let mut pause = PAUSE_MIN;
        loop {
            self.news.mark_unchanged();
            self.look().await?;
            match verdict(&self.info, self.pin.replication) {
                Verdict::Held => return Ok(true),
                Verdict::Failed if task::now() >= self.believed_from => return Ok(false),
                Verdict::Failed | Verdict::UnderWay => (),
            }
            tokio::select! {
                () = self.own_part() => (),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
            }
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        match self.cluster.allocation(self.pin.cid) {
            Err(Error::NotFound) => return Err(Error::NotFound),
            // Another look may find the pinset open again, and the pin is on disk all the while.
            Err(_) => return Ok(()),
            Ok(_) => (),
        }
        if let Ok(info) = self.cluster.status(self.pin.cid, false).await {
            self.info = info;
        }
        Ok(())
    }

    /// Waits until this peer is done with its part; for ever when it has none.
    async fn own_part(&mut self) {
        let own = self.cluster.own_id();
        if !self.info.peer_map.get(&own).is_some_and(is_under_way) {
            return std::future::pending().await;
        }
        while self.news.changed().await.is_ok() {
            let status = self.cluster.status(self.pin.cid, true).await;
            if status.is_ok_and(|info| !info.peer_map.get(&own).is_some_and(is_under_way)) {
                return;
            }
            tokio::time::sleep(OWN_PAUSE).await;
        }
        std::future::pending::<()>().await;
    }
}

fn is_under_way(short: &PinInfoShort) -> bool {
    matches!(short.status, TrackerStatus::PinQueued | TrackerStatus::Pinning)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Enough peers hold it.
    Held,
    /// Too many failed for that.
    Failed,
    UnderWay,
}

fn verdict(info: &GlobalPinInfo, replication: Replication) -> Verdict {
    let count = |is_it: fn(TrackerStatus) -> bool| info.peer_map.values().filter(|short| is_it(short.status)).count();
    let holders = count(|status| status != TrackerStatus::Remote);
    let needed = match replication {
        Replication::Everywhere => holders,
        Replication::Between { min, .. } => usize::try_from(min).unwrap_or(usize::MAX),
    };
    let failed = count(|status| status == TrackerStatus::PinError);
    if holders > 0 && count(|status| status == TrackerStatus::Pinned) >= needed {
        Verdict::Held
    } else if failed > 0 && holders - failed < needed {
        Verdict::Failed
    } else {
        Verdict::UnderWay
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cluster::testing::{Lone, cid};
    use crate::model::{PeerId, PinOptions, UnixMillis};

    fn judged(statuses: &[TrackerStatus], replication: Replication) -> Verdict {
        let pin = Pin::recursive(cid(1));
        let short = |status: &TrackerStatus| PinInfoShort::new(*status, UnixMillis(0));
        let peer_map: BTreeMap<_, _> = statuses.iter().map(|status| (PeerId::random(), short(status))).collect();
        let info = GlobalPinInfo { peer_map, ..local::global(&pin.cid, Some(&pin), UnixMillis(0)) };
        verdict(&info, replication)
    }

    #[test]
    fn enough_peers_are_enough_and_too_few_that_are_left_are_a_failure() {
        use TrackerStatus::{ClusterError, PinError, PinQueued, Pinned, Pinning, Remote};
        let (all, two) = (Replication::Everywhere, Replication::Between { min: 2, max: 3 });
        for (statuses, replication, expected) in [
            (&[Pinned, Pinned, Remote][..], all, Verdict::Held),
            (&[Pinned, Pinning], all, Verdict::UnderWay),
            (&[Pinned, PinError], all, Verdict::Failed),
            (&[Pinned, ClusterError], all, Verdict::UnderWay),
            (&[Pinned, Pinned, PinQueued], two, Verdict::Held),
            (&[Pinned, Pinned, PinError], two, Verdict::Held),
            (&[Pinned, PinQueued, PinError], two, Verdict::UnderWay),
            (&[PinError, PinError, Pinned], two, Verdict::Failed),
            (&[Pinned, Remote], two, Verdict::UnderWay),
            (&[Remote], all, Verdict::UnderWay),
            (&[], all, Verdict::UnderWay),
        ] {
            assert_eq!(judged(statuses, replication), expected, "{statuses:?} {replication:?}");
        }
    }

    #[tokio::test]
    async fn what_is_not_held_in_time_is_told_with_where_it_stands() {
        let lone = Lone::start(|_| ()).await;
        let pin = lone.cluster.pin(cid(1), PinOptions::default()).await.unwrap();
        let (info, is_held) = lone.cluster.pinned(pin, std::future::ready(())).await.unwrap();
        assert_eq!((info.cid, is_held), (cid(1), false));
        assert_eq!(lone.cluster.allocation(cid(1)).unwrap().cid, cid(1));
        lone.stop().await;
    }

    #[tokio::test]
    async fn a_pin_that_is_taken_back_ends_the_wait() {
        let lone = Lone::start(|_| ()).await;
        let pin = lone.cluster.pin(cid(1), PinOptions::default()).await.unwrap();
        let (waited, _) = tokio::join!(lone.cluster.pinned(pin, std::future::pending()), lone.cluster.unpin(cid(1)));
        assert!(matches!(waited, Err(Error::NotFound)));
        lone.stop().await;
    }
}
