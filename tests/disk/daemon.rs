//! An IPFS daemon that holds what it is asked to, and never tells what it holds.
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::Notify;

use super::lib::ipfs::{Connector, Held, IpfsError, PinRequest, Progress, RepoStat};
use super::lib::model::{Cid, GcKey, IpfsInfo, Multiaddr, PeerId};

/// The daemon; clones are one.
#[derive(Clone, Default)]
pub struct Daemon {
    asked: Arc<Mutex<BTreeSet<Cid>>>,
    more: Arc<Notify>,
    is_loud: bool,
}

impl Daemon {
    /// One that prints what it is asked for.
    pub fn loud() -> Self {
        Self { is_loud: true, ..Self::default() }
    }

    /// One that was asked for these before.
    pub fn was_asked(asked: &BTreeSet<Cid>) -> Self {
        Self { asked: Arc::new(Mutex::new(asked.clone())), ..Self::default() }
    }

    /// What it was asked to pin.
    pub fn asked(&self) -> BTreeSet<Cid> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until it was asked to pin all of these.
    pub async fn until_asked(&self, wanted: &BTreeSet<Cid>) {
        while !wanted.is_subset(&self.asked()) {
            self.more.notified().await;
        }
    }
}

impl Connector for Daemon {
    fn pin(&self, request: PinRequest) -> BoxStream<'static, Result<Progress, IpfsError>> {
        self.asked.lock().unwrap().insert(request.cid);
        self.more.notify_one();
        if self.is_loud {
            println!("asked {}", request.cid);
        }
        stream::empty().boxed()
    }

    fn unpin(&self, cid: Cid) -> BoxFuture<'static, Result<(), IpfsError>> {
        unreachable!("nobody unpins {cid}")
    }

    fn held(&self, _cid: Cid) -> BoxFuture<'static, Result<Option<Held>, IpfsError>> {
        async { Ok(None) }.boxed()
    }

    /// No sweep ever learns anything.
    fn list(&self) -> BoxStream<'static, Result<(Cid, Held), IpfsError>> {
        stream::once(async { Err(IpfsError::Garbled("this daemon does not list".into())) }).boxed()
    }

    fn size(&self, _: Cid) -> BoxFuture<'static, Result<Option<u64>, IpfsError>> {
        async { Ok(None) }.boxed()
    }

    fn id(&self) -> BoxFuture<'static, Result<IpfsInfo, IpfsError>> {
        async { Ok(IpfsInfo::default()) }.boxed()
    }

    fn repo_stat(&self) -> BoxFuture<'static, Result<RepoStat, IpfsError>> {
        async { Ok(RepoStat::default()) }.boxed()
    }

    fn swarm_peers(&self) -> BoxFuture<'static, Result<Vec<PeerId>, IpfsError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn connect(&self, _address: Multiaddr) -> BoxFuture<'static, Result<(), IpfsError>> {
        async { Ok(()) }.boxed()
    }

    fn gc(&self) -> BoxFuture<'static, Result<Vec<GcKey>, IpfsError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn resolve(&self, _path: String) -> BoxFuture<'static, Result<Cid, IpfsError>> {
        async { Err(IpfsError::Refused("no link".into())) }.boxed()
    }
}
