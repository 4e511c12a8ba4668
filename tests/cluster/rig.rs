//! A peer for tests: its home on disk, and its runs.
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use ipfs_cluster::api::http::{self, Listener, Timeouts};
use ipfs_cluster::api::rest::{self, RestOptions};
use ipfs_cluster::client::{Client, ClientArgs};
use ipfs_cluster::cluster::{Args, Cluster, Peer, start};
use ipfs_cluster::config::{Config, Environment, File, check};
use ipfs_cluster::crdt::Summary;
use ipfs_cluster::model::{Cid, Multiaddr, PinOptions, PinTypes, Trust};
use ipfs_cluster::observe::Meters;
use ipfs_cluster::task::{self, Task};
use libp2p::identity::Keypair;
use tempfile::TempDir;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is asked whether something has come about.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// The private network of all tests, and of the bare swarms that mean them harm.
pub const SECRET: [u8; 32] = [7; 32];

/// The name of all clusters here; each test's peers know only each other.
pub const NAME: &str = "proofs";

/// Writes that wait at a time when many are made: some share a commit, most do not share a change.
const WRITERS: usize = 16;

static MACHINE: RwLock<()> = RwLock::const_new(());

/// A turn on the machine beside other tests.
pub async fn shared() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

/// The machine for a test alone: what it measures must not be the others' work.
pub async fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

/// A peer's folder, key and configuration, which outlive its runs.
pub struct Home {
    pub folder: TempDir,
    pub keypair: Keypair,
    pub config: Config,
}

impl Home {
    /// A new peer that trusts everyone and listens on a port of the kernel's choice.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        Self { folder, keypair: Keypair::generate_ed25519(), config }
    }

    /// A new peer that trusts these, and itself.
    pub fn trusting<'a>(peers: impl IntoIterator<Item = &'a Keypair>) -> Self {
        let mut home = Self::new();
        let peers = peers.into_iter().map(|keypair| keypair.public().to_peer_id());
        home.config.crdt.trusted_peers = Trust::Only(peers.collect());
        home
    }

    /// Runs the peer; it dials these and whom it knows of earlier runs.
    pub async fn start(&self, bootstrap: &[Multiaddr]) -> Node {
        let args = Args {
            config: self.config.clone(),
            keypair: self.keypair.clone(),
            bootstrap: bootstrap.to_vec(),
            meters: Meters::default(),
        };
        let peer = start(args).await.unwrap();
        Node { cluster: peer.cluster(), peer }
    }

    /// As [`Home::start`], after a run that was dropped: its last tasks may still hold the stores.
    pub async fn start_again(&self, bootstrap: &[Multiaddr]) -> Node {
        let deadline = task::now() + PATIENCE;
        loop {
            let args = Args {
                config: self.config.clone(),
                keypair: self.keypair.clone(),
                bootstrap: bootstrap.to_vec(),
                meters: Meters::default(),
            };
            match start(args).await {
                Ok(peer) => return Node { cluster: peer.cluster(), peer },
                Err(error) if task::now() > deadline => panic!("the peer does not start again: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

/// Everything at its default, but found by nobody and with no daemon at the other end.
fn config(folder: &Path) -> Config {
    let file = serde_json::json!({
        "cluster": {
            "secret": hex::encode(SECRET),
            "listen_multiaddress": ["/ip4/127.0.0.1/tcp/0"],
            "mdns_interval": "0s",
            // Tests wait for pings to know that gossip flows.
            "monitor_ping_interval": "1s",
        },
        "consensus": { "crdt": { "engine": "automerge", "cluster_name": NAME, "trusted_peers": ["*"] } },
        // Nobody listens on port 1, which only root could take.
        "ipfs_connector": { "ipfshttp": { "node_multiaddress": "/ip4/127.0.0.1/tcp/1" } },
        "informer": { "disk": { "metric_ttl": "30s", "metric_type": "freespace" } },
    });
    let file = File::parse(file.to_string().as_bytes()).unwrap();
    check(&file, &Environment::default(), folder).unwrap().0
}

/// A peer that runs. Dropping it ends it without a word, as a crash of its process would.
pub struct Node {
    pub cluster: Cluster,
    peer: Peer,
}

impl Node {
    /// Where others dial it.
    pub async fn address(&self) -> Multiaddr {
        self.cluster.id().await.addresses[0].clone()
    }

    pub async fn pin(&self, n: u32) {
        self.cluster.pin(cid(n), PinOptions::default()).await.unwrap();
    }

    pub async fn unpin(&self, n: u32) {
        self.cluster.unpin(cid(n)).await.unwrap();
    }

    /// Pins one after the other: each is a change of its own.
    pub async fn pin_each(&self, numbers: impl IntoIterator<Item = u32>) {
        for n in numbers {
            self.pin(n).await;
        }
    }

    /// Pins several at a time.
    pub async fn pin_many(&self, numbers: impl IntoIterator<Item = u32>) {
        stream::iter(numbers).for_each_concurrent(WRITERS, |n| self.pin(n)).await;
    }

    pub fn summary(&self) -> Summary {
        self.cluster.summary()
    }

    pub fn entries(&self) -> u64 {
        self.summary().entries
    }

    /// How often the peer counted this.
    pub fn counted(&self, name: &str) -> u64 {
        self.cluster.counts().get(name).copied().unwrap_or(0)
    }

    /// The CIDs that are pinned.
    pub async fn pins(&self) -> BTreeSet<Cid> {
        self.cluster.allocations(PinTypes::ALL).map_ok(|pin| pin.cid).try_collect().await.unwrap()
    }

    pub fn has(&self, n: u32) -> bool {
        self.cluster.allocation(cid(n)).is_ok()
    }

    /// Waits until it has pin `n`, and returns when that was: looks far more often than a timer could.
    pub async fn got(&self, n: u32) -> Instant {
        let cluster = self.cluster.clone();
        let look = move || {
            let deadline = task::now() + PATIENCE;
            while cluster.allocation(cid(n)).is_err() {
                assert!(task::now() < deadline, "pin {n} does not come");
                std::thread::sleep(Duration::from_micros(50));
            }
            task::now()
        };
        tokio::task::spawn_blocking(look).await.unwrap()
    }

    /// Serves its REST API, and asks it.
    pub async fn serve(&self) -> (Client, Task) {
        let listener = Listener::bind("/ip4/127.0.0.1/tcp/0").await.unwrap();
        let host = format!("/ip4/127.0.0.1/tcp/{}", listener.tcp_address().unwrap().port());
        let router = rest::router(self.cluster.clone(), &RestOptions::default());
        let (listeners, timeouts) = (vec![listener], Timeouts::default());
        let api = http::serve(http::Args { listeners, router, tls: None, timeouts, max_header_bytes: 4_096 });
        let client = Client::new(&ClientArgs { hosts: vec![host], ..ClientArgs::default() }).unwrap();
        (client, api)
    }

    pub async fn stop(self) {
        drop(self.cluster);
        self.peer.stop().await.unwrap();
    }
}

/// The CID of pin `n`.
pub fn cid(n: u32) -> Cid {
    let digest = blake3::hash(&n.to_le_bytes());
    Cid::new_v1(0x55, cid::multihash::Multihash::wrap(0x12, digest.as_bytes()).unwrap())
}

pub fn cids(numbers: impl IntoIterator<Item = u32>) -> BTreeSet<Cid> {
    numbers.into_iter().map(cid).collect()
}

/// Waits until every peer has heard every other's ping, so that gossip flows between all of them.
pub async fn acquainted(nodes: &[&Node]) {
    until("all know each other", || nodes.iter().all(|node| node.cluster.metrics("ping").len() >= nodes.len())).await;
}

/// Waits until all hold `entries` pins in one and the same state.
pub async fn alike(entries: u64, nodes: &[&Node]) {
    let same = || {
        let first = nodes[0].summary();
        let is_same = |summary: Summary| {
            (summary.entries, summary.clock_hash, summary.digest_hash) == (entries, first.clock_hash, first.digest_hash)
        };
        nodes.iter().all(|node| is_same(node.summary()))
    };
    let shown = || {
        let all: Vec<_> = nodes.iter().map(|node| (node.summary(), node.cluster.counts())).collect();
        format!("{all:?}")
    };
    until_or("all hold the same", same, shown).await;
}

/// Waits until `condition` holds.
pub async fn until(what: &str, condition: impl FnMut() -> bool) {
    until_or(what, condition, String::new).await;
}

/// As [`until`], for what may take so long.
pub async fn until_within(limit: Duration, what: &str, condition: impl FnMut() -> bool) {
    until_by(task::now() + limit, what, condition, String::new).await;
}

async fn until_or(what: &str, condition: impl FnMut() -> bool, shown: impl Fn() -> String) {
    until_by(task::now() + PATIENCE, what, condition, shown).await;
}

async fn until_by(deadline: Instant, what: &str, mut condition: impl FnMut() -> bool, shown: impl Fn() -> String) {
    until_told(deadline, what, async || if condition() { Ok(()) } else { Err(shown()) }).await;
}

/// Waits until `ask` finds nothing that is missing; what it found is told when the time is over.
pub async fn until_told(deadline: Instant, what: &str, mut ask: impl AsyncFnMut() -> Result<(), String>) {
    let mut began = task::now();
    while let Err(missing) = ask().await {
        assert!(task::now() < deadline, "not in time: {what}\n{missing}");
        // Who asks for much takes no more than half of the time.
        tokio::time::sleep(ASK_EVERY.max(began.elapsed())).await;
        began = task::now();
    }
}
