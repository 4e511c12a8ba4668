//! The connector over Kubo's HTTP RPC.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, StreamExt};
use serde::de::IgnoredAny;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::connector::{Connector, Held, IpfsError, PinRequest, Progress, RepoStat};
use super::dial::{Node, NodeAddressError};
use super::rpc::{Answer, Rpc};
use crate::model::{Cid, GcKey, IpfsInfo, MaxDepth, Multiaddr, PeerId};
use crate::task;
use crate::wire::kubo as wire;

/// Origins of a pin that are connected to: Go's number; more help no more.
const ORIGINS_MAX: usize = 10;
/// Connections to origins made at one time, by all pins together: a pin goes on without them.
const CONNECTS_MAX: usize = 16;
/// Collected blocks that are told one by one; the rest is a number.
const GC_KEYS_MAX: usize = 200_000;
/// Bytes of a name that Kubo takes; a longer one would fail the pin, so it is left out.
const NAME_MAX: usize = 255;

/// What the connector is made of.
#[derive(Clone, Debug)]
pub struct KuboArgs {
    /// Where the daemon's RPC port is.
    pub node: Multiaddr,
    /// How long the daemon may be silent in a call.
    pub request_timeout: Duration,
    /// How long a pin may go without a new block.
    pub pin_timeout: Duration,
    /// How long an unpin may take.
    pub unpin_timeout: Duration,
    /// Refuse to unpin.
    pub unpin_disable: bool,
}

/// A Kubo daemon.
#[derive(Clone, Debug)]
pub struct Kubo {
    rpc: Rpc,
    connects: Arc<Semaphore>,
    /// Whether it was said that the daemon is too old.
    told_old: Arc<AtomicBool>,
    args: KuboArgs,
}

impl Kubo {
    /// A connector that dials the daemon when it is first asked.
    ///
    /// # Errors
    /// [`NodeAddressError`] when the address is neither TCP nor a unix socket.
    pub fn new(args: KuboArgs) -> Result<Self, NodeAddressError> {
        let rpc = Rpc::new(Node::parse(&args.node)?);
        let connects = Arc::new(Semaphore::new(CONNECTS_MAX));
        Ok(Self { rpc, connects, told_old: Arc::default(), args })
    }

    /// Says once that a daemon is too old, and again of the next one that is.
    fn judge(&self, agent: &str) {
        let fault = wire::too_old(agent);
        let was_told = self.told_old.swap(fault.is_some(), Ordering::Relaxed);
        if let Some(fault) = fault.filter(|_| !was_told) {
            tracing::warn!(%fault, "the IPFS daemon is too old: update it");
        }
    }

    async fn is_held(&self, cid: &Cid, held: Held) -> Result<bool, IpfsError> {
        let path = format!("pin/ls?stream=true&arg={cid}&type={}", kind(held));
        let mut found = false;
        let is_this = |line: &wire::PinLs| line.kind == kind(held) && line.cid.parse::<Cid>().is_ok_and(|c| c == *cid);
        match self.rpc.each_small(&path, self.args.request_timeout, |line| found |= is_this(&line)).await {
            Ok(()) => Ok(found),
            Err(IpfsError::Refused(text)) if text.ends_with("not pinned") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A root is held with all that is below it, too: Kubo refuses to pin it alone then, at every try.
    async fn is_held_enough(&self, cid: &Cid, needed: Held) -> Result<bool, IpfsError> {
        Ok(self.is_held(cid, needed).await? || (needed == Held::Direct && self.is_held(cid, Held::Recursive).await?))
    }

    /// Does what can be done before bytes flow.
    async fn begin(self, request: PinRequest) -> Result<Begun, IpfsError> {
        let needed = if request.max_depth == MaxDepth::Direct { Held::Direct } else { Held::Recursive };
        if self.is_held_enough(&request.cid, needed).await? {
            return Ok(self.is_there(&request.cid, needed).await);
        }
        let origins = self.connect_to(&request.origins);
        if needed == Held::Recursive && self.update(&request).await? {
            return Ok(self.is_there(&request.cid, needed).await);
        }
        self.rpc.turn().await;
        let answer = match self.rpc.post(&pin_add(&request, needed), self.args.pin_timeout).await {
            Ok(answer) => answer.watched(),
            Err(error) => return Err(self.stalled(request.cid, error)),
        };
        let silence = self.args.pin_timeout;
        let seen = Progress::default();
        Ok(Begun::Adding(Box::new(Adding {
            answer,
            cid: request.cid,
            silence,
            moved: task::now(),
            seen,
            pinned: false,
            _origins: origins,
        })))
    }

    /// What is held already is a pin that is done, of a size that is only good to know.
    async fn is_there(&self, cid: &Cid, held: Held) -> Begun {
        // What the root tells is the size of the whole.
        let size = if held == Held::Recursive { self.size_of(cid).await.ok().flatten() } else { None };
        Begun::Held(size.map(|bytes| Progress { blocks: 1, bytes }))
    }

    async fn size_of(&self, cid: &Cid) -> Result<Option<u64>, IpfsError> {
        self.rpc.turn().await;
        let stat = self.rpc.ask::<wire::FilesStat>(&format!("files/stat?arg=/ipfs/{cid}"), self.args.pin_timeout).await;
        match stat {
            Ok(stat) => Ok(Some(stat.cumulative_size)),
            Err(IpfsError::Refused(text)) if text.contains("not unixfs node") => Ok(None),
            Err(error) => Err(self.stalled(*cid, error)),
        }
    }

    /// A daemon that answers other calls, and not this one, is looking for the first block.
    fn stalled(&self, cid: Cid, error: IpfsError) -> IpfsError {
        let is_looking = matches!(&error, IpfsError::Unreachable(text) if text.ends_with("context deadline exceeded"));
        if is_looking { IpfsError::Stalled { cid, silent: self.args.pin_timeout } } else { error }
    }

    /// Connects to the origins in the background, until the set is dropped.
    fn connect_to(&self, origins: &[Multiaddr]) -> JoinSet<()> {
        let mut connects = JoinSet::new();
        for origin in origins.iter().take(ORIGINS_MAX).cloned() {
            let kubo = self.clone();
            connects.spawn(async move {
                if let Ok(_permit) = kubo.connects.acquire().await
                    && let Err(error) = kubo.connect(origin).await
                {
                    tracing::debug!(%error, "an origin is not reached");
                }
            });
        }
        connects
    }

    /// Pins by what the old pin has; false when the daemon has to pin anew.
    async fn update(&self, request: &PinRequest) -> Result<bool, IpfsError> {
        let Some(from) = request.update_from else { return Ok(false) };
        if !self.is_held(&from, Held::Recursive).await? {
            return Ok(false);
        }
        let path = format!("pin/update?arg={from}&arg={}&unpin=false", request.cid);
        match self.rpc.each(&path, self.args.request_timeout, |_: IgnoredAny| ()).await {
            Ok(()) => self.is_held(&request.cid, Held::Recursive).await,
            // It says nothing while it fetches: pin/add goes on from there and shows progress.
            Err(error) => {
                tracing::debug!(%error, "pin/update is left for pin/add");
                Ok(false)
            }
        }
    }

    async fn unpin_now(self, cid: Cid) -> Result<(), IpfsError> {
        if self.args.unpin_disable {
            return Err(IpfsError::UnpinDisabled);
        }
        self.rpc.turn().await;
        let path = format!("pin/rm?arg={cid}");
        let mut named = false;
        let names_it = |pin: &String| pin.parse::<Cid>().is_ok_and(|c| c == cid);
        let read = |line: wire::PinRm| named |= line.pins.iter().flatten().any(names_it);
        match self.rpc.each(&path, self.args.unpin_timeout, read).await {
            Ok(()) if named => Ok(()),
            Ok(()) => Err(IpfsError::Garbled(format!("{path} ended without saying that it is unpinned"))),
            Err(IpfsError::Refused(text)) if text.contains("not pinned") => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn list_kind(self, held: Held) -> BoxStream<'static, Result<(Cid, Held), IpfsError>> {
        let path = format!("pin/ls?stream=true&type={}", kind(held));
        let open = async move { self.rpc.post(&path, self.args.request_timeout).await };
        stream::once(open)
            .flat_map(move |answer| match answer {
                Ok(answer) => stream::try_unfold(answer, move |answer| next_held(answer, held)).boxed(),
                Err(error) => stream::once(async { Err(error) }).boxed(),
            })
            .boxed()
    }
}

impl Connector for Kubo {
    fn pin(&self, request: PinRequest) -> BoxStream<'static, Result<Progress, IpfsError>> {
        stream::once(self.clone().begin(request))
            .flat_map(|begun| match begun {
                Ok(Begun::Adding(adding)) => stream::try_unfold(*adding, Adding::next).boxed(),
                Ok(Begun::Held(progress)) => stream::iter(progress.map(Ok)).boxed(),
                Err(error) => stream::once(async { Err(error) }).boxed(),
            })
            .boxed()
    }

    fn unpin(&self, cid: Cid) -> BoxFuture<'static, Result<(), IpfsError>> {
        self.clone().unpin_now(cid).boxed()
    }

    fn held(&self, cid: Cid) -> BoxFuture<'static, Result<Option<Held>, IpfsError>> {
        let kubo = self.clone();
        async move {
            for held in [Held::Recursive, Held::Direct] {
                if kubo.is_held(&cid, held).await? {
                    return Ok(Some(held));
                }
            }
            Ok(None)
        }
        .boxed()
    }

    fn list(&self) -> BoxStream<'static, Result<(Cid, Held), IpfsError>> {
        self.clone().list_kind(Held::Recursive).chain(self.clone().list_kind(Held::Direct)).boxed()
    }

    fn size(&self, cid: Cid) -> BoxFuture<'static, Result<Option<u64>, IpfsError>> {
        let kubo = self.clone();
        async move { kubo.size_of(&cid).await }.boxed()
    }

    fn id(&self) -> BoxFuture<'static, Result<IpfsInfo, IpfsError>> {
        let kubo = self.clone();
        async move {
            let id: wire::Id = kubo.rpc.ask("id", kubo.args.request_timeout).await?;
            kubo.judge(&id.agent_version);
            let peer = id.id.parse().map_err(|_| IpfsError::Garbled(format!("the daemon's ID {:?} is none", id.id)))?;
            // An address of a kind that is not known here is of no use here.
            let addresses = id.addresses.unwrap_or_default().iter().filter_map(|a| a.parse().ok()).collect();
            Ok(IpfsInfo { id: Some(peer), addresses, error: String::new() })
        }
        .boxed()
    }

    fn repo_stat(&self) -> BoxFuture<'static, Result<RepoStat, IpfsError>> {
        let kubo = self.clone();
        async move {
            let stat: wire::RepoStat = kubo.rpc.ask("repo/stat?size-only=true", kubo.args.request_timeout).await?;
            Ok(RepoStat { size: stat.repo_size, max: stat.storage_max })
        }
        .boxed()
    }

    fn swarm_peers(&self) -> BoxFuture<'static, Result<Vec<PeerId>, IpfsError>> {
        let kubo = self.clone();
        async move {
            let peers: wire::SwarmPeers = kubo.rpc.ask("swarm/peers", kubo.args.request_timeout).await?;
            let peer = |p: &wire::SwarmPeer| {
                p.peer.parse().map_err(|_| IpfsError::Garbled(format!("the neighbour {:?} is no peer ID", p.peer)))
            };
            peers.peers.unwrap_or_default().iter().map(peer).collect()
        }
        .boxed()
    }

    fn connect(&self, address: Multiaddr) -> BoxFuture<'static, Result<(), IpfsError>> {
        let kubo = self.clone();
        async move {
            let path = format!("swarm/connect?arg={}", wire::argument(&address.to_string()));
            kubo.rpc.each(&path, kubo.args.request_timeout, |_: IgnoredAny| ()).await
        }
        .boxed()
    }

    fn gc(&self) -> BoxFuture<'static, Result<Vec<GcKey>, IpfsError>> {
        let kubo = self.clone();
        async move {
            // Between two blocks it is silent for as long as it looks for what is pinned: as a pin's own silence.
            let silence = kubo.args.request_timeout.max(kubo.args.unpin_timeout);
            collected(kubo.rpc.post("repo/gc?stream-errors=true", silence).await?).await
        }
        .boxed()
    }

    fn resolve(&self, path: String) -> BoxFuture<'static, Result<Cid, IpfsError>> {
        let kubo = self.clone();
        async move {
            let path = if path.starts_with('/') { path } else { format!("/ipfs/{path}") };
            if let Some(cid) = immutable_root(&path) {
                return Ok(cid);
            }
            let call = format!("resolve?arg={}", wire::argument(&path));
            let found: wire::Resolve = kubo.rpc.ask(&call, kubo.args.request_timeout).await?;
            let root = found.path.split('/').nth(2).and_then(|root| root.parse().ok());
            root.ok_or_else(|| IpfsError::Garbled(format!("{path} resolves to {:?}, which names no CID", found.path)))
        }
        .boxed()
    }
}

/// Reads what was collected; an error at the end is told by the lines before it, unless there were none.
async fn collected(mut answer: Answer) -> Result<Vec<GcKey>, IpfsError> {
    let (mut keys, mut more) = (Vec::new(), 0_u64);
    loop {
        match answer.object::<wire::Collected>().await {
            Ok(Some(line)) if keys.len() < GC_KEYS_MAX => keys.push(gc_key(line)?),
            Ok(Some(_)) => more += 1,
            Err(IpfsError::Refused(text)) if keys.iter().all(|key| key.error.is_empty()) => {
                keys.push(GcKey { cid: None, error: text });
            }
            Ok(None) | Err(IpfsError::Refused(_)) => break,
            Err(error) => return Err(error),
        }
    }
    if more > 0 {
        keys.push(GcKey { cid: None, error: format!("{more} more blocks were collected") });
    }
    Ok(keys)
}

fn gc_key(line: wire::Collected) -> Result<GcKey, IpfsError> {
    let cid = line.key.map(|link| link.cid.parse().map_err(|_| link.cid)).transpose();
    let cid = cid.map_err(|text| IpfsError::Garbled(format!("repo/gc names {text:?}, which is no CID")))?;
    Ok(GcKey { cid, error: line.error })
}

/// The CID of a path that is nothing else and cannot change.
fn immutable_root(path: &str) -> Option<Cid> {
    let mut parts = path.trim_end_matches('/').split('/').skip(1);
    match (parts.next(), parts.next(), parts.next()) {
        (Some("ipfs" | "ipld"), Some(root), None) => root.parse().ok(),
        _ => None,
    }
}

const fn kind(held: Held) -> &'static str {
    match held {
        Held::Recursive => "recursive",
        Held::Direct => "direct",
    }
}

fn pin_add(request: &PinRequest, needed: Held) -> String {
    let recursive = needed == Held::Recursive;
    let path = format!("pin/add?arg={}&recursive={recursive}&progress=true", request.cid);
    match request.name.len() {
        1..=NAME_MAX => format!("{path}&name={}", wire::argument(&request.name)),
        _ => path,
    }
}

async fn next_held(mut answer: Answer, held: Held) -> Result<Option<((Cid, Held), Answer)>, IpfsError> {
    let Some(line) = answer.object::<wire::PinLs>().await? else { return Ok(None) };
    let cid =
        line.cid.parse().map_err(|e| IpfsError::Garbled(format!("error decoding ipfs pin: {:?}: {e}", line.cid)))?;
    Ok(Some(((cid, held), answer)))
}

/// How a pin begins.
enum Begun {
    /// There is nothing to fetch.
    Held(Option<Progress>),
    /// The daemon fetches.
    Adding(Box<Adding>),
}

/// A pin/add that runs; dropping it cancels the request.
struct Adding {
    answer: Answer,
    cid: Cid,
    silence: Duration,
    /// When the number of blocks last grew.
    moved: Instant,
    seen: Progress,
    pinned: bool,
    _origins: JoinSet<()>,
}

impl Adding {
    async fn next(mut self) -> Result<Option<(Progress, Self)>, IpfsError> {
        loop {
            let deadline = tokio::time::Instant::from_std(self.moved + self.silence);
            let line = tokio::time::timeout_at(deadline, self.answer.object::<wire::PinAdd>()).await;
            let line = line.map_err(|_| IpfsError::Stalled { cid: self.cid, silent: self.silence })??;
            let Some(line) = line else { return self.end() };
            self.pinned |= line.pins.iter().flatten().any(|pin| pin.parse::<Cid>().is_ok_and(|c| c == self.cid));
            if line.progress > self.seen.blocks {
                self.moved = task::now();
                self.seen = Progress { blocks: line.progress, bytes: line.bytes };
                return Ok(Some((self.seen, self)));
            }
        }
    }

    /// Success is what the daemon says, not that it stopped talking.
    fn end(&self) -> Result<Option<(Progress, Self)>, IpfsError> {
        if self.pinned {
            return Ok(None);
        }
        Err(IpfsError::Garbled(format!("pin/add of {} ended without saying that it is pinned", self.cid)))
    }
}

#[cfg(test)]
#[path = "kubo_tests.rs"]
mod tests;
