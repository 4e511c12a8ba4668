//! What this peer tells the others of itself: ping, free space, tags, queue length, that it leaves; and the check of what
//! they told.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ipfs_id::IpfsId;
use super::ping;
use super::sharing::SHARE;
use crate::cluster::peers::{Alerts, Members};
use crate::ipfs::{Connector, RepoStat};
use crate::model::{Metric, PeerId};
use crate::monitor::LEAVING;
use crate::monitor::share::Terms;
use crate::store::StoreError;
use crate::task::{self, Fatal, Task};
use crate::tracker::TrackerError;
use crate::wire;

/// A ping outlives this many periods, as in Go.
const PING_LIVES: u32 = 2;

/// What share a peer takes is told this many periods apart,
const SHARE_EVERY: u32 = 2;
/// and outlives this many: one that is away for a few minutes keeps its share.
const SHARE_LIVES: u32 = 40;

/// New neighbours that come together are told together, this far apart; so is what is told before its time.
const GAP: Duration = Duration::from_secs(1);

/// The daemon's space is asked again after this long when it did not answer.
const RETRY: Duration = Duration::from_secs(5);

/// How often it is written down who lives: a crash forgets no more.
const KEEP_EVERY: Duration = Duration::from_mins(1);

/// How long that may take at the end.
const KEEP_MAX: Duration = Duration::from_secs(1);

/// Bytes of a ping that are written down; a longer one says nothing.
const KEPT_MAX: usize = 1024;

/// Writes down the last pings of others; blocks for as long as the disk takes.
pub type Keep = Arc<dyn Fn(&[Metric]) -> Result<(), StoreError> + Send + Sync>;

/// What the informers tell, and how often.
pub struct Args {
    /// This peer.
    pub own: PeerId,
    /// Its label.
    pub peername: String,
    /// Half of a ping's life.
    pub ping_interval: Duration,
    /// How often expired metrics are looked for.
    pub check_interval: Duration,
    /// The disk informer, when configured.
    pub disk: Option<Disk>,
    /// The tags informer: life and tags, when configured.
    pub tags: Option<(Duration, BTreeMap<String, String>)>,
    /// The queue informer: life and pins a bucket, when configured.
    pub pinqueue: Option<(Duration, u64)>,
    /// The parts it asks and tells.
    pub ipfs: Arc<dyn Connector>,
    /// The daemon's identity.
    pub ipfs_id: Arc<IpfsId>,
    /// Hands a message to the swarm, unless it is busy.
    pub publish: Box<dyn Fn(Bytes) -> bool + Send + Sync>,
    /// Who keeps what is published here too.
    pub members: Arc<Members>,
    /// Reads how many pins wait to be pinned.
    pub queue_size: Arc<dyn Fn() -> Result<u64, TrackerError> + Send + Sync>,
    /// How long after the start a peer that lived before is waited for.
    pub grace: Duration,
    /// Where it is written down who lives.
    pub keep: Keep,
    /// Who is told of expired metrics; a follower, who can do nothing about them, tells nobody.
    pub alerts: Option<Arc<Alerts>>,
    /// What share of everything it takes, if not all.
    pub share: Option<watch::Receiver<Option<Terms>>>,
    /// Whether this peer is being drained.
    pub leaving: watch::Receiver<bool>,
    /// Rung when so much was pinned that space and queue are told before their time.
    pub trigger: watch::Receiver<()>,
    /// Rung when a neighbour is new, so that it learns of us at once.
    pub bell: watch::Sender<()>,
}

/// What the disk informer measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Life of the metric.
    pub ttl: Duration,
    /// Used space (less is better) instead of free space.
    pub reposize: bool,
}

/// Starts telling.
pub fn spawn(args: Args) -> Task {
    Task::spawn(|stop| run(Arc::new(Informers { args, told: Mutex::default() }), stop))
}

/// What this peer tells, and what it told.
struct Informers {
    args: Args,
    /// The newest metric of each name, for neighbours that come after it left.
    told: Mutex<BTreeMap<String, Metric>>,
}

async fn run(informers: Arc<Informers>, stop: CancellationToken) -> Result<(), Fatal> {
    let mut loops = JoinSet::new();
    loops.spawn(ping_loop(informers.clone()));
    loops.spawn(identity_loop(informers.clone()));
    loops.spawn(neighbour_loop(informers.clone()));
    loops.spawn(check_loop(informers.clone()));
    loops.spawn(keep_loop(informers.clone()));
    loops.spawn(leaving_loop(informers.clone()));
    if let Some(disk) = informers.args.disk {
        loops.spawn(disk_loop(informers.clone(), disk));
    }
    if let Some((ttl, tags)) = informers.args.tags.clone() {
        loops.spawn(tags_loop(informers.clone(), ttl, tags));
    }
    if let Some((ttl, bucket)) = informers.args.pinqueue {
        loops.spawn(queue_loop(informers.clone(), ttl, bucket));
    }
    if let Some(share) = informers.args.share.clone() {
        loops.spawn(share_loop(informers.clone(), share));
    }
    let ended = tokio::select! { biased;
        () = stop.cancelled() => Ok(()),
        // No loop ends by itself: a peer that stays silent would be given up by the others, and not know.
        Some(Err(error)) = loops.join_next() => Err(error.into()),
    };
    loops.shutdown().await;
    // A disk that hangs must not take the time of the parts below.
    let _ = tokio::time::timeout(KEEP_MAX, informers.keep()).await;
    ended
}

/// Pings never wait for the daemon: they carry its last good answer.
async fn ping_loop(informers: Arc<Informers>) {
    loop {
        informers.ping();
        tokio::time::sleep(informers.args.ping_interval).await;
    }
}

/// Asks who the daemon is; when that is another one than was told, all hear of it at once.
async fn identity_loop(informers: Arc<Informers>) {
    let Args { ipfs_id, ping_interval, .. } = &informers.args;
    loop {
        let before = ipfs_id.last();
        ipfs_id.renew().await;
        if ipfs_id.last() != before {
            informers.ping();
        }
        tokio::time::sleep(*ping_interval).await;
    }
}

/// Tells a new neighbour everything at once, and many that come together once a second.
async fn neighbour_loop(informers: Arc<Informers>) {
    let mut bell = informers.args.bell.subscribe();
    // The bell is part of the arguments, so it is there as long as this loop.
    while bell.changed().await.is_ok() {
        informers.tell_again();
        tokio::time::sleep(GAP).await;
    }
}

async fn check_loop(informers: Arc<Informers>) {
    let Args { members, alerts, own, check_interval, grace, .. } = &informers.args;
    // Waited for by the clock that nobody sets.
    let began = task::now();
    loop {
        tokio::time::sleep(*check_interval).await;
        let mut new = members.check(task::wall());
        if task::now().duration_since(began) >= *grace {
            new.extend(members.give_up(task::wall()));
        }
        tell_clocks(members);
        let Some(alerts) = alerts else { continue };
        for alert in new {
            if alert.metric.peer != *own {
                tracing::warn!(peer = %alert.metric.peer, metric = alert.metric.name, "a metric expired");
            }
            alerts.raise(alert);
        }
    }
}

async fn keep_loop(informers: Arc<Informers>) {
    loop {
        tokio::time::sleep(KEEP_EVERY).await;
        informers.keep().await;
    }
}

fn tell_clocks(members: &Members) {
    for (peer, ahead) in members.check_clocks(task::wall()) {
        if let Some(ahead_millis) = ahead {
            tracing::warn!(%peer, ahead_millis, "the clocks of a member and of this peer differ");
        } else {
            tracing::info!(%peer, "the clocks of a member and of this peer agree again");
        }
    }
}

/// Says that this peer leaves for as long as it does, and once that it does not any more.
async fn leaving_loop(informers: Arc<Informers>) {
    let Args { leaving, ping_interval, .. } = &informers.args;
    let mut leaving = leaving.clone();
    let mut was_leaving = false;
    loop {
        let is_leaving = *leaving.borrow_and_update();
        if is_leaving || was_leaving {
            let metric = informers.metric(LEAVING, *ping_interval * PING_LIVES);
            informers.publish(Metric { valid: is_leaving, ..metric });
        }
        was_leaving = is_leaving;
        tokio::select! {
            changed = leaving.changed() => if changed.is_err() {
                // Nobody can change it any more: the peer is going down.
                std::future::pending::<()>().await;
            },
            () = tokio::time::sleep(*ping_interval) => (),
        }
    }
}

/// Tells what share this peer takes, at once when that changes.
async fn share_loop(informers: Arc<Informers>, mut share: watch::Receiver<Option<Terms>>) {
    let interval = informers.args.ping_interval;
    loop {
        let terms = share.borrow_and_update().clone();
        if let Some(terms) = terms {
            let mut metric = informers.metric(SHARE, interval * SHARE_LIVES);
            (metric.value, metric.weight) = (terms.to_string(), terms.weight());
            informers.publish(metric);
        }
        // Nobody tells anything any more when the peer is going down: then what was told last is repeated.
        let _ = tokio::time::timeout(interval * SHARE_EVERY, share.changed()).await;
        tokio::time::sleep(GAP).await;
    }
}

async fn disk_loop(informers: Arc<Informers>, disk: Disk) {
    let (mut trouble, mut trigger) = (Trouble::default(), informers.args.trigger.clone());
    loop {
        let stat = informers.args.ipfs.repo_stat().await;
        let wait = if stat.is_ok() { disk.ttl / 2 } else { RETRY.min(disk.ttl / 4) };
        match stat.map(|stat| disk.measure(stat)) {
            Ok((name, Some((value, weight)))) => {
                trouble.is_over();
                let mut metric = informers.metric(name, disk.ttl);
                (metric.value, metric.weight) = (value.to_string(), weight);
                informers.publish(metric);
            }
            Ok((name, None)) => {
                informers.take_back(name);
                trouble.say("the IPFS daemon has no free space: raise its StorageMax");
            }
            Err(error) => trouble.say(&format!("the IPFS daemon does not say how much space it has: {error}")),
        }
        rest(wait, &mut trigger).await;
    }
}

async fn tags_loop(informers: Arc<Informers>, ttl: Duration, tags: BTreeMap<String, String>) {
    loop {
        for (key, value) in &tags {
            let mut metric = informers.metric(&format!("tag:{key}"), ttl);
            (metric.value, metric.partitionable) = (value.clone(), true);
            informers.publish(metric);
        }
        tokio::time::sleep(ttl / 2).await;
    }
}

async fn queue_loop(informers: Arc<Informers>, ttl: Duration, bucket: u64) {
    let (mut trouble, mut trigger) = (Trouble::default(), informers.args.trigger.clone());
    loop {
        let size = informers.args.queue_size.clone();
        let queued = tokio::task::spawn_blocking(move || size()).await;
        match queued {
            Ok(Ok(queued)) => {
                trouble.is_over();
                let mut metric = informers.metric("pinqueue", ttl);
                metric.value = queued.to_string();
                metric.weight = i64::try_from(queued.checked_div(bucket).unwrap_or(queued)).map_or(i64::MIN, |n| -n);
                informers.publish(metric);
            }
            Ok(Err(error)) => trouble.say(&format!("the length of the pin queue is not known: {error}")),
            Err(error) => trouble.say(&format!("the length of the pin queue is not known: {error}")),
        }
        rest(ttl / 2, &mut trigger).await;
    }
}

/// Waits for so long, or until much was pinned since the last wait; not less than a second.
async fn rest(wait: Duration, trigger: &mut watch::Receiver<()>) {
    tokio::time::sleep(GAP.min(wait)).await;
    tokio::select! {
        Ok(()) = trigger.changed() => (),
        () = tokio::time::sleep(wait.saturating_sub(GAP)) => (),
    }
}

/// Something that goes wrong again and again, and is said when it begins.
#[derive(Default)]
struct Trouble(bool);

impl Trouble {
    fn say(&mut self, what: &str) {
        if !std::mem::replace(&mut self.0, true) {
            tracing::warn!("{what}");
        }
    }

    fn is_over(&mut self) {
        self.0 = false;
    }
}

impl Disk {
    /// Returns the metric's name, and its value and weight unless the repository is full.
    fn measure(self, stat: RepoStat) -> (&'static str, Option<(i64, i64)>) {
        let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        if self.reposize {
            let size = number(stat.size);
            return ("reposize", Some((size, -size)));
        }
        let free = number(stat.max.saturating_sub(stat.size));
        ("freespace", Some((free, free)).filter(|_| free > 0))
    }
}

impl Informers {
    fn ping(&self) {
        let Args { peername, ipfs_id, ping_interval, .. } = &self.args;
        let mut metric = self.metric("ping", *ping_interval * PING_LIVES);
        metric.value = ping::encode(peername, &ipfs_id.last());
        self.publish(metric);
    }

    /// Writes down who lives, so that the next start misses those that died meanwhile; for alerts alone.
    async fn keep(&self) {
        let Args { members, keep, alerts, .. } = &self.args;
        if alerts.is_none() {
            return;
        }
        let (keep, mut pings) = (keep.clone(), members.last_pings(task::wall()));
        pings.iter_mut().filter(|ping| ping.value.len() > KEPT_MAX).for_each(|ping| ping.value.clear());
        match tokio::task::spawn_blocking(move || keep(&pings)).await {
            Ok(Ok(())) => (),
            Ok(Err(error)) => tracing::warn!(%error, "it is not written down who lives"),
            Err(error) => tracing::warn!(%error, "it is not written down who lives"),
        }
    }

    fn metric(&self, name: &str, ttl: Duration) -> Metric {
        Metric {
            name: name.into(),
            peer: self.args.own,
            value: String::new(),
            expire_nanos: task::wall().plus(ttl).nanos(),
            valid: true,
            weight: 0,
            partitionable: false,
            received_nanos: 0,
        }
    }

    fn publish(&self, metric: Metric) {
        self.send(&metric);
        self.told().insert(metric.name.clone(), metric.clone());
        self.args.members.receive(metric, task::wall());
    }

    /// What was told is not so any more: it is not told again, and expires with those who heard it.
    fn take_back(&self, name: &str) {
        self.told().remove(name);
    }

    fn tell_again(&self) {
        let now = task::wall();
        let live: Vec<Metric> = self.told().values().filter(|metric| metric.is_live(now)).cloned().collect();
        for metric in &live {
            self.send(metric);
        }
    }

    fn send(&self, metric: &Metric) {
        if !(self.args.publish)(Bytes::from(wire::metric::encode(metric))) {
            tracing::debug!(name = metric.name, "a metric was not published: the swarm is busy");
        }
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<String, Metric>> {
        self.told.lock().expect("no code panics while it holds what was told")
    }
}

#[cfg(test)]
#[path = "informers_tests.rs"]
mod tests;
