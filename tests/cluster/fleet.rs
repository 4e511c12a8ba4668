//! Ten whole peers, each with a scripted daemon, and pins on two or three of them.
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use ipfs_cluster::config::Endpoint;
use ipfs_cluster::model::{Cid, PeerId, Pin, PinOptions, PinTypes, Replication};
use ipfs_cluster::task;

use crate::daemon::{Daemon, Deed};
use crate::rig::{Home, Node, cid, until_told, until_within};

/// Peers of a fleet.
pub const PEERS: usize = 10;
/// Bytes of each pin.
pub const SIZE: u64 = 1_000_000;
/// Copies that each pin has to have; every third pin may have one more.
pub const MIN: usize = 2;
/// How long a peer may be away before its pins get other holders.
pub const GRACE: Duration = Duration::from_secs(8);
/// A ping lives twice as long.
pub const PING_EVERY: Duration = Duration::from_secs(3);
const CHECK_EVERY: Duration = Duration::from_millis(500);
const SPACE_TTL: Duration = Duration::from_secs(10);
/// Pins without `SOAK_PINS`.
const PINS: u32 = 600;
/// Writes that wait at a time.
const WRITERS: usize = 64;
/// Slices of what is written: each is held before the next. More at once than daemons begin within a second make way for
/// each other, and come again a minute later.
const SLICES: u32 = 8;
const SLICE_MAX: u32 = 2_500;

/// How many pins a fleet has: the long form says it by `SOAK_PINS`.
pub fn pins() -> u32 {
    std::env::var("SOAK_PINS").map_or(PINS, |pins| pins.parse().expect("SOAK_PINS is a number"))
}

/// How long something may take that takes longer with more pins.
pub fn patience() -> Duration {
    Duration::from_mins(3) * pins().div_ceil(PINS)
}

/// Ten peers; one that was killed has no node.
pub struct Fleet {
    homes: Vec<Home>,
    nodes: Vec<Option<Node>>,
    daemons: Vec<Daemon>,
    ids: Vec<PeerId>,
}

impl Fleet {
    /// Peers that know each other and each other's space, and move so many bytes a second each; `None`: as fast as they can.
    pub async fn start(rate: Option<u64>) -> Self {
        let daemons: Vec<Daemon> = (0..PEERS).map(|_| Daemon::start(SIZE)).collect();
        let homes: Vec<Home> = daemons.iter().map(|daemon| home(daemon, rate)).collect();
        let mut nodes = vec![Some(homes[0].start(&[]).await)];
        let first = nodes[0].as_ref().unwrap().address().await;
        for home in &homes[1..] {
            nodes.push(Some(home.start(std::slice::from_ref(&first)).await));
        }
        let ids = homes.iter().map(|home| home.keypair.public().to_peer_id()).collect();
        let fleet = Self { homes, nodes, daemons, ids };
        fleet.until_acquainted().await;
        fleet
    }

    /// Waits until all that live know each other, and each other's space.
    pub async fn until_acquainted(&self) {
        let living = self.living().count();
        let knows = |node: &Node| ["ping", "freespace"].iter().all(|name| node.cluster.metrics(name).len() >= living);
        until_within(patience(), "all know each other", || self.living().all(|(_, node)| knows(node))).await;
    }

    /// The peers that live, with their numbers.
    pub fn living(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes.iter().enumerate().filter_map(|(number, node)| Some((number, node.as_ref()?)))
    }

    pub fn id(&self, number: usize) -> PeerId {
        self.ids[number]
    }

    pub fn daemon(&self, number: usize) -> &Daemon {
        &self.daemons[number]
    }

    /// Pins on two peers, and every third time on up to three, each peer its share. A slice is held everywhere before the
    /// next one comes: ten peers on a small machine with much to do would take each other for dead.
    pub async fn fill(&self) {
        let nodes: Vec<&Node> = self.living().map(|(_, node)| node).collect();
        let pin = |n: u32| {
            let (cluster, max) = (&nodes[n as usize % nodes.len()].cluster, 2 + i32::from(n.is_multiple_of(3)));
            let options = PinOptions { replication_min: 2, replication_max: max, ..PinOptions::default() };
            async move { drop(cluster.pin(cid(n), options).await.unwrap()) }
        };
        let slice = pins().div_ceil(SLICES).min(SLICE_MAX);
        for first in (0..pins()).step_by(slice as usize) {
            let end = pins().min(first + slice);
            stream::iter(first..end).for_each_concurrent(WRITERS, pin).await;
            self.until_held_of(end, "all that is pinned is held").await;
        }
    }

    /// Ends a peer without a word.
    pub fn kill(&mut self, number: usize) -> Instant {
        self.nodes[number] = None;
        task::now()
    }

    /// A killed peer comes back; returns when all others have heard it.
    pub async fn come_back(&mut self, number: usize) -> Instant {
        let (_, other) = self.living().next().unwrap();
        let address = other.address().await;
        let node = self.homes[number].start_again(&[address]).await;
        self.nodes[number] = Some(node);
        let id = self.ids[number];
        let hears = |node: &Node| node.cluster.metrics("ping").iter().any(|ping| ping.peer == id);
        until_within(patience(), "all hear who is back", || self.living().all(|(_, node)| hears(node))).await;
        task::now()
    }

    /// The pinset, as one peer sees it.
    pub async fn pinset(&self, number: usize) -> BTreeMap<Cid, Pin> {
        let node = self.nodes[number].as_ref().unwrap();
        node.cluster.allocations(PinTypes::ALL).map_ok(|pin| (pin.cid, pin)).try_collect().await.unwrap()
    }

    /// Waits until all living peers have one pinset, each pin has living holders enough in it, and each living peer's
    /// daemon holds what the peer is to hold, and nothing else.
    pub async fn until_held(&self, what: &str) {
        self.until_held_of(pins(), what).await;
    }

    async fn until_held_of(&self, pins: u32, what: &str) {
        let ask = async || {
            let missing = self.missing(pins).await;
            if missing == 0 && self.is_one() {
                return Ok(());
            }
            let repaired: Vec<u64> = self.living().map(|(_, node)| node.counted("pins_repaired")).collect();
            Err(format!("{missing} are missing; repaired {repaired:?}"))
        };
        until_told(task::now() + patience(), what, ask).await;
    }

    /// Waits until all living peers have one pinset.
    pub async fn until_one(&self) {
        until_within(patience(), "all have one pinset", || self.is_one()).await;
    }

    fn is_one(&self) -> bool {
        let states: BTreeSet<_> = self.living().map(|(_, node)| node.summary().digest_hash).collect();
        states.len() == 1
    }

    /// How many pins have not enough living holders, and copies are not there or too many.
    async fn missing(&self, pins: u32) -> usize {
        let (first, _) = self.living().next().unwrap();
        let living: BTreeMap<PeerId, usize> = self.living().map(|(number, _)| (self.ids[number], number)).collect();
        let mut wanted: BTreeMap<usize, BTreeSet<Cid>> = living.values().map(|n| (*n, BTreeSet::new())).collect();
        let pinset = self.pinset(first).await;
        let mut missing = (pins as usize).abs_diff(pinset.len());
        for pin in pinset.values() {
            let holders: Vec<usize> = pin.allocations.iter().filter_map(|peer| living.get(peer)).copied().collect();
            missing += MIN.saturating_sub(holders.len());
            for holder in holders {
                wanted.get_mut(&holder).unwrap().insert(pin.cid);
            }
        }
        missing
            + wanted.iter().map(|(n, cids)| self.daemons[*n].held().symmetric_difference(cids).count()).sum::<usize>()
    }

    /// What the daemons did from `since` on, in order, each with the number of its peer.
    pub fn deeds(&self, since: Instant) -> Vec<(Instant, usize, Deed, Cid)> {
        let of = |number: usize| {
            self.daemons[number].deeds(since).into_iter().map(move |(at, deed, cid)| (at, number, deed, cid))
        };
        let mut deeds: Vec<_> = (0..PEERS).flat_map(of).collect();
        deeds.sort_by_key(|(at, ..)| *at);
        deeds
    }

    /// Goes through all that the daemons ever did: whenever one of `living` lets go of a pin, enough of them hold it.
    pub fn check_drops(&self, living: &BTreeSet<usize>, since: Instant) {
        let mut holders: BTreeMap<Cid, BTreeSet<usize>> = BTreeMap::new();
        let begin = self.deeds(since.checked_sub(Duration::from_hours(1)).unwrap_or(since));
        for (at, number, deed, cid) in begin.into_iter().filter(|(_, number, ..)| living.contains(number)) {
            let of = holders.entry(cid).or_default();
            if deed == Deed::Pinned {
                of.insert(number);
            } else {
                of.remove(&number);
                assert!(at < since || of.len() >= MIN, "{cid} was let go of by {number} and is held by {of:?} alone");
            }
        }
    }
}

fn home(daemon: &Daemon, rate: Option<u64>) -> Home {
    let mut home = Home::new();
    let config = &mut home.config;
    config.ipfshttp.node_multiaddress = Endpoint::Address(daemon.node());
    config.ipfshttp.connect_swarms_delay = None;
    config.cluster.monitor_ping_interval = PING_EVERY;
    config.cluster.replication = Replication::Between { min: 2, max: 2 };
    config.cluster.disable_repinning = false;
    config.cluster.repin_grace = GRACE;
    config.cluster.repin_rate = rate.map(|rate| rate.try_into().unwrap());
    config.monitor.check_interval = CHECK_EVERY;
    config.informers.disk.as_mut().unwrap().metric_ttl = SPACE_TTL;
    config.allocator.allocate_by = vec!["freespace".into()];
    home
}
