//! Each part of a peer from the configuration.
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use libp2p::StreamProtocol;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use tokio::sync::{mpsc, watch};

use super::chores::{Periods, repair, share};
use super::flow::Defaults;
use super::handle::throttle::Throttle;
use super::handle::{Cluster, Inner};
use super::net::{Counts, METRICS_TOPIC};
use super::peers::{
    Alerts, Courier, CourierArgs, Departure, Disk, InformersArgs, IpfsId, Keeper, Members, Post, Sharing, as_share,
};
use super::pinset::{self, Outbound, Pinset, PinsetWishes, Writer};
use super::status::{Holders, Local, Spool};
use crate::config::{Config, DiskMetric, Endpoint};
use crate::crdt::{RowsError, automerge};
use crate::ipfs::{Connector, Kubo, KuboArgs, Metered, Trigger};
use crate::model::{Alert, Multiaddr, PeerId};
use crate::monitor::Absent;
use crate::observe::{Meters, PinsetMeters};
use crate::store::{Caches, LedgerDb, Options, PinsetDb, StoreError, free_space, ledger, memory_limit};
use crate::swarm::calls::{self, Calls};
use crate::swarm::{self, GossipArgs, Secret, Swarm};
use crate::task::{self, Fatal, Task};
use crate::tracker::{self, Tracker};

/// Parts that run, with their names, top-down: users before what they use.
pub type Parts = Vec<(&'static str, Task)>;

/// The folder of a peer's stores, for commands that work on them while no daemon runs.
#[must_use]
pub fn stores(folder: &Path) -> [PathBuf; 2] {
    [folder.join("pinset.redb"), folder.join("ledger.redb")]
}

/// The pinset, with its store open.
///
/// # Errors
/// What the store says.
pub fn open_pinset(
    config: &Config,
    keypair: &Keypair,
    meters: &PinsetMeters,
) -> Result<(Pinset, mpsc::Receiver<Outbound>, Writer), Fatal> {
    let (folder, options) = (config.folder.clone(), pinset_options(config));
    let (of, keypair, space) = (config.clone(), keypair.clone(), folder.clone());
    let commits = meters.clone();
    epoch(config)?;
    Ok(pinset::spawn(pinset::Args {
        open_store: Box::new(move || Ok(PinsetDb::open(&folder, options)?.timed_by(commits.clone()))),
        open_engine: Box::new(move |rows| {
            let args = engine_args(&of, &keypair).map_err(RowsError::Storage)?;
            automerge::open(args, rows).map_err(|error| RowsError::Storage(Box::new(error)))
        }),
        reader: Arc::new(automerge::Reader),
        free_space: Box::new(move || free_space(&space)),
        meters: meters.clone(),
        after_commit: None,
    })?)
}

/// What the engine is opened with: a new start of the peer.
///
/// # Errors
/// As [`epoch`].
pub fn engine_args(config: &Config, keypair: &Keypair) -> Result<automerge::EngineArgs, Fatal> {
    Ok(automerge::EngineArgs {
        keypair: keypair.clone(),
        epoch: epoch(config)?,
        cluster_name: config.crdt.cluster_name.clone(),
        trust: config.crdt.trusted_peers.clone(),
        actor_suffix: rand::random(),
        started: task::wall(),
        limits: automerge::Limits { log_bytes: config.crdt.log_bytes, ..automerge::Limits::default() },
    })
}

/// What the pinset's store is opened with.
pub fn pinset_options(config: &Config) -> Options {
    Options { cache_bytes: caches(config).pinset }
}

/// The epoch that the peer speaks.
///
/// # Errors
/// When it is no 32-bit number.
pub fn epoch(config: &Config) -> Result<u32, Fatal> {
    Ok(u32::try_from(config.crdt.epoch).map_err(|_| "consensus.crdt.epoch is above 4294967295")?)
}

/// The ledger.
///
/// # Errors
/// What the store says.
pub fn open_ledger(config: &Config) -> Result<LedgerDb, StoreError> {
    let caches = caches(config);
    tracing::info!(pinset = caches.pinset, ledger = caches.ledger, "memory for the pages of the databases, in bytes");
    let options = ledger::Options { cache_bytes: caches.ledger, ..ledger::Options::default() };
    LedgerDb::open_with(&config.folder, options)
}

/// Memory for the pages of the databases: as configured, else what fits the memory that the peer may use.
fn caches(config: &Config) -> Caches {
    match config.crdt.cache_size {
        Some(total) => Caches::of(total),
        // A follower is a guest on somebody's machine.
        None if config.cluster.follower_mode => Caches::default(),
        None => Caches::within(memory_limit()),
    }
}

/// The tracker and what keeps and tells alerts, and the handle on the peer above them.
///
/// # Errors
/// When the ledger cannot be read, or the daemon's address is none.
pub fn open_cluster(
    config: &Config,
    own: PeerId,
    (pinset, ledger): (Pinset, LedgerDb),
    swarm: Swarm,
    meters: Meters,
) -> Result<(Cluster, Parts), Fatal> {
    let trigger = Trigger::new(config.ipfshttp.informer_trigger_interval);
    let ipfs: Arc<dyn Connector> = Arc::new(Metered::new(connector(config)?, &meters, trigger.clone()));
    let calls = Calls::new(swarm.clone());
    let (ledger, counts) = (Arc::new(ledger), Arc::new(Counts::default()));
    let departure = Arc::new(Departure::open(ledger.clone())?);
    let (alerts, mut parts) = open_alerts(config, own, &ledger, &counts);
    let members = Arc::new(Members::new(own, config.crdt.peerset_metric.clone()));
    members.wait_for(absent(&ledger, &alerts.all()));
    let sharing = open_sharing(config, own, &ledger)?.map(Arc::new);
    let of_ledger = (ledger.clone(), sharing.clone());
    let (tracker, task) = open_tracker(config, own, (ipfs.clone(), calls.clone()), of_ledger, &pinset)?;
    parts.push(("tracker", task));
    if let Some(sharing) = sharing.clone() {
        let wishes = Arc::new(PinsetWishes::new(pinset.clone()));
        let args = share::Args {
            own,
            sharing,
            members: members.clone(),
            wishes,
            ledger: ledger.clone(),
            tracker: tracker.clone(),
        };
        parts.insert(0, ("share", share::spawn(args)));
    }
    let inner = Inner {
        own,
        trigger,
        peername: config.cluster.peername.clone(),
        follower: config.cluster.follower_mode,
        defaults: defaults(config),
        allocate_by: config.allocator.allocate_by.clone(),
        only_trusted: config.cluster.pin_only_on_trusted_peers,
        only_untrusted: config.cluster.pin_only_on_untrusted_peers,
        trust: Arc::new(RwLock::new(config.crdt.trusted_peers.clone())),
        calls,
        swarm,
        departure,
        members,
        ledger,
        sharing,
        ipfs_id: Arc::new(IpfsId::new(ipfs.clone())),
        ipfs,
        local: Local { pinset: pinset.clone(), tracker: tracker.clone() },
        spool: Spool::new(config.folder.clone()),
        tracker,
        pinset,
        alerts: Arc::new(alerts),
        counts,
        notices: Arc::default(),
        throttle: Arc::new(Throttle::new(config.cluster.repin_rate.map_or(0, NonZeroU64::get))),
        promises: Arc::default(),
        meters,
        stores: stores(&config.folder),
    };
    Ok((Cluster { inner: Arc::new(inner) }, parts))
}

/// The peers that lived when this one last ran. Not to know them is no reason not to start.
fn absent(ledger: &LedgerDb, told: &[Alert]) -> Absent {
    let pings = ledger.lives().unwrap_or_else(|error| {
        tracing::warn!(%error, "who lived before cannot be read: a death meanwhile is not told of");
        Vec::new()
    });
    Absent::new(pings, told)
}

/// A follower neither shows nor raises alerts. Those of earlier starts are no reason not to start.
fn open_alerts(config: &Config, own: PeerId, ledger: &Arc<LedgerDb>, counts: &Arc<Counts>) -> (Alerts, Parts) {
    let kept = if config.cluster.follower_mode { Ok(Vec::new()) } else { ledger.alerts() };
    let kept = kept.unwrap_or_else(|error| {
        tracing::warn!(%error, "the alerts of earlier starts cannot be read");
        Vec::new()
    });
    let (alerts, waiting) = Alerts::new(kept, counts.clone());
    let (of, ring) = (ledger.clone(), watch::Sender::new(()));
    let courier = courier(config, own, ledger, (ring.subscribe(), counts.clone()));
    let write = Arc::new(move |alerts: &[Alert]| Ok(of.add_alerts(alerts)?));
    let keeper = Keeper { waiting, write, kept: ring, counts: counts.clone() };
    let keeper = ("alerts", Task::spawn(|stop| keeper.run(stop)));
    (alerts, courier.into_iter().map(|task| ("webhook", task)).chain([keeper]).collect())
}

/// Who tells the webhook, if there is one; where the last one was is forgotten with it. Whatever fails here is said and
/// costs no more than the webhook.
fn courier(
    config: &Config,
    own: PeerId,
    ledger: &Arc<LedgerDb>,
    (kept, counts): (watch::Receiver<()>, Arc<Counts>),
) -> Option<Task> {
    let webhook = config.monitor.webhook.clone().filter(|_| !config.cluster.follower_mode);
    let begun = if webhook.is_some() { ledger.begin_webhook().map(drop) } else { ledger.forget_webhook() };
    if let Err(error) = begun {
        tracing::warn!(%error, "how far the webhook was told of alerts is not known");
    }
    let webhook = webhook?;
    let receiver = webhook.origin();
    let deliver = Post::deliver(webhook).map_err(|error| tracing::error!(error, "there is no webhook")).ok()?;
    let (peername, ledger) = (config.cluster.peername.clone(), ledger.clone());
    let courier = Courier::new(CourierArgs { own, peername, ledger, deliver, receiver, kept, counts });
    Some(Task::spawn(|stop| courier.run(stop)))
}

fn connector(config: &Config) -> Result<Arc<dyn Connector>, Fatal> {
    let ipfs = &config.ipfshttp;
    Ok(Arc::new(Kubo::new(KuboArgs {
        node: match &ipfs.node_multiaddress {
            Endpoint::Address(address) => address.clone(),
            Endpoint::Unix(path) => Multiaddr::empty().with(Protocol::Unix(path.to_string_lossy().into_owned().into())),
        },
        request_timeout: ipfs.ipfs_request_timeout,
        pin_timeout: ipfs.pin_timeout,
        unpin_timeout: ipfs.unpin_timeout,
        unpin_disable: ipfs.unpin_disable,
    })?))
}

fn defaults(config: &Config) -> Defaults {
    let (min, max) = config.cluster.replication.factors();
    Defaults { min, max }
}

/// The share of a follower with a budget; peers that write hold what they are given.
fn open_sharing(config: &Config, own: PeerId, ledger: &LedgerDb) -> Result<Option<Sharing>, StoreError> {
    let Some(max_bytes) = config.follower.max_bytes else { return Ok(None) };
    if !config.cluster.follower_mode {
        tracing::warn!("follower.max_bytes has no effect: this peer is no follower (cluster.follower_mode)");
        return Ok(None);
    }
    let copies = usize::try_from(config.follower.copies.get()).unwrap_or(usize::MAX);
    let beat = config.cluster.monitor_ping_interval;
    Sharing::open(&own, (max_bytes.get(), copies), beat, ledger, task::wall()).map(Some)
}

fn open_tracker(
    config: &Config,
    own: PeerId,
    (ipfs, calls): (Arc<dyn Connector>, Calls),
    (ledger, sharing): (Arc<LedgerDb>, Option<Arc<Sharing>>),
    pinset: &Pinset,
) -> Result<(Tracker, Task), Fatal> {
    Ok(tracker::spawn(tracker::Args {
        own,
        peername: config.cluster.peername.clone(),
        ipfs,
        ledger,
        others: Arc::new(Holders::new(calls)),
        share: as_share(sharing.as_ref()),
        wishes: Arc::new(PinsetWishes::new(pinset.clone())),
        concurrent_pins: config.tracker.concurrent_pins.try_into()?,
        max_queue: config.tracker.max_pin_queue_size,
        disk_high_water: config.tracker.disk_high_water,
        recover_interval: config.cluster.pin_recover_interval,
        priority_max_age: config.tracker.priority_pin_max_age,
        priority_max_retries: config.tracker.priority_pin_max_retries.get(),
    })?)
}

/// How the swarm runs.
///
/// # Errors
/// When the engine's protocol is no name.
pub fn swarm_args(
    config: &Config,
    keypair: Keypair,
    bootstrap: Vec<Multiaddr>,
    pinset: &Pinset,
) -> Result<swarm::Args, Fatal> {
    let cluster = &config.cluster;
    let pubsub = cluster.pubsub;
    let mut topics = pinset.topics();
    topics.push(METRICS_TOPIC.into());
    Ok(swarm::Args {
        secret: cluster.secret.as_ref().map(|secret| Secret(*secret.bytes())),
        listen: cluster.listen_multiaddress.clone(),
        announce: cluster.announce_multiaddress.clone(),
        no_announce: cluster.no_announce_multiaddress.clone(),
        addresses: cluster.peer_addresses.iter().cloned().chain(bootstrap).collect(),
        peerstore: Some(cluster.peerstore_file.clone()),
        topics,
        protocols: {
            let engine = pinset.protocols().into_iter().map(StreamProtocol::try_from_owned);
            engine.chain([Ok(calls::PROTOCOL)]).collect::<Result<_, _>>()?
        },
        gossip: GossipArgs {
            heartbeat: pubsub.heartbeat_interval,
            d_factor: pubsub.d_factor.get(),
            history_length: pubsub.history_length.get(),
            history_gossip: pubsub.history_gossip.get(),
            seen_ttl: pubsub.seen_messages_ttl,
            // A mesh forms only at heartbeats, 10 s apart: until then own messages go to every neighbour.
            flood_publish: true,
        },
        mdns: !cluster.mdns_interval.is_zero(),
        dial_timeout: cluster.dial_peer_timeout,
        ..swarm::Args::new(keypair)
    })
}

/// How often the chores are done.
pub fn periods(config: &Config) -> Periods {
    Periods {
        state_sync: config.cluster.state_sync_interval,
        connect_swarms_delay: config.ipfshttp.connect_swarms_delay,
    }
}

/// How pins are repaired; `None`: they stay where they are, for this peer writes nothing.
pub fn repairs(config: &Config) -> Option<repair::Args> {
    let cluster = &config.cluster;
    // Whoever drains a peer wants its pins moved: those go whatever is said of peers that are missing.
    let grace = if cluster.disable_repinning { Duration::MAX } else { cluster.repin_grace };
    (!cluster.follower_mode).then_some(repair::Args { grace })
}

/// What the informers tell.
pub fn informer_args(config: &Config, cluster: &Cluster, bell: watch::Sender<()>) -> InformersArgs {
    let inner = &*cluster.inner;
    let Inner {
        own,
        peername,
        ipfs,
        trigger,
        ipfs_id,
        swarm,
        members,
        alerts,
        tracker,
        follower,
        departure,
        ledger,
        ..
    } = inner;
    InformersArgs {
        own: *own,
        peername: peername.clone(),
        ping_interval: config.cluster.monitor_ping_interval,
        check_interval: config.monitor.check_interval,
        disk: config
            .informers
            .disk
            .map(|disk| Disk { ttl: disk.metric_ttl, reposize: matches!(disk.metric_type, DiskMetric::RepoSize) }),
        tags: config.informers.tags.as_ref().map(|tags| (tags.metric_ttl, tags.tags.clone())),
        pinqueue: config.informers.pinqueue.map(|queue| (queue.metric_ttl, u64::from(queue.weight_bucket_size.get()))),
        ipfs: ipfs.clone(),
        ipfs_id: ipfs_id.clone(),
        publish: {
            let swarm = swarm.clone();
            Box::new(move |bytes| swarm.publish(METRICS_TOPIC, bytes))
        },
        members: members.clone(),
        queue_size: {
            let tracker = tracker.clone();
            Arc::new(move || tracker.pin_queue_size())
        },
        grace: config.cluster.repin_grace,
        keep: {
            let ledger = ledger.clone();
            Arc::new(move |lives| ledger.keep_lives(lives))
        },
        alerts: (!follower).then(|| alerts.clone()),
        leaving: departure.watch(),
        trigger: trigger.bell(),
        share: inner.sharing.as_ref().map(|sharing| sharing.terms()),
        bell,
    }
}
