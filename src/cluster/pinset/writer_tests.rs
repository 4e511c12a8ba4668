use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc as std_mpsc;

use super::*;
use crate::cluster::pinset::News;
use crate::crdt::{Op, Seen, Sending, WriteError};
use crate::store::Options;

#[path = "toy.rs"]
mod toy;

use toy::{cid, merge, pin};

/// How far the outside world lets the writer.
#[derive(Default)]
struct World {
    /// Bytes free on the disk.
    free: AtomicU64,
    /// Whether the store may be opened.
    barred: AtomicBool,
    /// Commits so far.
    commits: AtomicU64,
    /// Taken by each commit, one at a time: hold it to stop the writer between a commit and its answers.
    gate: Mutex<()>,
}

struct Bench {
    pinset: Pinset,
    outbound: mpsc::Receiver<Outbound>,
    _writer: Writer,
    world: Arc<World>,
    _dir: tempfile::TempDir,
}

fn args(dir: &Path, world: &Arc<World>) -> Args {
    let (dir, opened, space, committed) = (dir.to_path_buf(), world.clone(), world.clone(), world.clone());
    Args {
        open_store: Box::new(move || {
            if opened.barred.load(Ordering::SeqCst) {
                return Err(StoreError::Full { path: "barred".into() });
            }
            PinsetDb::open(&dir, Options::default())
        }),
        open_engine: Box::new(toy::open),
        reader: Arc::new(toy::Reader),
        meters: PinsetMeters::default(),
        free_space: Box::new(move || Ok(space.free.load(Ordering::SeqCst))),
        after_commit: Some(Arc::new(move || {
            committed.commits.fetch_add(1, Ordering::SeqCst);
            drop(committed.gate.lock());
        })),
    }
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let world = Arc::new(World { free: AtomicU64::new(u64::MAX), ..World::default() });
    let (pinset, outbound, writer) = spawn(args(dir.path(), &world)).unwrap();
    Bench { pinset, outbound, _writer: writer, world, _dir: dir }
}

impl Bench {
    async fn put(&self, n: u64, name: &str) -> Result<crate::model::Pin, Error> {
        self.pinset.write(Op::Pin(Box::new(pin(n, name))), Seen::Any).await
    }

    fn name(&self, n: u64) -> Option<String> {
        self.pinset.get(&cid(n)).unwrap().map(|(pin, _)| pin.name)
    }

    async fn until(&self, what: impl FnMut(&State) -> bool) {
        self.pinset.state().wait_for(what).await.unwrap();
    }

    async fn entries(&self, entries: u64) {
        self.pinset.summary().wait_for(|summary| summary.entries == entries).await.unwrap();
    }

    async fn outbound(&mut self, what: impl Fn(&Outbound) -> bool) -> Outbound {
        loop {
            let next = self.outbound.recv().await.unwrap();
            if what(&next) {
                return next;
            }
        }
    }
}

#[tokio::test]
async fn a_write_is_answered_with_what_is_on_disk() {
    let bench = bench();
    assert_eq!(bench.put(1, "one").await.unwrap(), pin(1, "one"));
    assert_eq!(bench.name(1).as_deref(), Some("one"));
    assert_eq!(bench.pinset.write(Op::Unpin(cid(1)), Seen::Any).await.unwrap(), pin(1, "one"));
    assert!(matches!(bench.pinset.write(Op::Unpin(cid(1)), Seen::Any).await, Err(Error::NotFound)));
    let stale =
        bench.pinset.write(Op::Pin(Box::new(pin(2, ""))), Seen::Winner(Some(crdt::OpId { counter: 7, actor: vec![] })));
    assert!(matches!(stale.await, Err(Error::Write(WriteError::Stale))));
}

#[tokio::test]
async fn what_a_write_makes_known_leaves_after_it() {
    let mut bench = bench();
    bench.put(1, "one").await.unwrap();
    let sent = bench.outbound(|out| matches!(out, Outbound::Sending(_))).await;
    assert_eq!(sent, Outbound::Sending(Sending::Gossip { topic: 0, bytes: "one".into() }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_answered_before_the_commit_and_writes_that_wait_share_the_next_one() {
    let bench = Arc::new(bench());
    bench.put(0, "first").await.unwrap();
    let before = bench.world.commits.load(Ordering::SeqCst);
    let gate = bench.world.gate.lock().unwrap();
    let mut writes = tokio::task::JoinSet::new();
    for n in 0..=100 {
        let write = bench.clone();
        writes.spawn(async move { write.put(n, "again").await.map(drop) });
        while n == 0 && bench.world.commits.load(Ordering::SeqCst) == before {
            thread::yield_now();
        }
    }
    while bench.pinset.commands.max_capacity() - bench.pinset.commands.capacity() < 100 {
        thread::yield_now();
    }
    assert_eq!(bench.name(0).as_deref(), Some("again"));
    assert!(writes.try_join_next().is_none(), "it is on disk, and nobody was told yet");
    drop(gate);
    while let Some(done) = writes.join_next().await {
        done.unwrap().unwrap();
    }
    let commits = bench.world.commits.load(Ordering::SeqCst) - before;
    assert_eq!(commits, 2, "one for the first, one for the hundred that waited");
}

#[tokio::test]
async fn an_error_of_a_turn_is_told_to_its_callers_and_the_store_opens_again() {
    let bench = bench();
    bench.put(1, "one").await.unwrap();
    let error = bench.put(2, toy::FAIL).await.unwrap_err();
    assert!(matches!(&error, Error::Other(text) if text.contains("told to fail")), "{error}");
    bench.until(|state| *state == State::Open).await;
    assert_eq!(bench.name(1).as_deref(), Some("one"));
    assert_eq!(bench.put(2, "two").await.unwrap(), pin(2, "two"));
    bench.pinset.read(toy::check_sum).unwrap();
}

#[tokio::test]
async fn a_panic_of_the_engine_is_an_error_as_any_other() {
    let bench = bench();
    let error = bench.put(1, toy::PANIC).await.unwrap_err();
    assert!(matches!(&error, Error::Other(text) if text.contains("panicked")), "{error}");
    bench.until(|state| *state == State::Open).await;
    assert_eq!(bench.name(1), None);
    assert_eq!(bench.put(1, "one").await.unwrap(), pin(1, "one"));
}

#[tokio::test]
async fn while_the_store_is_closed_reads_and_writes_say_so() {
    let bench = bench();
    bench.world.barred.store(true, Ordering::SeqCst);
    assert!(bench.put(1, toy::FAIL).await.is_err());
    bench.until(|state| matches!(state, State::Reopening { .. })).await;
    assert!(matches!(bench.pinset.get(&cid(1)), Err(Error::Reopening(_))));
    assert!(matches!(bench.put(1, "").await, Err(Error::Reopening(_))));
    bench.until(|state| matches!(state, State::Reopening { error } if error.contains("barred"))).await;
    bench.world.barred.store(false, Ordering::SeqCst);
    bench.until(|state| *state == State::Open).await;
    bench.put(1, "").await.unwrap();
}

#[tokio::test]
async fn merges_of_others_are_committed_too() {
    let bench = bench();
    bench.pinset.offer(merge(1, "theirs")).unwrap();
    bench.entries(1).await;
    assert_eq!(bench.name(1).as_deref(), Some("theirs"));
}

#[tokio::test]
async fn without_space_writes_are_refused_and_reads_go_on() {
    let bench = bench();
    bench.put(1, "one").await.unwrap();
    bench.world.free.store(FREE_BYTES_MIN, Ordering::SeqCst);
    let error = bench.put(2, "two").await.unwrap_err();
    assert!(matches!(error, Error::NoSpace { free: FREE_BYTES_MIN, needed } if needed > FREE_BYTES_MIN), "{error}");
    bench.pinset.offer(merge(3, "three")).unwrap();
    assert!(matches!(bench.put(2, "two").await, Err(Error::NoSpace { .. })));
    assert_eq!((bench.name(1).as_deref(), bench.name(3)), (Some("one"), None));
    bench.world.free.store(u64::MAX, Ordering::SeqCst);
    bench.put(2, "two").await.unwrap();
    assert_eq!(*bench.pinset.state().borrow(), State::Open);
}

#[tokio::test]
async fn an_input_that_finds_the_queue_full_is_refused_and_counted() {
    let mut bench = bench();
    bench.put(0, "").await.unwrap();
    {
        let _gate = bench.world.gate.lock().unwrap();
        bench.pinset.offer(merge(1, "")).unwrap();
        let refused = (0..=3 * INPUTS_MAX).filter(|_| bench.pinset.offer(Input::Tick).is_err()).count();
        assert!(refused > 0);
    }
    let counted = |out: &Outbound| matches!(out, Outbound::Counts(counts) if counts[0].0 == "pinset_inputs_refused");
    bench.outbound(counted).await;
}

#[tokio::test]
async fn bytes_that_wait_are_bounded_too() {
    let bench = bench();
    let heavy = || {
        let Input::Checked { from, item } = merge(1, "") else { unreachable!("a merge is checked") };
        Input::Checked { from, item: crdt::Checked { weight: 40 << 20, ..item } }
    };
    bench.put(0, "").await.unwrap();
    {
        let _gate = bench.world.gate.lock().unwrap();
        bench.pinset.offer(merge(1, "")).unwrap();
        let taken = (0..4).filter(|_| bench.pinset.offer(heavy()).is_ok()).count();
        assert!((1..=2).contains(&taken), "one waits, and one may be in the writer's hands: {taken}");
    }
    bench.put(2, "").await.unwrap();
    bench.pinset.offer(heavy()).unwrap();
}

#[tokio::test]
async fn news_come_by_commit_and_go_when_they_are_worked_off() {
    let bench = bench();
    let mut watch = bench.pinset.news_watch();
    assert_eq!(*watch.borrow_and_update(), 0);
    for n in 1..=3 {
        bench.put(n, "").await.unwrap();
    }
    watch.wait_for(|commit| *commit == 3).await.unwrap();
    let news = |n| News { commit: n, n: 0, cid: Some(cid(n)) };
    assert_eq!(bench.pinset.news(0, 100).unwrap(), [news(1), news(2), news(3)]);
    assert_eq!(bench.pinset.news(1, 1).unwrap(), [news(2)]);
    bench.pinset.worked_off(2);
    bench.put(4, "").await.unwrap();
    assert_eq!(bench.pinset.news(0, 100).unwrap(), [news(3), news(4)]);
}

#[tokio::test]
async fn the_number_of_the_last_news_outlives_them() {
    let dir = tempfile::tempdir().unwrap();
    let world = Arc::new(World { free: AtomicU64::new(u64::MAX), ..World::default() });
    let (pinset, _outbound, writer) = spawn(args(dir.path(), &world)).unwrap();
    for n in 1..=3 {
        pinset.write(Op::Pin(Box::new(pin(n, ""))), Seen::Any).await.unwrap();
    }
    pinset.worked_off(3);
    pinset.input(Input::Tick).await;
    writer.stop().await.unwrap();
    let (pinset, _outbound, _writer) = spawn(args(dir.path(), &world)).unwrap();
    assert_eq!(*pinset.news_watch().borrow(), 3);
    assert_eq!(pinset.news(0, 100).unwrap(), [News { commit: 3, n: 0, cid: Some(cid(3)) }]);
}

#[tokio::test]
async fn writes_that_wait_at_the_stop_are_committed() {
    let dir = tempfile::tempdir().unwrap();
    let world = Arc::new(World { free: AtomicU64::new(u64::MAX), ..World::default() });
    let (pinset, _outbound, writer) = spawn(args(dir.path(), &world)).unwrap();
    let (reply, answer) = oneshot::channel();
    let write = Command::Write { op: Op::Pin(Box::new(pin(1, "late"))), seen: Seen::Any, reply, span: Span::none() };
    pinset.commands.try_send(write).map_err(|_| "full").unwrap();
    writer.stop().await.unwrap();
    assert_eq!(answer.await.unwrap().unwrap(), pin(1, "late"));
    assert!(matches!(pinset.get(&cid(1)), Err(Error::Shutdown)));
    assert!(matches!(pinset.write(Op::Unpin(cid(1)), Seen::Any).await, Err(Error::Shutdown)));
    let (pinset, _outbound, _writer) = spawn(args(dir.path(), &world)).unwrap();
    assert_eq!(pinset.get(&cid(1)).unwrap().unwrap().0, pin(1, "late"));
    assert_eq!(*pinset.news_watch().borrow(), 1, "news that nobody worked off are told again");
}

#[tokio::test]
async fn an_engine_opened_anew_hears_of_peers_and_trust() {
    let mut bench = bench();
    let peer = PeerId::random();
    bench.pinset.set_trust(Trust::Everyone).await.unwrap();
    bench.pinset.offer(Input::PeerSeen(PeerId::random())).unwrap();
    bench.pinset.offer(Input::PeerSeen(peer)).unwrap();
    let opened = |out: &Outbound| matches!(out, Outbound::Sending(Sending::Open { peer: to, .. }) if *to == peer);
    bench.outbound(opened).await;
    assert!(bench.put(1, toy::FAIL).await.is_err());
    let closed = |out: &Outbound| matches!(out, Outbound::Sending(Sending::Close { peer: to, .. }) if *to == peer);
    bench.outbound(closed).await;
    bench.outbound(opened).await;
    assert!(bench.pinset.summary().borrow().in_sync, "the toy shows its trust there");
}

#[tokio::test]
async fn a_sync_whose_frame_was_dropped_has_ended() {
    let mut bench = bench();
    for _ in 0..=OUTBOUND_MAX {
        bench.pinset.offer(Input::PeerSeen(PeerId::random())).unwrap();
    }
    bench.put(1, "").await.unwrap();
    bench.put(2, "").await.unwrap();
    let broken =
        |out: &Outbound| matches!(out, Outbound::Counts(counts) if counts.iter().any(|c| c.0 == "syncs_broken"));
    bench.outbound(|out| matches!(out, Outbound::Sending(_))).await;
    bench.pinset.offer(Input::Tick).unwrap();
    bench.outbound(broken).await;
}

#[tokio::test]
async fn an_idle_peer_without_ticks_runs_no_turns() {
    let bench = bench();
    bench.put(1, "").await.unwrap();
    bench.entries(1).await;
    let commits = bench.world.commits.load(Ordering::SeqCst);
    assert_eq!(commits, 1);
}

#[test]
fn what_the_store_says_at_the_start_is_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pinset.redb"), "a text").unwrap();
    let error = spawn(args(dir.path(), &Arc::default())).err().unwrap();
    assert!(matches!(&error, Failure::Store(StoreError::Foreign { .. })), "{error}");
}

#[test]
fn a_dropped_writer_has_closed_its_store() {
    let dir = tempfile::tempdir().unwrap();
    let world = Arc::new(World::default());
    let (sender, receiver) = std_mpsc::channel();
    for _ in 0..3 {
        let (pinset, _outbound, writer) = spawn(args(dir.path(), &world)).unwrap();
        drop(writer);
        sender.send(pinset.state().borrow().clone()).unwrap();
    }
    drop(sender);
    assert_eq!(receiver.iter().collect::<Vec<_>>(), vec![State::Closed; 3]);
}
