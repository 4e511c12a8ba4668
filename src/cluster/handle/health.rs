//! Who is connected with whom, and garbage collection: calls on the handle that ask every member.
use std::collections::BTreeSet;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::{Cluster, Error, FAN_OUT_MAX};
use crate::model::{ConnectGraph, PeerId, PeerInfo, RepoGc};
use crate::swarm::calls::CallError;
use crate::task;

/// Members that one peer may name: more are a fault of its own.
const MEMBERS_MAX: usize = 10_000;

impl Cluster {
    /// Returns who `peer` is: membership is who is heard, so that adding somebody changes nothing, as in Go.
    ///
    /// # Errors
    /// When the peer is not reached.
    pub async fn add_peer(&self, peer: PeerId) -> Result<PeerInfo, Error> {
        let mut info = self.peer(peer).await;
        if !info.error.is_empty() {
            return Err(Error::Other(info.error));
        }
        let own = self.own_id();
        if !info.cluster_peers.contains(&own) {
            info.cluster_peers.push(own);
        }
        Ok(info)
    }

    /// Makes this peer's daemon collect what nobody has pinned.
    ///
    /// # Errors
    /// The daemon's, when it does not begin.
    pub async fn gc_local(&self) -> Result<RepoGc, Error> {
        let keys = self.inner.ipfs.gc().await?;
        Ok(RepoGc { keys, ..self.gc_failed(self.own_id(), String::new()) })
    }

    /// Makes every member's daemon collect, one after the other; members that do not trust this peer are passed over.
    pub async fn gc(&self) -> Vec<RepoGc> {
        let mut all = Vec::new();
        for peer in self.inner.members.peerset(task::wall()) {
            let done = if peer == self.own_id() {
                self.gc_local().await.map_err(|error| error.to_string())
            } else {
                match self.inner.calls.gc(peer).await {
                    Err(CallError::Refused(_)) => continue,
                    other => other.map_err(|error| error.to_string()),
                }
            };
            all.push(done.unwrap_or_else(|error| self.gc_failed(peer, error)));
        }
        all
    }

    fn gc_failed(&self, peer: PeerId, error: String) -> RepoGc {
        let own = peer == self.own_id();
        let peername = if own { self.inner.peername.clone() } else { self.inner.members.names(&peer).peername };
        RepoGc { peer, peername, keys: Vec::new(), error }
    }

    /// Returns whom each member reaches, and their daemons' neighbours; what a member does not tell is left out.
    pub async fn graph(&self) -> ConnectGraph {
        let own = self.own_id();
        let members = self.inner.members.peerset(task::wall());
        let trust = self.trust();
        let trusted = members.iter().map(|peer| (*peer, trust.trusts(&own, peer))).collect();
        let cluster_links = members.iter().map(|peer| (*peer, Vec::new())).collect();
        let (names, ipfs_links, daemons) = Default::default();
        let mut graph = ConnectGraph { own, names, ipfs_links, cluster_links, trusted, daemons };
        let views = stream::iter(members).map(|peer| self.view(peer)).buffer_unordered(FAN_OUT_MAX);
        for view in views.collect::<Vec<_>>().await.into_iter().flatten() {
            view.add_to(&mut graph);
        }
        graph
    }

    /// What `peer` sees; `None` when it does not say.
    async fn view(&self, peer: PeerId) -> Option<View> {
        let own = peer == self.own_id();
        let ids = if own { self.peers().map(Ok).boxed() } else { self.inner.calls.peers(peer) };
        let ids: Vec<PeerInfo> = ids.take(MEMBERS_MAX).try_collect().await.ok()?;
        let itself = ids.iter().find(|info| info.id == peer && info.error.is_empty()).cloned();
        let daemon = itself.as_ref().filter(|info| info.ipfs.error.is_empty()).and_then(|info| info.ipfs.id);
        let neighbours = match daemon {
            None => Vec::new(),
            Some(_) if own => self.inner.ipfs.swarm_peers().await.unwrap_or_default(),
            Some(_) => self.inner.calls.swarm_peers(peer).await.unwrap_or_default(),
        };
        let name = itself.map(|info| info.peername).unwrap_or_default();
        let reached = ids.into_iter().filter(|info| info.error.is_empty() && info.id != peer).map(|info| info.id);
        Some(View { peer, name, reached: reached.collect(), daemon, neighbours })
    }
}

/// What one member sees.
struct View {
    peer: PeerId,
    name: String,
    reached: Vec<PeerId>,
    daemon: Option<PeerId>,
    neighbours: Vec<PeerId>,
}

impl View {
    fn add_to(self, graph: &mut ConnectGraph) {
        graph.names.insert(self.peer, self.name);
        graph.cluster_links.insert(self.peer, self.reached);
        if let Some(daemon) = self.daemon {
            graph.daemons.insert(self.peer, daemon);
            // A daemon names a neighbour once for each connection.
            let neighbours: BTreeSet<PeerId> = self.neighbours.into_iter().collect();
            graph.ipfs_links.insert(daemon, neighbours.into_iter().collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cluster::testing::Lone;
    use crate::model::PeerId;

    #[tokio::test]
    async fn a_lone_peer_is_a_graph_of_one() {
        let lone = Lone::start(|_| ()).await;
        let own = lone.cluster.own_id();
        let graph = lone.cluster.graph().await;
        assert_eq!(graph.cluster_links, [(own, vec![])].into());
        assert_eq!(graph.trusted, [(own, true)].into());
        assert!(graph.names.contains_key(&own));
        lone.stop().await;
    }

    #[tokio::test]
    async fn who_is_not_reached_cannot_be_added() {
        let lone = Lone::start(|_| ()).await;
        let own = lone.cluster.own_id();
        assert_eq!(lone.cluster.add_peer(own).await.unwrap().cluster_peers, [own]);
        assert!(lone.cluster.add_peer(PeerId::random()).await.is_err());
        lone.stop().await;
    }

    #[tokio::test]
    async fn every_member_is_asked_to_collect_and_says_why_it_did_not() {
        let lone = Lone::start(|_| ()).await;
        let all = lone.cluster.gc().await;
        // Its daemon is away.
        let error = lone.cluster.gc_local().await.unwrap_err().to_string();
        assert!(error.contains("repo/gc?stream-errors=true"), "{error}");
        assert_eq!((all.len(), all[0].peer, &all[0].error), (1, lone.cluster.own_id(), &error));
        lone.stop().await;
    }
}
