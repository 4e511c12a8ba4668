use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use futures::future::BoxFuture;

use super::*;
use crate::cluster::peers::as_share;
use crate::cluster::testing::{cid, metric_of};
use crate::ipfs::fake::Fake;
use crate::model::Metric;
use crate::monitor::share::Terms;
use crate::tracker::{self, News, Others, WishesError};

/// Ten pins for everybody, and nothing ever changes.
struct Pins(BTreeMap<Cid, Pin>);

impl Wishes for Pins {
    fn news(&self, _: u64, _: usize) -> Result<Vec<News>, WishesError> {
        Ok(Vec::new())
    }

    fn pin(&self, cid: &Cid) -> Result<Option<Pin>, WishesError> {
        Ok(self.0.get(cid).cloned())
    }

    fn page(&self, after: Option<&[u8]>, limit: usize) -> Result<(Vec<Pin>, Option<Vec<u8>>), WishesError> {
        let after = after.map(|after| Cid::try_from(after).unwrap());
        let mut pins = self.0.values().filter(|pin| after.is_none_or(|after| pin.cid > after)).cloned();
        let page: Vec<Pin> = pins.by_ref().take(limit.min(3)).collect();
        let next = pins.next().and(page.last()).map(|last| last.cid.to_bytes());
        Ok((page, next))
    }

    fn worked_off(&self, _: u64) {}

    fn changed(&self) -> watch::Receiver<u64> {
        watch::Sender::new(0).subscribe()
    }
}

impl Others for Pins {
    fn hold(&self, _: Cid, _: Vec<PeerId>, _: usize) -> BoxFuture<'static, bool> {
        Box::pin(std::future::ready(true))
    }
}

struct Bench {
    dir: tempfile::TempDir,
    ipfs: Fake,
    args: Args,
    tracker_task: Task,
    task: Task,
}

/// A follower that has room for so many bytes; each pin has 1,000.
fn follower(budget: u64) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Arc::new(LedgerDb::open(dir.path()).unwrap());
    begin((dir, ledger), Fake::default(), PeerId::random(), budget)
}

fn begin((dir, ledger): (tempfile::TempDir, Arc<LedgerDb>), ipfs: Fake, own: PeerId, budget: u64) -> Bench {
    let beat = Duration::from_millis(10);
    let sharing = Arc::new(Sharing::open(&own, (budget, 1), beat, &ledger, task::wall()).unwrap());
    let pins = Arc::new(Pins((0..10).map(|n| (cid(n), Pin::recursive(cid(n)))).collect()));
    let (tracker, tracker_task) = tracker::spawn(tracker::Args {
        ipfs: Arc::new(ipfs.clone()),
        ledger: ledger.clone(),
        wishes: pins.clone(),
        others: pins.clone(),
        share: as_share(Some(&sharing)),
        own,
        peername: "a".into(),
        concurrent_pins: NonZeroUsize::new(10).unwrap(),
        max_queue: None,
        disk_high_water: 0,
        recover_interval: Duration::from_hours(1),
        priority_max_age: Duration::from_hours(24),
        priority_max_retries: 5,
    })
    .unwrap();
    let members = Arc::new(Members::new(own, "ping".into()));
    let args = Args { own, sharing, members, wishes: pins, ledger, tracker };
    Bench { dir, ipfs, task: spawn(args.clone()), args, tracker_task }
}

impl Bench {
    /// Waits until the daemon holds so many pins.
    async fn until_held(&self, count: usize) {
        let mut news = self.args.tracker.news();
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            while self.ipfs.all().len() != count {
                news.changed().await.unwrap();
            }
        });
        waited
            .await
            .unwrap_or_else(|_| panic!("{} are held: {:?}", self.ipfs.all().len(), self.args.sharing.spending()));
    }

    /// Another follower tells these terms.
    fn hear(&self, peer: PeerId, terms: &Terms, valid: bool) {
        let metric = Metric { value: terms.to_string(), valid, ..metric_of(SHARE, peer, terms.weight()) };
        assert!(self.args.members.receive(metric, task::wall()));
    }

    async fn stop(self) {
        self.task.stop().await.unwrap();
        self.tracker_task.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_follower_holds_what_fits_and_leaves_to_others_what_they_take() {
    let bench = follower(5_500);
    bench.until_held(5).await;
    let spent = bench.args.sharing.spending();
    assert!(spent.held + spent.reserved <= 5_500, "{spent:?}");
    let (large, terms) = (PeerId::random(), Terms { reach: u64::MAX, ..Terms::none(1 << 60) });
    bench.hear(large, &terms, true);
    bench.until_held(0).await;
    bench.hear(large, &terms, false);
    bench.until_held(5).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_budget_that_shrank_is_kept_soon() {
    let bench = follower(50_000);
    bench.until_held(10).await;
    let Bench { dir, ipfs, args: Args { own, ledger, .. }, tracker_task, task } = bench;
    task.stop().await.unwrap();
    tracker_task.stop().await.unwrap();
    let bench = begin((dir, ledger), ipfs, own, 3_200);
    assert_eq!(bench.args.sharing.spending().held, 10_000);
    bench.until_held(3).await;
    bench.stop().await;
}
