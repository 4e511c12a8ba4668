mod model;
mod pinset;
mod room;
mod share;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;

use futures::{StreamExt, TryStreamExt};

use super::super::{Daemon, Tracker, spawn};
use super::*;
use crate::ipfs::fake::{Fake, Script, cid};
use crate::ipfs::{Held, IpfsError};
use crate::model::{PeerId, Replication, StatusFilter, TrackerStatus as Status};
use crate::store::LedgerDb;
use crate::task::Task;
use pinset::Pinset;

struct Peer {
    dir: tempfile::TempDir,
    wishes: Arc<Pinset>,
    ipfs: Fake,
    tracker: Tracker,
    task: Task,
}

fn begin(dir: &std::path::Path, wishes: &Arc<Pinset>, ipfs: &Fake) -> (Tracker, Task) {
    begin_on(Arc::new(LedgerDb::open(dir).unwrap()), wishes, ipfs)
}

fn begin_on(ledger: Arc<LedgerDb>, wishes: &Arc<Pinset>, ipfs: &Fake) -> (Tracker, Task) {
    spawn(args(ledger, wishes, ipfs)).unwrap()
}

fn args(ledger: Arc<LedgerDb>, wishes: &Arc<Pinset>, ipfs: &Fake) -> Args {
    Args {
        ipfs: Arc::new(ipfs.clone()),
        ledger,
        wishes: wishes.clone(),
        others: wishes.clone(),
        share: None,
        own: PeerId::from_bytes(&[0, 1, 1]).unwrap(),
        peername: "a".into(),
        concurrent_pins: NonZeroUsize::new(10).unwrap(),
        max_queue: None,
        disk_high_water: 90,
        recover_interval: Duration::from_mins(12),
        priority_max_age: Duration::from_hours(24),
        priority_max_retries: 5,
    }
}

impl Peer {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (wishes, ipfs) = (Arc::new(Pinset::default()), Fake::default());
        let (tracker, task) = begin(dir.path(), &wishes, &ipfs);
        Self { dir, wishes, ipfs, tracker, task }
    }

    /// A peer that is made of other things, too.
    fn with(change: impl FnOnce(&mut Args)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (wishes, ipfs) = (Arc::new(Pinset::default()), Fake::default());
        let mut args = args(Arc::new(LedgerDb::open(dir.path()).unwrap()), &wishes, &ipfs);
        change(&mut args);
        let (tracker, task) = spawn(args).unwrap();
        Self { dir, wishes, ipfs, tracker, task }
    }

    /// Stops, does `meanwhile`, and starts again on the same directory.
    async fn restart(self, meanwhile: impl FnOnce(&Pinset)) -> Self {
        let Self { dir, wishes, ipfs, tracker, task } = self;
        drop(tracker);
        task.stop().await.unwrap();
        meanwhile(&wishes);
        let (tracker, task) = begin(dir.path(), &wishes, &ipfs);
        Self { dir, wishes, ipfs, tracker, task }
    }

    fn status(&self, n: u64) -> Status {
        self.tracker.status(&cid(n)).unwrap().short.status
    }

    /// Waits, in virtual time, until `n` is `status`; fails after `limit`.
    async fn until(&self, n: u64, status: Status, limit: Duration) {
        let reached = async {
            while self.status(n) != status {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let reached = tokio::time::timeout(limit, reached).await;
        assert!(reached.is_ok(), "{n} is {:?} after {limit:?}: {:?}", self.status(n), self.tracker.status(&cid(n)));
    }
}

const SOON: Duration = Duration::from_secs(5);

fn pin(n: u64) -> Pin {
    Pin { timestamp: Some(UnixMillis(1_000)), name: format!("pin {n}"), ..Pin::recursive(cid(n)) }
}

fn elsewhere(n: u64) -> Pin {
    let replication = Replication::Between { min: 1, max: 1 };
    Pin { allocations: vec![PeerId::from_bytes(&[0, 1, 9]).unwrap()], ..pin(n).replicated(replication) }
}

#[tokio::test(start_paused = true)]
async fn a_wish_becomes_a_pin_and_its_end_an_unpin() {
    let peer = Peer::new();
    peer.wishes.put(&[pin(1)]);
    assert_eq!(peer.status(1), Status::PinQueued);
    peer.until(1, Status::Pinned, SOON).await;
    let info = peer.tracker.status(&cid(1)).unwrap();
    assert_eq!((info.name.as_str(), info.short.timestamp, info.short.attempt_count), ("pin 1", UnixMillis(1_000), 0));
    assert_eq!(peer.ipfs.all(), BTreeMap::from([(cid(1), Held::Recursive)]));
    peer.wishes.remove(&cid(1));
    peer.until(1, Status::Unpinned, SOON).await;
    assert_eq!(peer.ipfs.all(), BTreeMap::new());
    assert_eq!(peer.wishes.is_worked_off(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_others_hold_is_remote_and_only_what_we_pinned_is_unpinned() {
    let peer = Peer::new();
    peer.ipfs.set_held(cid(1), Some(Held::Recursive));
    peer.wishes.put(&[elsewhere(1), pin(2)]);
    peer.until(2, Status::Pinned, SOON).await;
    assert_eq!(peer.status(1), Status::Remote);
    peer.wishes.put(&[elsewhere(2)]);
    peer.until(2, Status::Remote, SOON).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert!(peer.ipfs.all().contains_key(&cid(2)), "nobody else holds it yet");
    peer.wishes.set_holding(1);
    tokio::time::sleep(Duration::from_secs(70)).await;
    while peer.ipfs.all().contains_key(&cid(2)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(peer.ipfs.all(), BTreeMap::from([(cid(1), Held::Recursive)]), "the user's own pin stays");
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_is_away_is_waited_for_and_named() {
    let peer = Peer::new();
    peer.ipfs.set_away(true);
    tokio::time::sleep(Duration::from_mins(1)).await;
    peer.wishes.put(&[pin(1)]);
    tokio::time::sleep(SOON).await;
    let info = peer.tracker.status(&cid(1)).unwrap();
    assert!(matches!(info.short.status, Status::PinQueued | Status::PinError));
    assert!(info.short.error.ends_with("dial tcp 127.0.0.1:5001: connect: connection refused"), "{}", info.short.error);
    peer.ipfs.set_away(false);
    peer.until(1, Status::Pinned, Duration::from_secs(11)).await;
    assert!(matches!(peer.tracker.daemon(), Daemon::Up(_)));
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_hanging_is_named_within_half_a_minute_and_costs_nothing() {
    let peer = Peer::new();
    peer.wishes.put(&[pin(0)]);
    peer.until(0, Status::Pinned, SOON).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    peer.ipfs.set_hung(true);
    (1..40).for_each(|n| peer.ipfs.script(cid(n), Script::Stall(Duration::from_mins(2))));
    peer.wishes.put(&(1..40).map(pin).collect::<Vec<_>>());
    tokio::time::sleep(Duration::from_secs(30)).await;
    let error = |n| peer.tracker.status(&cid(n)).unwrap().short.error;
    assert!((1..40).all(|n| error(n) == "the IPFS daemon did not answer within 10s"), "{}", error(1));
    let mut most = tasks();
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(tasks() <= most, "{} tasks, {most} before", tasks());
        most = most.min(tasks() + 1);
    }
    assert!(tasks() <= before + 1, "{} tasks, {before} before", tasks());
    peer.ipfs.set_hung(false);
    (1..40).for_each(|n| peer.ipfs.provide(cid(n)));
    for n in 1..40 {
        peer.until(n, Status::Pinned, Duration::from_mins(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_without_an_end_does_not_end_the_sweeps() {
    let peer = Peer::new();
    peer.wishes.put(&[pin(1)]);
    peer.until(1, Status::Pinned, SOON).await;
    peer.ipfs.set_list_endless(true);
    tokio::time::sleep(Duration::from_hours(1)).await;
    peer.ipfs.set_held(cid(1), None);
    peer.ipfs.set_list_endless(false);
    let found = async {
        while !peer.ipfs.all().contains_key(&cid(1)) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_hours(7), found).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_the_last_process_was() {
    let peer = Peer::new();
    peer.ipfs.script(cid(1), Script::Hang);
    peer.wishes.put(&[pin(1), pin(2), pin(3)]);
    peer.until(2, Status::Pinned, SOON).await;
    peer.until(1, Status::Pinning, SOON).await;
    peer.ipfs.provide(cid(1));
    let peer = peer
        .restart(|wishes| {
            wishes.put(&[pin(4)]);
            wishes.remove(&cid(3));
        })
        .await;
    for n in [1, 2, 4] {
        peer.until(n, Status::Pinned, SOON).await;
    }
    peer.until(3, Status::Unpinned, SOON).await;
    assert_eq!(peer.ipfs.all().into_keys().collect::<Vec<_>>().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_pin_behind_hundreds_that_nobody_has_is_pinned_within_two_seconds() {
    let peer = Peer::new();
    for n in 100..1_100 {
        peer.ipfs.script(cid(n), Script::Stall(Duration::from_mins(2)));
    }
    peer.wishes.put(&(100..1_100).map(pin).collect::<Vec<_>>());
    tokio::time::sleep(SOON).await;
    peer.wishes.put(&[pin(1)]);
    peer.until(1, Status::Pinned, Duration::from_secs(2)).await;
    assert!(peer.ipfs.running().1 <= PROBES_MAX);
    assert!(peer.tracker.counts().unwrap().of(Status::PinQueued) > 0);
}

#[tokio::test(start_paused = true)]
async fn transfers_are_bounded_and_all_end() {
    let peer = Peer::new();
    for n in 0..40 {
        peer.ipfs.script(cid(n), Script::Slow(20, Duration::from_millis(500)));
    }
    peer.wishes.put(&(0..40).map(pin).collect::<Vec<_>>());
    tokio::time::sleep(SOON).await;
    assert!(peer.ipfs.running().0 <= 10, "{:?}", peer.ipfs.running());
    for n in 0..40 {
        peer.until(n, Status::Pinned, Duration::from_mins(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn errors_are_retried_by_themselves_and_at_once_when_asked() {
    let peer = Peer::new();
    let error = IpfsError::Refused("no".into());
    peer.ipfs.script(cid(1), Script::Fail(error.clone()));
    peer.ipfs.script(cid(2), Script::Fail(error));
    peer.wishes.put(&[pin(1), pin(2)]);
    peer.until(1, Status::PinError, SOON).await;
    peer.until(2, Status::PinError, SOON).await;
    let info = peer.tracker.status(&cid(1)).unwrap();
    assert_eq!((info.short.error.as_str(), info.short.attempt_count), ("no", 1));
    let info = peer.tracker.recover(&cid(2)).await.unwrap();
    assert_eq!(info.short.status, Status::PinQueued);
    peer.until(2, Status::Pinned, SOON).await;
    assert_eq!(peer.status(1), Status::PinError);
    peer.until(1, Status::Pinned, Duration::from_secs(90)).await;
}

#[tokio::test(start_paused = true)]
async fn recover_all_tells_what_it_queued() {
    let peer = Peer::new();
    for n in 0..20 {
        peer.ipfs.script(cid(n), Script::Fail(IpfsError::Refused("no".into())));
    }
    peer.wishes.put(&(0..30).map(pin).collect::<Vec<_>>());
    for n in 0..20 {
        peer.until(n, Status::PinError, SOON).await;
    }
    peer.until(25, Status::Pinned, SOON).await;
    let queued: Vec<_> = peer.tracker.recover_all().try_collect().await.unwrap();
    assert_eq!(queued.len(), 20);
    assert!(queued.iter().all(|info| info.short.status == Status::PinQueued));
    for n in 0..20 {
        peer.until(n, Status::Pinned, SOON).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_finds_what_the_daemon_lost_and_a_cut_list_proves_nothing() {
    let peer = Peer::new();
    peer.wishes.put(&[pin(1), pin(2)]);
    peer.until(1, Status::Pinned, SOON).await;
    peer.until(2, Status::Pinned, SOON).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let pins = peer.ipfs.calls().len();
    peer.ipfs.set_list_cut(true);
    tokio::time::sleep(Duration::from_secs(800)).await;
    assert_eq!(peer.ipfs.calls().len(), pins);
    peer.ipfs.set_list_cut(false);
    peer.ipfs.set_held(cid(1), None);
    tokio::time::sleep(Duration::from_secs(800)).await;
    peer.until(1, Status::Pinned, SOON).await;
    assert_eq!(peer.ipfs.calls().len(), pins + 1);
    assert!(peer.ipfs.all().contains_key(&cid(1)));
}

#[tokio::test(start_paused = true)]
async fn an_unpin_that_fails_is_retried_and_a_new_wish_wins_over_it() {
    let peer = Peer::new();
    peer.wishes.put(&[pin(1), pin(2)]);
    peer.until(1, Status::Pinned, SOON).await;
    peer.until(2, Status::Pinned, SOON).await;
    peer.ipfs.set_unpins_fail(true);
    peer.wishes.remove(&cid(1));
    peer.wishes.remove(&cid(2));
    peer.until(1, Status::UnpinError, SOON).await;
    peer.until(2, Status::UnpinError, SOON).await;
    let errors: Vec<_> = peer.tracker.statuses(StatusFilter(Status::UnpinError.bit())).try_collect().await.unwrap();
    assert_eq!(errors.len(), 2);
    peer.ipfs.set_unpins_fail(false);
    peer.wishes.put(&[pin(2)]);
    peer.until(1, Status::Unpinned, Duration::from_mins(2)).await;
    peer.until(2, Status::Pinned, SOON).await;
    assert_eq!(peer.ipfs.all().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn lists_follow_the_pinset_and_their_filter() {
    let peer = Peer::new();
    let pins: Vec<Pin> = (0..2_500).map(|n| if n % 5 == 0 { elsewhere(n) } else { pin(n) }).collect();
    peer.wishes.put(&pins);
    let settled = async {
        while peer.tracker.counts().unwrap().of(Status::Pinned) < 2_000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), settled).await.unwrap();
    let list = |filter| peer.tracker.statuses(filter).map(|info| info.unwrap()).collect::<Vec<_>>();
    let all = list(StatusFilter::ALL).await;
    assert_eq!(all.len(), 2_500);
    assert!(all.is_sorted_by_key(|info| info.cid));
    assert_eq!(list(StatusFilter(Status::Remote.bit())).await.len(), 500);
    assert_eq!(list(StatusFilter(Status::Pinned.bit())).await.len(), 2_000);
    assert_eq!(list(StatusFilter(Status::PinError.bit())).await.len(), 0);
    assert_eq!(peer.tracker.pin_queue_size().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pinset_that_cannot_be_read_for_a_while_loses_no_wish() {
    let peer = Peer::new();
    peer.wishes.set_broken(true);
    peer.wishes.put(&[pin(1)]);
    tokio::time::sleep(SOON).await;
    peer.wishes.set_broken(false);
    peer.until(1, Status::Pinned, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn news_of_everything_walks_the_pinset_and_the_ledger() {
    let peer = Peer::new();
    peer.wishes.put(&(0..5).map(pin).collect::<Vec<_>>());
    for n in 0..5 {
        peer.until(n, Status::Pinned, SOON).await;
    }
    peer.wishes.replace(&cid(0), pin(7));
    peer.until(7, Status::Pinned, SOON).await;
    peer.until(0, Status::Unpinned, SOON).await;
    assert_eq!(peer.ipfs.all().len(), 5);
    assert_eq!(peer.ipfs.calls().len(), 7, "what is pinned already is left alone: {:?}", peer.ipfs.calls());
}

#[tokio::test(start_paused = true)]
async fn a_walk_finds_what_is_being_pinned_and_not_on_disk_yet() {
    let peer = Peer::new();
    tokio::time::sleep(SOON).await;
    // A quick disk has written the row before anybody can look: then the next one may be caught.
    let mut n = 0;
    loop {
        n += 1;
        assert!(n < 100, "no row is ever seen before it is on disk");
        peer.wishes.put(&[pin(n)]);
        let is_idle = || peer.tracker.load().running.iter().all(|(_, n)| *n == 0);
        while is_idle() && peer.status(n) != Status::Pinned {
            tokio::task::yield_now().await;
        }
        if !peer.ipfs.calls().contains(&format!("pin {}", cid(n))) {
            break;
        }
    }
    peer.wishes.replace(&cid(n), pin(200));
    peer.until(200, Status::Pinned, SOON).await;
    peer.until(n, Status::Unpinned, SOON).await;
    tokio::time::sleep(SOON).await;
    let held = (1..n).chain([200]).map(|n| (cid(n), Held::Recursive));
    assert_eq!(peer.ipfs.all(), held.collect());
}

/// One life of a peer, which ends in the middle of whatever it does.
fn live(dir: &std::path::Path, wishes: &Arc<Pinset>, ipfs: &Fake, life: impl AsyncFnOnce(&Tracker)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let peer = runtime.block_on(async {
        let peer = begin(dir, wishes, ipfs);
        life(&peer.0).await;
        peer
    });
    // The loop is not told: it is gone with its runtime.
    drop(runtime);
    drop(peer);
}

#[test]
fn a_crash_at_any_moment_loses_no_wish_and_leaves_no_pin_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (wishes, ipfs) = (Arc::new(Pinset::default()), Fake::default());
    for round in 0..50 {
        live(dir.path(), &wishes, &ipfs, async |_| {
            wishes.put(&[pin(round), pin(1_000 + round)]);
            for _ in 0..round % 17 {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(Duration::from_millis(round * 7 % 23)).await;
            wishes.remove(&cid(1_000 + round));
            if round % 2 == 0 {
                tokio::time::sleep(Duration::from_millis(round * 5 % 19)).await;
            }
        });
    }
    live(dir.path(), &wishes, &ipfs, async |tracker| {
        let wanted: Vec<Cid> = (0..50).map(cid).collect();
        let settled = || tracker.counts().unwrap().of(Status::Pinned) == 50 && ipfs.all().len() == 50;
        let reached = tokio::time::timeout(Duration::from_mins(1), async {
            while !settled() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(reached.await.is_ok(), "{:?}", tracker.counts());
        assert!(wanted.iter().all(|cid| ipfs.all().contains_key(cid)));
    });
}

// Paused time would stand still while a commit runs, and wishes are to come in just then.
#[tokio::test]
async fn the_ledger_knows_on_disk_of_each_pin_before_the_daemon_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (wishes, ipfs) = (Arc::new(Pinset::default()), Fake::default());
    let ledger = Arc::new(LedgerDb::open(dir.path()).unwrap());
    let (unknown, on_disk) = (Arc::new(Mutex::new(Vec::new())), ledger.clone());
    let noted = unknown.clone();
    ipfs.set_witness(Box::new(move |cid| {
        if !on_disk.get(cid).unwrap().is_some_and(|row| row.asked) {
            noted.lock().unwrap().push(*cid);
        }
    }));
    let (tracker, task) = begin_on(ledger, &wishes, &ipfs);
    for n in 0..200 {
        wishes.put(&[pin(n)]);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    while tracker.counts().unwrap().of(Status::Pinned) < 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*unknown.lock().unwrap(), []);
    task.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn another_pinset_under_the_same_ledger_is_looked_at_from_the_start() {
    let mut peer = Peer::new();
    for n in 0..5 {
        peer.wishes.put(&[pin(n)]);
    }
    peer.until(4, Status::Pinned, SOON).await;
    peer.wishes = Arc::new(Pinset::default());
    let peer = peer.restart(|wishes| wishes.put(&[pin(2), pin(9)])).await;
    peer.until(9, Status::Pinned, SOON).await;
    peer.until(0, Status::Unpinned, SOON).await;
    assert_eq!(peer.ipfs.all().len(), 2);
}

#[test]
fn a_commit_is_taken_whole_however_large_it_is() {
    let wishes = Pinset::default();
    let cids: Vec<Cid> = (0..2_500).map(cid).collect();
    wishes.tell(&cids[..10]);
    wishes.tell(&cids);
    let (Step::Changed(first, 1), feed) = Feed::News(0).step(&wishes).unwrap() else { panic!("the first alone") };
    assert_eq!(first.len(), 10);
    let (Step::Changed(second, 2), feed) = feed.step(&wishes).unwrap() else { panic!("then the second") };
    assert_eq!(second.len(), 2_500);
    assert!(matches!(feed.step(&wishes).unwrap(), (Step::Nothing, Feed::News(2))));
}
