//! What all front ends call.
mod drain;
mod events;
mod health;
mod moves;
pub(super) mod observe;
mod pages;
mod probe;
mod rebalance;
pub(super) mod throttle;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::Mutex;
use tracing::instrument;

use super::error::Error;
use super::flow::{self, Defaults};
use super::net::{Counts, Notices};
use super::peers::{Alerts, Departure, IpfsId, Members, Sharing};
use super::pinset::Pinset;
use super::status::{Local, Spool};
use crate::crdt::{Op, OpId, Seen, Summary, WriteError};
use crate::ipfs::{Connector, Trigger};
use crate::model::{Alert, Cid, Metric, PeerId, PeerInfo, Pin, PinOptions, PinTypes, Replication, Trust, UnixMillis};
use crate::monitor::rebalance::Promises;
use crate::observe::{Meters, TRACE};
use crate::store::LedgerDb;
use crate::swarm::calls::{self, Calls};
use crate::swarm::{Swarm, Traffic};
use crate::task;
use crate::tracker::Tracker;
use throttle::Throttle;

/// How often a pin is decided anew when it moved meanwhile.
const STALE_TRIES: usize = 3;

/// Peers that are asked at a time.
pub(super) const FAN_OUT_MAX: usize = 64;

/// One peer of a cluster.
#[derive(Clone)]
pub struct Cluster {
    pub(super) inner: Arc<Inner>,
}

/// The parts that calls are made on.
pub(super) struct Inner {
    pub own: PeerId,
    pub peername: String,
    pub follower: bool,
    pub defaults: Defaults,
    pub allocate_by: Vec<String>,
    pub only_trusted: bool,
    pub only_untrusted: bool,
    pub trust: Arc<RwLock<Trust>>,
    pub pinset: Pinset,
    pub tracker: Tracker,
    pub swarm: Swarm,
    pub calls: Calls,
    pub members: Arc<Members>,
    pub departure: Arc<Departure>,
    pub alerts: Arc<Alerts>,
    /// Where it is written down who lives.
    pub ledger: Arc<LedgerDb>,
    pub ipfs: Arc<dyn Connector>,
    /// Rings when so much was pinned that its space is told anew.
    pub trigger: Trigger,
    pub ipfs_id: Arc<IpfsId>,
    pub local: Local,
    /// Where statuses are sorted that come in an order of their own.
    pub spool: Spool,
    /// Its share; none when it has no budget.
    pub sharing: Option<Arc<Sharing>>,
    pub counts: Arc<Counts>,
    pub notices: Arc<Notices>,
    /// What pins that get new holders pay, whoever gives them.
    pub throttle: Arc<Throttle>,
    /// What peers are to have after moves of this one.
    pub promises: Arc<Mutex<Promises>>,
    pub meters: Meters,
    /// The files of the stores.
    pub stores: [PathBuf; 2],
}

impl Inner {
    /// The trust list of now.
    pub fn trust(&self) -> Trust {
        self.trust.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("own", &self.inner.own).finish_non_exhaustive()
    }
}

/// About this peer and the others.
impl Cluster {
    /// Returns this peer's version.
    #[must_use]
    pub fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").into()
    }

    /// Returns this peer's ID.
    #[must_use]
    pub fn own_id(&self) -> PeerId {
        self.inner.own
    }

    /// Returns who this peer is; a daemon that does not answer is an error inside.
    pub async fn id(&self) -> PeerInfo {
        let Inner { own, swarm, members, ipfs_id, .. } = &*self.inner;
        let cluster_peers = members.peerset(task::wall());
        let others = cluster_peers.iter().filter(|peer| *peer != own);
        let cluster_peers_addresses = others.flat_map(|peer| swarm.known_addresses(peer)).collect();
        PeerInfo {
            id: *own,
            addresses: swarm.listen_addresses(),
            cluster_peers,
            cluster_peers_addresses,
            version: self.version(),
            commit: String::new(),
            rpc_protocol_version: calls::PROTOCOL.as_ref().into(),
            error: String::new(),
            ipfs: ipfs_id.get().await,
            peername: self.inner.peername.clone(),
        }
    }

    /// Returns every member's answer to who it is, as they come; one that does not answer in 15 s is a row with an error.
    #[must_use]
    pub fn peers(&self) -> BoxStream<'static, PeerInfo> {
        let cluster = self.clone();
        let members = self.inner.members.peerset(task::wall());
        stream::iter(members)
            .map(move |peer| {
                let cluster = cluster.clone();
                async move { cluster.peer(peer).await }
            })
            .buffer_unordered(FAN_OUT_MAX)
            .boxed()
    }

    /// Returns who `peer` is, or that it did not say.
    pub(super) async fn peer(&self, peer: PeerId) -> PeerInfo {
        if peer == self.inner.own {
            return self.id().await;
        }
        match self.inner.calls.id(peer).await {
            Ok(info) if info.id == peer => info,
            Ok(info) => PeerInfo::failed(peer, format!("it says that it is {}", info.id)),
            Err(error) => PeerInfo::failed(peer, error.to_string()),
        }
    }

    /// Returns the names of the metrics that are known.
    #[must_use]
    pub fn metric_names(&self) -> Vec<String> {
        self.inner.members.metric_names()
    }

    /// Returns the latest live metric of each peer, by peer ID.
    #[must_use]
    pub fn metrics(&self, name: &str) -> Vec<Metric> {
        self.inner.members.metrics(name, task::wall())
    }

    /// Returns the alerts, newest first.
    #[must_use]
    pub fn alerts(&self) -> Vec<Alert> {
        self.inner.alerts.all()
    }

    /// Returns every counter that moved since the start, by name: what was refused, dropped or noticed.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = self.inner.counts.all();
        counts.extend(self.inner.swarm.counts().named().into_iter().filter(|(_, n)| *n > 0));
        counts
    }

    /// Returns the bytes that the swarm carried, by protocol.
    #[must_use]
    pub fn traffic(&self) -> BTreeMap<String, Traffic> {
        self.inner.swarm.traffic()
    }

    /// Returns the trust list.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.inner.trust()
    }

    /// Replaces the trust list: for changes, for calls, and for who may hold pins.
    ///
    /// # Errors
    /// [`Error::Shutdown`].
    pub async fn set_trust(&self, trust: Trust) -> Result<(), Error> {
        self.inner.pinset.set_trust(trust.clone()).await?;
        *self.inner.trust.write().unwrap_or_else(PoisonError::into_inner) = trust;
        Ok(())
    }

    /// Returns what the engine shows of itself.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.inner.pinset.summary().borrow().clone()
    }
}

/// The pinset.
impl Cluster {
    /// Puts a pin in the pinset; returns it as submitted, which is on disk then.
    ///
    /// # Errors
    /// [`Error`], in Go's words where Go has any.
    #[instrument(target = TRACE, name = "cluster.pin", skip_all, fields(%cid))]
    pub async fn pin(&self, cid: Cid, options: PinOptions) -> Result<Pin, Error> {
        self.writable()?;
        for _ in 0..STALE_TRIES {
            let existing = self.inner.pinset.get(&cid)?;
            let pin = self.decide(cid, &options, existing.as_ref().map(|(pin, _)| pin))?;
            match self.inner.pinset.write(Op::Pin(Box::new(pin.clone())), seen(existing)).await {
                Ok(_) => {
                    self.inner.meters.origins.note(|| cid.to_bytes());
                    return Ok(pin);
                }
                Err(Error::Write(WriteError::Stale)) => (),
                Err(error) => return Err(error),
            }
        }
        Err(Error::Contended(cid))
    }

    /// What the pin becomes, allocated.
    fn decide(&self, cid: Cid, options: &PinOptions, existing: Option<&Pin>) -> Result<Pin, Error> {
        let now = task::wall();
        if let Some(from) = options.pin_update.filter(|from| *from != cid) {
            let (from, _) = self.inner.pinset.get(&from)?.ok_or(Error::NotFound)?;
            return Ok(flow::update(cid, &from, options, now)?);
        }
        let mut pin = flow::setup(cid, options, existing, self.inner.defaults, now)?;
        if pin.replication != Replication::Everywhere {
            pin.allocations =
                self.allocate(&pin, existing.map_or(&[], |pin| &pin.allocations), &|candidate| candidate)?;
        }
        Ok(pin)
    }

    /// As [`Cluster::pin`], of what a path leads to.
    ///
    /// # Errors
    /// As [`Cluster::pin`], and the daemon's when it cannot resolve the path.
    pub async fn pin_path(&self, path: String, options: PinOptions) -> Result<Pin, Error> {
        self.writable()?;
        self.pin(self.resolve(path).await?, options).await
    }

    /// Takes a pin out of the pinset; returns it as it was.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not there.
    pub async fn unpin(&self, cid: Cid) -> Result<Pin, Error> {
        self.unpin_if(cid, |_| true).await?.ok_or(Error::NotFound)
    }

    /// Takes a pin that expired before `now` out of the pinset; returns whether it was, and not renewed meanwhile.
    pub(super) async fn unpin_expired(&self, cid: Cid, now: UnixMillis) -> Result<bool, Error> {
        let is_expired = |pin: &Pin| pin.expire_at.is_some_and(|at| at < now);
        Ok(self.unpin_if(cid, is_expired).await?.is_some())
    }

    #[instrument(target = TRACE, name = "cluster.unpin", skip_all, fields(%cid))]
    async fn unpin_if(&self, cid: Cid, wanted: impl Fn(&Pin) -> bool) -> Result<Option<Pin>, Error> {
        self.writable()?;
        for _ in 0..STALE_TRIES {
            let existing = self.inner.pinset.get(&cid)?;
            let Some((pin, _)) = &existing else { return Err(Error::NotFound) };
            if !wanted(pin) {
                return Ok(None);
            }
            flow::removable(pin)?;
            match self.inner.pinset.write(Op::Unpin(cid), seen(existing)).await {
                Err(Error::Write(WriteError::Stale)) => (),
                Err(Error::Write(WriteError::NotFound)) => return Err(Error::NotFound),
                other => return other.map(Some),
            }
        }
        Err(Error::Contended(cid))
    }

    /// As [`Cluster::unpin`], of what a path leads to.
    ///
    /// # Errors
    /// As [`Cluster::unpin`], and the daemon's when it cannot resolve the path.
    pub async fn unpin_path(&self, path: String) -> Result<Pin, Error> {
        self.writable()?;
        self.unpin(self.resolve(path).await?).await
    }

    /// Returns the pin of a CID.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub fn allocation(&self, cid: Cid) -> Result<Pin, Error> {
        self.inner.pinset.get(&cid)?.map(|(pin, _)| pin).ok_or(Error::NotFound)
    }

    /// Returns the pinset in key order, page by page: what changes meanwhile may or may not be in it.
    #[must_use]
    pub fn allocations(&self, types: PinTypes) -> BoxStream<'static, Result<Pin, Error>> {
        self.allocations_after(types, None)
    }

    async fn resolve(&self, path: String) -> Result<Cid, Error> {
        let bare = path.strip_prefix("/ipfs/").or_else(|| path.strip_prefix("/ipld/"));
        match bare.map(str::parse::<Cid>) {
            Some(Ok(cid)) => Ok(cid),
            _ => Ok(self.inner.ipfs.resolve(path).await?),
        }
    }

    fn writable(&self) -> Result<(), Error> {
        if self.inner.follower { Err(Error::Follower) } else { Ok(()) }
    }
}

fn seen(existing: Option<(Pin, OpId)>) -> Seen {
    Seen::Winner(existing.map(|(_, id)| id))
}

#[cfg(test)]
mod tests;
