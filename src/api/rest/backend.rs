//! What the handlers need of a cluster; the tests have a small one of their own.
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::cluster::{Cluster, Error, ReplicationHealth};
use crate::model::{
    Alert, Cid, ConnectGraph, Drain, Draining, GlobalPinInfo, Metric, PeerId, PeerInfo, Pin, PinCounts, PinOptions,
    PinTypes, Probe, Rebalance, Rebalanced, RepoGc, StatusFilter, Told,
};
use crate::swarm::Traffic;

/// What handlers share.
#[derive(Clone)]
pub(super) struct Api(pub(super) Arc<dyn Backend>);

type Answer<T> = BoxFuture<'static, Result<T, Error>>;
type Answers<T> = BoxStream<'static, Result<T, Error>>;

/// The calls of [`Cluster`], in its order and words.
pub(super) trait Backend: Send + Sync + 'static {
    fn version(&self) -> String;
    fn id(&self) -> BoxFuture<'static, PeerInfo>;
    fn peers(&self) -> BoxStream<'static, PeerInfo>;
    fn add_peer(&self, peer: PeerId) -> Answer<PeerInfo>;
    fn graph(&self) -> BoxFuture<'static, ConnectGraph>;
    fn gc(&self, local: bool) -> Answer<Vec<RepoGc>>;
    fn drain(&self, peer: PeerId, what: Draining) -> Answer<Drain>;
    fn rebalance(&self, wish: Rebalance) -> Answers<Rebalanced>;
    fn pin(&self, cid: Cid, options: PinOptions) -> Answer<Pin>;
    fn pin_path(&self, path: String, options: PinOptions) -> Answer<Pin>;
    fn pinned(&self, pin: Pin, until: BoxFuture<'static, ()>) -> Answer<(GlobalPinInfo, bool)>;
    fn unpin(&self, cid: Cid) -> Answer<Pin>;
    fn unpin_path(&self, path: String) -> Answer<Pin>;
    fn allocation(&self, cid: Cid) -> Answer<Pin>;
    fn allocations(&self, types: PinTypes) -> Answers<Pin>;
    fn status(&self, cid: Cid, local: bool) -> Answer<GlobalPinInfo>;
    fn status_all(&self, filter: StatusFilter, local: bool) -> Answers<GlobalPinInfo>;
    fn recover(&self, cid: Cid, local: bool) -> Answer<GlobalPinInfo>;
    fn recover_all(&self, local: bool) -> Answers<GlobalPinInfo>;
    fn metric_names(&self) -> Vec<String>;
    fn metrics(&self, name: &str) -> Vec<Metric>;
    fn alerts(&self) -> Vec<Alert>;
    fn traffic(&self) -> BTreeMap<String, Traffic>;
    fn replication(&self) -> ReplicationHealth;
    fn snapshot(&self) -> Answers<Bytes>;
    fn allocations_after(&self, types: PinTypes, after: Option<Cid>) -> Answers<Pin>;
    fn status_after(&self, filter: StatusFilter, local: bool, after: Option<Cid>) -> Answers<GlobalPinInfo>;
    fn events(&self, after: Option<&str>) -> Answers<Told>;
    fn probe(&self, probe: Probe) -> Result<&'static str, String>;
    fn pin_counts(&self) -> Result<PinCounts, Error>;
}

impl Backend for Cluster {
    fn version(&self) -> String {
        self.version()
    }

    fn id(&self) -> BoxFuture<'static, PeerInfo> {
        let cluster = self.clone();
        Box::pin(async move { cluster.id().await })
    }

    fn peers(&self) -> BoxStream<'static, PeerInfo> {
        self.peers()
    }

    fn add_peer(&self, peer: PeerId) -> Answer<PeerInfo> {
        let cluster = self.clone();
        Box::pin(async move { cluster.add_peer(peer).await })
    }

    fn graph(&self) -> BoxFuture<'static, ConnectGraph> {
        let cluster = self.clone();
        Box::pin(async move { cluster.graph().await })
    }

    fn gc(&self, local: bool) -> Answer<Vec<RepoGc>> {
        let cluster = self.clone();
        Box::pin(async move { if local { Ok(vec![cluster.gc_local().await?]) } else { Ok(cluster.gc().await) } })
    }

    fn drain(&self, peer: PeerId, what: Draining) -> Answer<Drain> {
        let cluster = self.clone();
        Box::pin(async move { cluster.drain(peer, what).await })
    }

    fn rebalance(&self, wish: Rebalance) -> Answers<Rebalanced> {
        self.rebalance(wish)
    }

    fn pin(&self, cid: Cid, options: PinOptions) -> Answer<Pin> {
        let cluster = self.clone();
        Box::pin(async move { cluster.pin(cid, options).await })
    }

    fn pin_path(&self, path: String, options: PinOptions) -> Answer<Pin> {
        let cluster = self.clone();
        Box::pin(async move { cluster.pin_path(path, options).await })
    }

    fn pinned(&self, pin: Pin, until: BoxFuture<'static, ()>) -> Answer<(GlobalPinInfo, bool)> {
        let cluster = self.clone();
        Box::pin(async move { cluster.pinned(pin, until).await })
    }

    fn unpin(&self, cid: Cid) -> Answer<Pin> {
        let cluster = self.clone();
        Box::pin(async move { cluster.unpin(cid).await })
    }

    fn unpin_path(&self, path: String) -> Answer<Pin> {
        let cluster = self.clone();
        Box::pin(async move { cluster.unpin_path(path).await })
    }

    fn allocation(&self, cid: Cid) -> Answer<Pin> {
        let cluster = self.clone();
        Box::pin(async move { cluster.allocation(cid) })
    }

    fn allocations(&self, types: PinTypes) -> Answers<Pin> {
        self.allocations(types)
    }

    fn status(&self, cid: Cid, local: bool) -> Answer<GlobalPinInfo> {
        let cluster = self.clone();
        Box::pin(async move { cluster.status(cid, local).await })
    }

    fn status_all(&self, filter: StatusFilter, local: bool) -> Answers<GlobalPinInfo> {
        self.status_all(filter, local)
    }

    fn recover(&self, cid: Cid, local: bool) -> Answer<GlobalPinInfo> {
        let cluster = self.clone();
        Box::pin(async move { cluster.recover(cid, local).await })
    }

    fn recover_all(&self, local: bool) -> Answers<GlobalPinInfo> {
        self.recover_all(local)
    }

    fn metric_names(&self) -> Vec<String> {
        self.metric_names()
    }

    fn metrics(&self, name: &str) -> Vec<Metric> {
        self.metrics(name)
    }

    fn alerts(&self) -> Vec<Alert> {
        self.alerts()
    }

    fn traffic(&self) -> BTreeMap<String, Traffic> {
        self.traffic()
    }

    fn replication(&self) -> ReplicationHealth {
        self.replication()
    }

    fn snapshot(&self) -> Answers<Bytes> {
        self.snapshot()
    }

    fn allocations_after(&self, types: PinTypes, after: Option<Cid>) -> Answers<Pin> {
        self.allocations_after(types, after)
    }

    fn status_after(&self, filter: StatusFilter, local: bool, after: Option<Cid>) -> Answers<GlobalPinInfo> {
        self.status_after(filter, local, after)
    }

    fn events(&self, after: Option<&str>) -> Answers<Told> {
        self.events(after)
    }

    fn probe(&self, probe: Probe) -> Result<&'static str, String> {
        self.probe(probe)
    }

    fn pin_counts(&self) -> Result<PinCounts, Error> {
        self.pin_counts()
    }
}
