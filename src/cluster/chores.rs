//! What a peer does now and then: get to know new neighbours, connect IPFS daemons, unpin what expired, tell its counters.
pub mod repair;
pub mod share;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use libp2p::multiaddr::Protocol;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::handle::{Cluster, Inner};
use super::status::blocking;
use crate::model::{Cid, Multiaddr, PeerId, PeerInfo, UnixMillis};
use crate::monitor::Distance;
use crate::task::{self, Fatal, Task};

/// New neighbours that wait to be asked who they are; more are asked at the next round.
const NEIGHBOURS_MAX: usize = 256;

/// Neighbours that are asked at a time.
const ASKED_MAX: usize = 8;

/// Addresses of one IPFS daemon that are tried; a daemon has some dozens, most of them the same place.
const DAEMON_ADDRESSES_MAX: usize = 8;

/// How long connecting two daemons may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// All members' daemons are connected again this often: connections end, and daemons restart.
const ROUND: Duration = Duration::from_mins(5);

/// How often the counters are logged.
const COUNTS_EVERY: Duration = Duration::from_mins(1);

/// Addresses taken from one neighbour's answer.
const HEARD_MAX: usize = 1024;

/// Expired pins read in one transaction.
const EXPIRED_PAGE: usize = 1000;

/// Removals of expired pins that wait for one commit together.
const UNPINS_MAX: usize = 256;

/// How often, and whether.
#[derive(Clone, Copy, Debug)]
pub struct Periods {
    /// How often expired pins are looked for.
    pub state_sync: Duration,
    /// How long after the start daemons are connected; `None`: never.
    pub connect_swarms_delay: Option<Duration>,
}

/// Starts the chores; the sender takes new neighbours.
pub fn spawn(cluster: Cluster, periods: Periods) -> (mpsc::Sender<PeerId>, Task) {
    let (sender, neighbours) = mpsc::channel(NEIGHBOURS_MAX);
    (sender, Task::spawn(move |stop| run(cluster, periods, neighbours, stop)))
}

async fn run(
    cluster: Cluster,
    periods: Periods,
    mut neighbours: mpsc::Receiver<PeerId>,
    stop: CancellationToken,
) -> Result<(), Fatal> {
    let mut loops = JoinSet::new();
    loops.spawn(counts_loop(cluster.clone()));
    if !cluster.inner.follower {
        loops.spawn(expire_loop(cluster.clone(), periods.state_sync));
    }
    let daemons = periods.connect_swarms_delay.is_some();
    if let Some(delay) = periods.connect_swarms_delay {
        loops.spawn(connect_loop(cluster.clone(), delay));
    }
    let mut asks = JoinSet::new();
    let mut waiting = VecDeque::new();
    let ended = loop {
        while asks.len() < ASKED_MAX
            && let Some(peer) = waiting.pop_front()
        {
            asks.spawn(acquaint(cluster.clone(), peer, daemons));
        }
        tokio::select! { biased;
            () = stop.cancelled() => break Ok(()),
            // No loop ends by itself.
            Some(Err(error)) = loops.join_next() => break Err(error.into()),
            Some(asked) = asks.join_next(), if !asks.is_empty() => {
                if let Err(error) = asked {
                    tracing::error!(%error, "getting to know a neighbour failed");
                }
            }
            Some(peer) = neighbours.recv(), if waiting.len() < NEIGHBOURS_MAX => waiting.push_back(peer),
        }
    };
    asks.shutdown().await;
    loops.shutdown().await;
    ended
}

/// Asks a new neighbour who it is, takes the addresses of members that it knows, and connects the two daemons.
async fn acquaint(cluster: Cluster, peer: PeerId, daemons: bool) {
    let Ok(info) = cluster.inner.calls.id(peer).await else { return };
    hear(&cluster.inner, &info);
    if daemons {
        connect_daemon(&cluster.inner, &info).await;
    }
}

/// Members that met only through a third learn to call each other, which Go's cannot; the swarm dials whom it needs.
fn hear(inner: &Inner, info: &PeerInfo) {
    for (peer, addresses) in addresses_by_peer(&info.cluster_peers_addresses) {
        inner.swarm.add_addresses(peer, &addresses);
    }
}

fn addresses_by_peer(addresses: &[Multiaddr]) -> BTreeMap<PeerId, Vec<Multiaddr>> {
    let mut heard: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
    for address in addresses.iter().take(HEARD_MAX) {
        if let Some(Protocol::P2p(peer)) = address.iter().last() {
            heard.entry(peer).or_default().push(address.clone());
        }
    }
    heard
}

async fn connect_daemon(inner: &Inner, info: &PeerInfo) {
    for address in info.ipfs.addresses.iter().take(DAEMON_ADDRESSES_MAX) {
        // Content also travels through daemons that found each other by themselves: a failure here is no news.
        if let Ok(Ok(())) = tokio::time::timeout(CONNECT_MAX, inner.ipfs.connect(address.clone())).await {
            return;
        }
    }
}

async fn connect_loop(cluster: Cluster, delay: Duration) {
    let mut wait = delay;
    loop {
        tokio::time::sleep(wait).await;
        wait = ROUND;
        let members = cluster.inner.members.peerset(task::wall());
        let others = members.into_iter().filter(|peer| *peer != cluster.inner.own);
        stream::iter(others).for_each_concurrent(ASKED_MAX, |peer| connect_to(&cluster.inner, peer)).await;
    }
}

async fn connect_to(inner: &Inner, peer: PeerId) {
    if let Ok(info) = inner.calls.id(peer).await {
        connect_daemon(inner, &info).await;
    }
}

async fn counts_loop(cluster: Cluster) {
    loop {
        tokio::time::sleep(COUNTS_EVERY).await;
        tracing::debug!(counts = ?cluster.counts(), "counters since the start");
    }
}

async fn expire_loop(cluster: Cluster, period: Duration) {
    loop {
        tokio::time::sleep(period).await;
        if let Err(error) = expire(&cluster, task::wall()).await {
            tracing::warn!(%error, "expired pins could not be removed; the next round tries again");
        }
    }
}

/// Unpins what expired before `now` and is closest to this peer, so that mostly one peer writes the removal.
async fn expire(cluster: &Cluster, now: UnixMillis) -> Result<(), Error> {
    let inner = &cluster.inner;
    let trust = inner.trust();
    let members = inner.members.peerset(now);
    let distance = Arc::new(Distance::new(&inner.own, members.iter().filter(|peer| trust.trusts(&inner.own, peer))));
    let mut cursor: Option<Vec<u8>> = None;
    loop {
        let (pinset, distance) = (inner.pinset.clone(), distance.clone());
        let page = move || {
            let (mut pins, next) = pinset.expired(now, cursor.as_deref(), EXPIRED_PAGE)?;
            pins.retain(|pin| distance.is_closest(&pin.cid));
            Ok((pins, next))
        };
        let (pins, next) = blocking(page).await?;
        let unpins = stream::iter(pins).map(|pin| unpin(cluster, pin.cid, now));
        let failed: Vec<Error> = unpins.buffer_unordered(UNPINS_MAX).filter_map(std::future::ready).collect().await;
        failed.into_iter().next().map_or(Ok(()), Err)?;
        cursor = Some(match next {
            Some(next) => next,
            None => return Ok(()),
        });
    }
}

/// Unpins what is still expired; returns the error that ends the round.
async fn unpin(cluster: &Cluster, cid: Cid, now: UnixMillis) -> Option<Error> {
    match cluster.unpin_expired(cid, now).await {
        Ok(true) => tracing::info!(%cid, "unpinned: expired"),
        Ok(false) | Err(Error::NotFound) => (),
        // The round goes on: another pin may be removable.
        Err(error @ (Error::Setup(_) | Error::Contended(_))) => tracing::warn!(%cid, %error, "an expired pin stays"),
        Err(error) => return Some(error),
    }
    None
}

#[cfg(test)]
mod tests;
