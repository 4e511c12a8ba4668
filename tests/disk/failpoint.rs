//! A peer that dies between the pinset's commit and the ledger's: every acknowledged pin reaches the IPFS daemon, by its
//! news alone.
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use nix::sys::signal::{Signal, raise};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::child;
use super::daemon::Daemon;
use super::lib::cluster::pinset::Args;
use super::lib::cluster::pinset::PinsetWishes;
use super::lib::model::{Cid, PeerId, Pin};
use super::lib::store::LedgerDb;
use super::lib::task::Task;
use super::lib::tracker::{self, News, Others, Tracker, Wishes, WishesError};
use super::rig::{self, Rig, args_on, cid, keypair, put};

/// Deaths.
const ROUNDS: u64 = 50;

/// Callers that pin at once.
const WRITERS: u64 = 16;

/// Longer than any life here.
const NEVER: Duration = Duration::from_hours(1);

/// Far longer than news take.
const ARRIVE_MAX: Duration = Duration::from_secs(20);

/// Nobody has anything.
struct Nobody;

impl Others for Nobody {
    fn hold(&self, _: Cid, _: Vec<PeerId>, _: usize) -> BoxFuture<'static, bool> {
        Box::pin(std::future::ready(false))
    }
}

/// A pinset that tells its news, and cannot be walked: a walk finds what news have lost.
struct OnlyNews(PinsetWishes);

impl Wishes for OnlyNews {
    fn news(&self, after: u64, limit: usize) -> Result<Vec<News>, WishesError> {
        self.0.news(after, limit)
    }

    fn pin(&self, cid: &Cid) -> Result<Option<Pin>, WishesError> {
        self.0.pin(cid)
    }

    fn page(&self, _: Option<&[u8]>, _: usize) -> Result<(Vec<Pin>, Option<Vec<u8>>), WishesError> {
        Err(WishesError("nobody walks over it here".into()))
    }

    fn worked_off(&self, commit: u64) {
        self.0.worked_off(commit);
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed()
    }
}

/// Pinset and tracker of a directory.
pub struct Peer {
    pub rig: Rig,
    tracker: Tracker,
    task: Task,
}

impl Peer {
    pub fn start(args: Args, ledger: LedgerDb, daemon: &Daemon) -> Self {
        let rig = rig::start(args).unwrap();
        let wishes = PinsetWishes::new(rig.pinset.clone());
        let is_new = ledger.cursor().unwrap().is_none();
        let args = tracker::Args {
            own: keypair(0).public().to_peer_id(),
            peername: String::new(),
            ipfs: Arc::new(daemon.clone()),
            ledger: Arc::new(ledger),
            others: Arc::new(Nobody),
            share: None,
            wishes: if is_new { Arc::new(wishes) } else { Arc::new(OnlyNews(wishes)) },
            concurrent_pins: NonZeroUsize::new(10).unwrap(),
            max_queue: None,
            disk_high_water: 0,
            recover_interval: NEVER,
            priority_max_age: NEVER,
            priority_max_retries: 5,
        };
        let (tracker, task) = tracker::spawn(args).unwrap();
        Self { rig, tracker, task }
    }

    pub async fn stop(self) {
        let Self { rig, tracker, task } = self;
        drop(tracker);
        task.stop().await.unwrap();
        rig.writer.stop().await.unwrap();
    }
}

/// What the dead said.
#[derive(Default)]
struct Said {
    next: u64,
    acknowledged: BTreeSet<Cid>,
    asked: BTreeSet<Cid>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        if let Some(n) = line.strip_prefix("acknowledged ") {
            let n = n.parse().unwrap();
            self.next = self.next.max(n + WRITERS);
            self.acknowledged.insert(cid(n));
        } else if let Some(cid) = line.strip_prefix("asked ") {
            self.asked.insert(cid.parse().unwrap());
        }
    }

    /// Starts again what is left in `dir`, and waits until the daemon knows all that was acknowledged.
    async fn settle(&mut self, dir: &Path, ledger: LedgerDb) {
        let daemon = Daemon::was_asked(&self.asked);
        let peer = Peer::start(args_on(dir), ledger, &daemon);
        rig::audit(&peer.rig.pinset);
        let arrived = tokio::time::timeout(ARRIVE_MAX, daemon.until_asked(&self.acknowledged)).await;
        let lost: Vec<_> = self.acknowledged.difference(&daemon.asked()).copied().collect();
        assert!(arrived.is_ok(), "acknowledged, and never asked for: {lost:?}");
        self.asked = daemon.asked();
        peer.stop().await;
    }
}

#[tokio::test]
async fn between_the_two_commits_no_acknowledged_pin_is_lost_to_the_daemon() {
    if let Some((dir, seed)) = child::is_this() {
        return pin_until_the_failpoint(&dir, seed).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::default();
    Peer::start(args_on(dir.path()), LedgerDb::open(dir.path()).unwrap(), &daemon).stop().await;
    let (mut said, mut ahead) = (Said::default(), 0);
    for round in 0..ROUNDS {
        let test = "failpoint::between_the_two_commits_no_acknowledged_pin_is_lost_to_the_daemon";
        child::run(test, dir.path(), said.next << 8 | round, |line, _| said.hear(line));
        let ledger = LedgerDb::open(dir.path()).unwrap();
        let is_missing = |cid: &&Cid| ledger.get(cid).unwrap().is_none();
        ahead += said.acknowledged.iter().filter(is_missing).count();
        // Every other death is one of a peer that had not yet made up for the last.
        if round % 2 == 1 {
            said.settle(dir.path(), ledger).await;
        }
    }
    let pins = said.acknowledged.len();
    println!("{pins} pins acknowledged in {ROUNDS} rounds, {ahead} times one was not in the ledger at the death");
    // A ledger that is seldom behind at the death would test nothing.
    assert!(pins > 100 && ahead > 50, "{pins} pins, {ahead} times behind");
}

/// Pins, and dies after a random commit of the pinset: of the one before, the callers know and the ledger may not.
async fn pin_until_the_failpoint(dir: &Path, number: u64) {
    let (first, seed) = (number >> 8, number);
    let fuse = AtomicU64::new(StdRng::seed_from_u64(seed).random_range(2..20));
    let mut args = args_on(dir);
    args.after_commit = Some(Arc::new(move || {
        if fuse.fetch_sub(1, Ordering::SeqCst) == 1 {
            raise(Signal::SIGKILL).unwrap();
        }
    }));
    let peer = Peer::start(args, LedgerDb::open(dir).unwrap(), &Daemon::loud());
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let pinset = peer.rig.pinset.clone();
        writers.spawn(async move {
            for n in (first + writer..).step_by(usize::try_from(WRITERS).unwrap()) {
                put(&pinset, n, "").await.unwrap();
                println!("acknowledged {n}");
            }
        });
    }
    writers.join_all().await;
}
