use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tokio::sync::watch;

use super::*;
use crate::cluster::net::Counts;
use crate::cluster::peers::Members;
use crate::cluster::testing::{Home, Lone, metric_of};
use crate::model::{Alert, Metric, PeerId, UnixMillis};
use crate::store::LedgerDb;
use crate::task::{Fatal, Task};

/// Alerts over a disk that `write` is.
struct Bench {
    alerts: Alerts,
    counts: Arc<Counts>,
    kept: watch::Receiver<()>,
    task: Task,
}

fn bench(known: Vec<Alert>, write: impl Fn(&[Alert]) -> Result<(), Fatal> + Send + Sync + 'static) -> Bench {
    let counts = Arc::new(Counts::default());
    let (alerts, waiting) = Alerts::new(known, counts.clone());
    let (ring, kept) = watch::channel(());
    let keeper = Keeper { waiting, write: Arc::new(write), kept: ring, counts: counts.clone() };
    Bench { alerts, counts, kept, task: Task::spawn(|stop| keeper.run(stop)) }
}

fn on(folder: &Path) -> Bench {
    let ledger = LedgerDb::open(folder).unwrap();
    let known = ledger.alerts().unwrap();
    bench(known, move |alerts| Ok(ledger.add_alerts(alerts)?))
}

fn alert(n: i64) -> Alert {
    Alert { metric: metric_of("ping", PeerId::random(), n), triggered: UnixMillis(n) }
}

fn of(alerts: &[Alert]) -> Vec<PeerId> {
    alerts.iter().map(|alert| alert.metric.peer).collect()
}

#[tokio::test]
async fn three_peers_that_die_one_after_another_are_three_alerts_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let at = UnixMillis::from_seconds;
    let ping = |peer, expires| Metric { expire_nanos: at(expires).nanos(), ..metric_of("ping", peer, 0) };
    let peers = [1, 2, 3].map(|_| PeerId::random());
    let members = || {
        let members = Members::new(PeerId::random(), "ping".into());
        peers.iter().zip([30, 60, 90]).for_each(|(peer, dies)| assert!(members.receive(ping(*peer, dies), at(0))));
        members
    };
    let (before, first) = (members(), on(folder.path()));
    for now in [15, 30, 45, 60, 75] {
        before.check(at(now)).into_iter().for_each(|alert| first.alerts.raise(alert));
    }
    assert_eq!(of(&first.alerts.all()), [peers[1], peers[0]]);
    first.task.stop().await.unwrap();

    let (after, second) = (members(), on(folder.path()));
    assert_eq!(of(&second.alerts.all()), [peers[1], peers[0]]);
    // The third one is all that this start has to learn.
    let new = after.check(at(105)).into_iter().filter(|alert| alert.metric.peer == peers[2]);
    new.for_each(|alert| second.alerts.raise(alert));
    let shown = second.alerts.all();
    assert_eq!(of(&shown), [peers[2], peers[1], peers[0]]);
    second.task.stop().await.unwrap();
    assert_eq!(on(folder.path()).alerts.all(), shown);
}

#[tokio::test]
async fn a_disk_that_stalls_holds_up_nobody_and_what_does_not_fit_is_counted() {
    let (release, stalled) = mpsc::channel::<()>();
    let (stalled, written) = (Mutex::new(stalled), Arc::new(Mutex::new(Vec::new())));
    let (disk, (entered, mut stalls)) = (written.clone(), watch::channel(()));
    let Bench { alerts, counts, task, .. } = bench(Vec::new(), move |alerts| {
        entered.send_replace(());
        // Returns when the other end is dropped.
        let _ = stalled.lock().unwrap().recv();
        disk.lock().unwrap().extend_from_slice(alerts);
        Ok(())
    });
    alerts.raise(alert(0));
    stalls.changed().await.unwrap();
    (1..=5_000).for_each(|n| alerts.raise(alert(n)));
    assert_eq!((alerts.count(), alerts.all()[0].triggered), (1_000, UnixMillis(5_000)));
    assert_eq!(counts.all()["alerts_not_kept"], 4_000);
    drop(release);
    task.stop().await.unwrap();
    let written: Vec<i64> = written.lock().unwrap().iter().map(|alert| alert.triggered.0).collect();
    assert_eq!(written, (0..=1_000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_refuses_is_asked_again_until_it_takes_them_once() {
    let (tries, written) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (count, disk) = (tries.clone(), written.clone());
    let Bench { alerts, mut kept, task, .. } = bench(Vec::new(), move |alerts| {
        *count.lock().unwrap() += 1;
        if *count.lock().unwrap() < 4 {
            return Err("the disk is full".into());
        }
        disk.lock().unwrap().extend_from_slice(alerts);
        Ok(())
    });
    alerts.raise(alert(1));
    kept.changed().await.unwrap();
    task.stop().await.unwrap();
    assert_eq!((*tries.lock().unwrap(), written.lock().unwrap().clone()), (4, alerts.all()));
}

#[tokio::test(start_paused = true)]
async fn what_a_disk_still_refuses_when_the_peer_stops_is_counted() {
    let Bench { alerts, counts, task, .. } = bench(Vec::new(), |_| Err("the disk is full".into()));
    (0..3).for_each(|n| alerts.raise(alert(n)));
    tokio::time::sleep(Duration::from_mins(1)).await;
    task.stop().await.unwrap();
    assert_eq!(counts.all()["alerts_not_kept"], 3);
}

#[tokio::test]
async fn texts_are_shown_as_long_as_they_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let first = on(folder.path());
    let metric = Metric { value: "ä".repeat(30_000), ..metric_of("ping", PeerId::random(), 0) };
    first.alerts.raise(Alert { metric, triggered: UnixMillis(1) });
    let shown = first.alerts.all();
    assert_eq!(shown[0].metric.value.len(), 8_192);
    first.task.stop().await.unwrap();
    assert_eq!(on(folder.path()).alerts.all(), shown);
}

/// A peer that looks for expired metrics all the time, and hears of one.
async fn watchful(home: Home) -> (Lone, Metric) {
    let mut home = home;
    home.config.monitor.check_interval = Duration::from_millis(5);
    let lone = home.start().await;
    let dead = Metric { expire_nanos: 1, ..metric_of("dead", PeerId::random(), 0) };
    lone.cluster.inner.members.receive(dead.clone(), UnixMillis(0));
    // What has been expired for so long is forgotten when it has been looked at.
    while lone.cluster.metric_names().contains(&dead.name) {
        tokio::task::yield_now().await;
    }
    (lone, dead)
}

#[tokio::test]
async fn a_peer_shows_the_alerts_of_its_last_start() {
    let (lone, dead) = Box::pin(watchful(Home::new())).await;
    // The lock on the members was free between the look and the alert.
    while lone.cluster.alerts().is_empty() {
        tokio::task::yield_now().await;
    }
    let shown = lone.cluster.alerts();
    assert_eq!((shown.len(), shown[0].metric.peer), (1, dead.peer));
    let again = lone.stop().await.start().await;
    assert_eq!(again.cluster.alerts(), shown);
    again.stop().await;
}

#[tokio::test]
async fn a_follower_keeps_no_alerts_not_even_those_that_it_had() {
    let mut home = Home::new();
    LedgerDb::open(&home.config.folder).unwrap().add_alerts(&[alert(1)]).unwrap();
    home.config.cluster.follower_mode = true;
    let (lone, _) = Box::pin(watchful(home)).await;
    assert!(lone.cluster.alerts().is_empty());
    lone.stop().await;
}
