//! Whatever the IPFS daemon does: requests, pings and memory do not notice, status says it, and all is pinned afterwards.
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use ipfs_cluster::client::Client;
use ipfs_cluster::config::Endpoint;
use ipfs_cluster::model::{Cid, PinOptions, TrackerStatus};
use ipfs_cluster::task::{self, Task};
use ipfs_cluster::wire::rest::{ContentPath, GlobalPinInfo};
use tokio::runtime::Handle;

use crate::daemon::{Daemon, Mood};
use crate::rig::{Home, Node, PATIENCE, acquainted, alone, cid, until, until_told};

/// Rounds of requests while all is well, and at least so many in each fault.
const ROUNDS: usize = 60;
/// Pins of each fault.
const PINS: usize = 20;
/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(20);
/// By so much the slowest percent of requests may be slower in a fault.
const SLOWER_MAX: u32 = 20;
/// Below it a request is as quick as any: the machine has other work.
const QUICK: Duration = Duration::from_millis(20);
/// The shortest that anything in the peer waits for the daemon: no request may wait for it.
const WAITED: Duration = Duration::from_millis(1_900);
/// Status says what is wrong within it.
const TOLD_MAX: Duration = Duration::from_secs(30);
/// Memory that a fault may take, in bytes: far below what a daemon that never stops sends meanwhile.
const GROWTH_MAX: usize = 96 << 20;
/// Tasks that come and go by themselves: connections that are kept, a timer.
const TASKS_MORE: usize = 24;

/// A whole peer with its REST API, another one that hears it, and its daemon.
struct Stage {
    daemon: Daemon,
    client: Client,
    node: Node,
    hearer: Node,
    pinned: u32,
    well: Vec<Duration>,
    tasks: usize,
    _homes: [Home; 2],
    _api: Task,
}

impl Stage {
    async fn new() -> Self {
        let daemon = Daemon::start(1_000);
        let mut homes = [Home::new(), Home::new()];
        homes[0].config.ipfshttp.node_multiaddress = Endpoint::Address(daemon.node());
        homes[0].config.ipfshttp.ipfs_request_timeout = Duration::from_secs(2);
        homes[0].config.ipfshttp.pin_timeout = Duration::from_secs(2);
        let node = homes[0].start(&[]).await;
        let hearer = homes[1].start(&[node.address().await]).await;
        acquainted(&[&node, &hearer]).await;
        let (client, api) = node.serve().await;
        let mut stage =
            Self { daemon, client, node, hearer, pinned: 0, well: Vec::new(), tasks: 0, _homes: homes, _api: api };
        stage.settle().await;
        let mut well = Vec::new();
        for number in 0..ROUNDS {
            stage.round(number, &mut well).await;
        }
        stage.well = well;
        stage.settle().await;
        stage.tasks = tasks();
        stage
    }

    /// Asks once as users do, with a new pin in the first rounds; notes how long each request took.
    async fn round(&mut self, number: usize, took: &mut Vec<Duration>) {
        took.push(timed(async { drop(self.client.id().await.unwrap()) }).await);
        if number < PINS {
            let path = path(self.pinned);
            took.push(timed(async { drop(self.client.pin(&path, &PinOptions::default()).await.unwrap()) }).await);
            self.pinned += 1;
        }
        took.push(timed(self.list()).await);
        tokio::time::sleep(PAUSE).await;
    }

    async fn list(&self) {
        let pins = self.client.allocations("").await.unwrap();
        let pins: Vec<_> = pins.try_collect().await.unwrap();
        assert_eq!(pins.len(), self.pinned as usize);
    }

    /// One fault, from its beginning to where all is pinned again.
    async fn suffer(&mut self, mood: Mood, words: &[&str]) {
        let (memory, began) = (resident(), task::now());
        self.daemon.set(mood);
        let (mut took, mut rounds, mut said, mut peak) = (Vec::new(), 0, Vec::new(), memory);
        let tells = |(_, error): &(TrackerStatus, String)| words.iter().any(|word| error.contains(word));
        while rounds < ROUNDS || !said.iter().any(tells) {
            assert!(began.elapsed() < TOLD_MAX, "{mood:?}: status does not say why: {said:?}");
            self.round(rounds, &mut took).await;
            rounds += 1;
            said = self.statuses().await;
            peak = peak.max(resident());
        }
        self.check_quick(mood, &took);
        let (tasks_now, grown) = (tasks(), peak - memory);
        // Each pin has a task, and so has the connection that it waits on.
        assert!(tasks_now <= self.tasks + 2 * PINS + TASKS_MORE, "{mood:?}: {tasks_now} of {}", self.tasks);
        assert!(grown < GROWTH_MAX, "{mood:?}: {grown} bytes more");
        self.check_heard(mood, began).await;
        self.daemon.set(Mood::Well);
        self.settle().await;
        let is_flat = || tasks() <= self.tasks + TASKS_MORE;
        until("the tasks of a fault end", is_flat).await;
    }

    /// Pings go on: one comes that was not there when the fault began, and the peer was a member all the time since.
    async fn check_heard(&self, mood: Mood, began: Instant) {
        let (own, since) = (self.node.cluster.own_id(), task::wall());
        let pings = || self.hearer.cluster.metrics("ping").into_iter().filter(|ping| ping.peer == own);
        assert!(pings().next().is_some(), "{mood:?}: it is no member any more after {:?}", began.elapsed());
        until("it pings", || pings().any(|ping| ping.received_nanos > since.nanos())).await;
    }

    fn check_quick(&self, mood: Mood, took: &[Duration]) {
        let (well, ill) = (slowest_percent(&self.well), slowest_percent(took));
        assert!(ill < QUICK.max(well) * SLOWER_MAX, "{mood:?}: {ill:?}, and {well:?} when all is well");
        let slowest = took.iter().max().unwrap();
        assert!(*slowest < WAITED, "{mood:?}: a request waited for the daemon, {slowest:?}");
    }

    /// Where the pins stand, as the API says, each with what is wrong.
    async fn statuses(&self) -> Vec<(TrackerStatus, String)> {
        let pins = self.client.status_all("", true).await.unwrap();
        let pins: Vec<_> = pins.try_collect().await.unwrap();
        let own = self.node.cluster.own_id().to_string();
        let of_own = |pin: &GlobalPinInfo| (pin.peer_map[&own].tracker_status(), pin.peer_map[&own].error.clone());
        pins.iter().map(of_own).collect()
    }

    /// Waits until all is pinned. What failed is asked for again: alone it waits a minute and more, in virtual time
    /// elsewhere.
    async fn settle(&self) {
        let all: BTreeSet<Cid> = (0..self.pinned).map(cid).collect();
        let ask = async || {
            let statuses = self.statuses().await;
            if self.daemon.held() == all && statuses.iter().all(|(status, _)| *status == TrackerStatus::Pinned) {
                return Ok(());
            }
            let recovered = self.client.recover_all(true).await.unwrap();
            let _: Vec<_> = recovered.try_collect().await.unwrap();
            Err(format!("{statuses:?}"))
        };
        until_told(task::now() + PATIENCE, "all is pinned", ask).await;
    }
}

fn path(n: u32) -> ContentPath {
    ContentPath::from_user(&cid(n).to_string()).unwrap()
}

async fn timed(work: impl Future<Output = ()>) -> Duration {
    let began = task::now();
    work.await;
    began.elapsed()
}

fn slowest_percent(took: &[Duration]) -> Duration {
    let mut took = took.to_vec();
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Memory of this process that is in use, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_gone_or_silent_holds_up_nobody() {
    let _turn = alone().await;
    let mut stage = Box::pin(Stage::new()).await;
    stage.suffer(Mood::Gone, &["connection refused"]).await;
    stage.suffer(Mood::Hung, &["context deadline exceeded", "did not answer"]).await;
    stage.suffer(Mood::HalfWay, &["silent for", "did not answer", "context deadline exceeded"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_talks_nonsense_or_has_no_space_is_named_and_asked_again() {
    let _turn = alone().await;
    let mut stage = Box::pin(Stage::new()).await;
    stage.suffer(Mood::Garbage, &["error decoding the answer"]).await;
    stage.suffer(Mood::OtherCid, &["ended without saying that it is pinned"]).await;
    stage.suffer(Mood::Full, &["no space left on device"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_never_stops_takes_neither_memory_nor_time() {
    let _turn = alone().await;
    let mut stage = Box::pin(Stage::new()).await;
    stage.suffer(Mood::EndlessLine, &["too long"]).await;
    stage.suffer(Mood::EndlessLines, &["did not answer", "context deadline exceeded", "no end"]).await;
    stage.suffer(Mood::Drip, &["did not answer", "context deadline exceeded"]).await;
}
