//! The tracker with a real Kubo: what the pinset says is what the daemon holds.
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::future::BoxFuture;
use ipfs_cluster::ipfs::{Connector, Held, Kubo, KuboArgs};
use ipfs_cluster::model::{Cid, MaxDepth, PeerId, Pin, TrackerStatus as Status};
use ipfs_cluster::store::LedgerDb;
use ipfs_cluster::task::Task;
use ipfs_cluster::tracker::{Args, News, Others, Tracker, Wishes, WishesError, spawn};
use tokio::sync::watch;

#[path = "common/kubo.rs"]
mod kubo;

/// A pinset in memory: what remains of the database's when only the tracker is tested.
struct Pinset {
    pins: Mutex<BTreeMap<Cid, Pin>>,
    news: Mutex<Vec<News>>,
    changed: watch::Sender<u64>,
}

impl Pinset {
    fn pins(&self) -> MutexGuard<'_, BTreeMap<Cid, Pin>> {
        self.pins.lock().expect("no test panics with it")
    }

    fn rows(&self) -> MutexGuard<'_, Vec<News>> {
        self.news.lock().expect("no test panics with it")
    }

    fn new() -> Arc<Self> {
        Arc::new(Self { pins: Mutex::default(), news: Mutex::default(), changed: watch::Sender::new(0) })
    }

    fn set(&self, cid: Cid, pin: Option<Pin>) {
        match pin {
            Some(pin) => self.pins().insert(cid, pin),
            None => self.pins().remove(&cid),
        };
        let commit = *self.changed.borrow() + 1;
        self.rows().push(News { commit, n: 0, cid: Some(cid) });
        self.changed.send_replace(commit);
    }
}

impl Wishes for Pinset {
    fn news(&self, after: u64, limit: usize) -> Result<Vec<News>, WishesError> {
        Ok(self.rows().iter().filter(|row| row.commit > after).take(limit).copied().collect())
    }

    fn pin(&self, cid: &Cid) -> Result<Option<Pin>, WishesError> {
        Ok(self.pins().get(cid).cloned())
    }

    fn page(&self, after: Option<&[u8]>, limit: usize) -> Result<(Vec<Pin>, Option<Vec<u8>>), WishesError> {
        let pins = self.pins();
        let after = after.map(|after| Cid::try_from(after).expect("a cursor of ours"));
        let page: Vec<Pin> = pins.values().filter(|p| after.is_none_or(|a| p.cid > a)).take(limit).cloned().collect();
        let next = (page.len() == limit).then(|| page[limit - 1].cid.to_bytes());
        Ok((page, next))
    }

    fn worked_off(&self, commit: u64) {
        self.rows().retain(|row| row.commit > commit);
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

impl Others for Pinset {
    fn hold(&self, _: Cid, _: Vec<PeerId>, _: usize) -> BoxFuture<'static, bool> {
        Box::pin(std::future::ready(true))
    }
}

fn connector(node: &str) -> Arc<Kubo> {
    let args = KuboArgs {
        node: node.parse().expect("an address"),
        request_timeout: Duration::from_secs(20),
        pin_timeout: Duration::from_secs(2),
        unpin_timeout: Duration::from_secs(20),
        unpin_disable: false,
    };
    Arc::new(Kubo::new(args).expect("a TCP address"))
}

fn begin(dir: &Path, pinset: &Arc<Pinset>, ipfs: &Arc<Kubo>) -> (Tracker, Task) {
    let args = Args {
        ipfs: ipfs.clone(),
        ledger: Arc::new(LedgerDb::open(dir).expect("a ledger")),
        wishes: pinset.clone(),
        others: pinset.clone(),
        share: None,
        own: PeerId::random(),
        peername: "a".into(),
        concurrent_pins: NonZeroUsize::new(10).expect("not 0"),
        max_queue: None,
        disk_high_water: 0,
        recover_interval: Duration::from_secs(3),
        priority_max_age: Duration::from_hours(1),
        priority_max_retries: 5,
    };
    spawn(args).expect("a tracker")
}

async fn until(tracker: &Tracker, cid: Cid, status: Status) {
    let reached = async {
        while tracker.status(&cid).expect("a status").short.status != status {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(30), reached).await;
    assert!(reached.is_ok(), "{cid} is not {status:?} after 30 s: {:?}", tracker.status(&cid));
}

async fn start_kubo() -> kubo::Kubo {
    tokio::task::spawn_blocking(kubo::Kubo::start).await.expect("Kubo starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_holds_what_the_pinset_says() {
    let daemon = start_kubo().await;
    let add = |content: &[u8]| -> Cid { daemon.add(content).parse().expect("a CID") };
    let (whole, root, lost) = (add(b"whole"), add(b"root"), add(b"lost"));
    let missing: Cid = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmm1".parse().expect("a CID");
    let (dir, pinset, ipfs) = (tempfile::tempdir().expect("a directory"), Pinset::new(), connector(&daemon.node()));
    let (tracker, task) = begin(dir.path(), &pinset, &ipfs);

    pinset.set(missing, Some(Pin::recursive(missing)));
    pinset.set(whole, Some(Pin::recursive(whole)));
    pinset.set(lost, Some(Pin::recursive(lost)));
    pinset.set(root, Some(Pin { max_depth: MaxDepth::Direct, ..Pin::recursive(root) }));
    for cid in [whole, root, lost] {
        until(&tracker, cid, Status::Pinned).await;
    }
    until(&tracker, missing, Status::PinError).await;
    assert_eq!(ipfs.held(whole).await, Ok(Some(Held::Recursive)));
    assert_eq!(ipfs.held(root).await, Ok(Some(Held::Direct)));
    let error = tracker.status(&missing).expect("a status").short;
    assert_eq!((error.error, error.attempt_count), (format!("no block of {missing} arrived for 2s"), 1));

    daemon.ipfs(&["pin", "rm", &lost.to_string()]);
    let found = async {
        while ipfs.held(lost).await != Ok(Some(Held::Recursive)) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found).await.expect("a sweep finds what the daemon lost");

    for cid in [whole, root, missing] {
        pinset.set(cid, None);
        until(&tracker, cid, Status::Unpinned).await;
        assert_eq!(ipfs.held(cid).await, Ok(None));
    }
    task.stop().await.expect("it ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_and_a_tracker_that_restart_go_on() {
    let mut daemon = start_kubo().await;
    let cids: Vec<Cid> = (0..40_u8).map(|n| daemon.add(&[n; 100]).parse().expect("a CID")).collect();
    daemon.stop();
    let (dir, pinset, ipfs) = (tempfile::tempdir().expect("a directory"), Pinset::new(), connector(&daemon.node()));
    let (tracker, task) = begin(dir.path(), &pinset, &ipfs);
    for cid in &cids[..20] {
        pinset.set(*cid, Some(Pin::recursive(*cid)));
    }
    until(&tracker, cids[19], Status::PinQueued).await;
    let reached = async {
        while !tracker.status(&cids[0]).expect("a status").short.error.contains("connection refused") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reached).await.expect("the daemon's absence is named");
    drop(tracker);
    task.stop().await.expect("it ends well");

    for cid in &cids[20..] {
        pinset.set(*cid, Some(Pin::recursive(*cid)));
    }
    let (tracker, task) = begin(dir.path(), &pinset, &ipfs);
    let daemon = tokio::task::spawn_blocking(move || {
        daemon.run();
        daemon
    });
    let daemon = daemon.await.expect("Kubo starts again");
    for cid in &cids {
        until(&tracker, *cid, Status::Pinned).await;
        assert_eq!(ipfs.held(*cid).await, Ok(Some(Held::Recursive)));
    }
    task.stop().await.expect("it ends well");
    drop(daemon);
}
