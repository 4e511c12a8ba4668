//! A scripted node, for faults: everything is there at once unless a script says otherwise.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, StreamExt};

use super::connector::{Connector, Held, IpfsError, PinRequest, Progress, RepoStat};
use crate::model::{Cid, GcKey, IpfsInfo, MaxDepth, Multiaddr, PeerId};

/// The CID number `n`.
pub fn cid(n: u64) -> Cid {
    Cid::new_v1(0x55, multihash::Multihash::wrap(0x12, blake3::hash(&n.to_be_bytes()).as_bytes()).unwrap())
}

/// What happens to pins of a CID.
#[derive(Clone, Debug)]
pub enum Script {
    /// No block ever arrives, and nobody says so.
    Hang,
    /// No block arrives for this long, which is an error.
    Stall(Duration),
    /// So many blocks arrive, one each time that this passes.
    Slow(u64, Duration),
    /// This error, once; then all is well.
    Fail(IpfsError),
}

/// Is told of each pin before it runs.
pub type Witness = Box<dyn Fn(&Cid) + Send>;

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own, switched by a test")]
struct State {
    held: BTreeMap<Cid, Held>,
    scripts: BTreeMap<Cid, Script>,
    away: bool,
    hung: bool,
    repo: Option<RepoStat>,
    full: bool,
    unpins_fail: bool,
    size_unknown: bool,
    list_cut: bool,
    list_endless: bool,
    calls: Vec<String>,
    running: usize,
    peak: usize,
    witness: Option<Witness>,
}

/// The node; clones are one node.
#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<State>>);

/// Counts a pin as running until it is dropped.
struct Running(Fake);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().running -= 1;
    }
}

impl Fake {
    /// Sets what happens to pins of `cid`.
    pub fn script(&self, cid: Cid, script: Script) {
        self.0.lock().unwrap().scripts.insert(cid, script);
    }

    /// The content of `cid` is there after all.
    pub fn provide(&self, cid: Cid) {
        self.0.lock().unwrap().scripts.remove(&cid);
    }

    /// The daemon goes, or comes back.
    pub fn set_away(&self, away: bool) {
        self.0.lock().unwrap().away = away;
    }

    /// Questions after its identity and its space have no answer, or have one again.
    pub fn set_hung(&self, hung: bool) {
        self.0.lock().unwrap().hung = hung;
    }

    /// Sets what it says of its repository.
    pub fn set_repo(&self, size: u64, max: u64) {
        self.0.lock().unwrap().repo = Some(RepoStat { size, max });
    }

    /// Its disk has no room, or has some again.
    pub fn set_full(&self, full: bool) {
        self.0.lock().unwrap().full = full;
    }

    /// Only a walk tells how large a DAG is, or its root does again.
    pub fn set_size_unknown(&self, unknown: bool) {
        self.0.lock().unwrap().size_unknown = unknown;
    }

    /// Unpins fail, or do not any more.
    pub fn set_unpins_fail(&self, fail: bool) {
        self.0.lock().unwrap().unpins_fail = fail;
    }

    /// Tells `witness` of each pin from now on.
    pub fn set_witness(&self, witness: Witness) {
        self.0.lock().unwrap().witness = Some(witness);
    }

    /// Lists break off in the middle, or do not any more.
    pub fn set_list_cut(&self, cut: bool) {
        self.0.lock().unwrap().list_cut = cut;
    }

    /// Lists never end, or end again.
    pub fn set_list_endless(&self, endless: bool) {
        self.0.lock().unwrap().list_endless = endless;
    }

    /// Somebody else pins, or the node loses a pin.
    pub fn set_held(&self, cid: Cid, held: Option<Held>) {
        let mut state = self.0.lock().unwrap();
        match held {
            Some(held) => state.held.insert(cid, held),
            None => state.held.remove(&cid),
        };
    }

    /// All that is held.
    pub fn all(&self) -> BTreeMap<Cid, Held> {
        self.0.lock().unwrap().held.clone()
    }

    /// The calls so far: `pin <cid>`, `unpin <cid>`.
    pub fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }

    /// Pins that run now, and the most that ever ran at once.
    pub fn running(&self) -> (usize, usize) {
        let state = self.0.lock().unwrap();
        (state.running, state.peak)
    }

    fn check(&self, path: &str) -> Result<(), IpfsError> {
        let words = "dial tcp 127.0.0.1:5001: connect: connection refused";
        let error = || IpfsError::Unreachable(format!("Post \"http://127.0.0.1:5001/api/v0/{path}\": {words}"));
        if self.0.lock().unwrap().away { Err(error()) } else { Ok(()) }
    }

    fn unless_hung<T: Send + 'static>(&self, answer: Result<T, IpfsError>) -> BoxFuture<'static, Result<T, IpfsError>> {
        if self.0.lock().unwrap().hung { std::future::pending().boxed() } else { async { answer }.boxed() }
    }

    /// What is held whole stays so.
    fn hold(&self, cid: Cid, max_depth: MaxDepth) {
        let mut state = self.0.lock().unwrap();
        let slot = state.held.entry(cid).or_insert(Held::Direct);
        if max_depth != MaxDepth::Direct {
            *slot = Held::Recursive;
        }
    }

    fn run(&self, cid: Cid) -> (Running, Option<Script>) {
        let mut state = self.0.lock().unwrap();
        state.calls.push(format!("pin {cid}"));
        if let Some(witness) = &state.witness {
            witness(&cid);
        }
        state.running += 1;
        state.peak = state.peak.max(state.running);
        let script = state.scripts.get(&cid).cloned();
        if matches!(script, Some(Script::Fail(_))) {
            state.scripts.remove(&cid);
        }
        (Running(self.clone()), script)
    }
}

impl Connector for Fake {
    fn pin(&self, request: PinRequest) -> BoxStream<'static, Result<Progress, IpfsError>> {
        if let Err(error) = self.check("pin/add") {
            return stream::once(async { Err(error) }).boxed();
        }
        let (running, script) = self.run(request.cid);
        if self.0.lock().unwrap().full {
            let words = "pin: write x: no space left on device";
            let error = IpfsError::Full(format!("IPFS error (pin/add). Code: 500. Message: {words}"));
            return stream::once(async { Err(error) }).boxed();
        }
        let fake = self.clone();
        let cid = request.cid;
        let (blocks, every) = match script {
            None => (1, Duration::ZERO),
            Some(Script::Slow(blocks, every)) => (blocks, every),
            Some(Script::Hang) => return stream::once(pending(running)).boxed(),
            Some(Script::Stall(silent)) => {
                return stream::once(async move {
                    let _running = running;
                    tokio::time::sleep(silent).await;
                    Err(IpfsError::Stalled { cid, silent })
                })
                .boxed();
            }
            Some(Script::Fail(error)) => return stream::once(async { Err(error) }).boxed(),
        };
        stream::unfold((0, running), move |(at, running)| {
            let fake = fake.clone();
            async move {
                if at == blocks {
                    fake.hold(cid, request.max_depth);
                    return None;
                }
                if !every.is_zero() {
                    tokio::time::sleep(every).await;
                }
                Some((Ok(Progress { blocks: at + 1, bytes: (at + 1) * 1000 }), (at + 1, running)))
            }
        })
        .boxed()
    }

    fn unpin(&self, cid: Cid) -> BoxFuture<'static, Result<(), IpfsError>> {
        let fake = self.clone();
        async move {
            fake.check("pin/rm")?;
            let mut state = fake.0.lock().unwrap();
            state.calls.push(format!("unpin {cid}"));
            if state.unpins_fail {
                return Err(IpfsError::Refused("IPFS error (pin/rm). Code: 500. Message: no".into()));
            }
            state.held.remove(&cid);
            Ok(())
        }
        .boxed()
    }

    fn held(&self, cid: Cid) -> BoxFuture<'static, Result<Option<Held>, IpfsError>> {
        let held = self.check("pin/ls").map(|()| self.all().get(&cid).copied());
        async { held }.boxed()
    }

    fn list(&self) -> BoxStream<'static, Result<(Cid, Held), IpfsError>> {
        if let Err(error) = self.check("pin/ls") {
            return stream::once(async { Err(error) }).boxed();
        }
        let held = self.all().into_iter().map(Ok);
        if self.0.lock().unwrap().list_cut {
            let cut = Err(IpfsError::Garbled("the answer to pin/ls was cut".into()));
            return stream::iter(held.take(1).chain([cut]).collect::<Vec<_>>()).boxed();
        }
        let rest = self.0.lock().unwrap().list_endless.then(stream::pending);
        stream::iter(held.collect::<Vec<_>>()).chain(stream::iter(rest).flatten()).boxed()
    }

    fn size(&self, cid: Cid) -> BoxFuture<'static, Result<Option<u64>, IpfsError>> {
        let state = self.0.lock().unwrap();
        if state.size_unknown {
            return async { Ok(None) }.boxed();
        }
        let size = match state.scripts.get(&cid) {
            None | Some(Script::Fail(_)) => Ok(Some(1000)),
            Some(Script::Slow(blocks, _)) => Ok(Some(blocks * 1000)),
            Some(Script::Stall(silent)) => Err(IpfsError::Stalled { cid, silent: *silent }),
            Some(Script::Hang) => return std::future::pending().boxed(),
        };
        drop(state);
        let answer = self.check("files/stat").and(size);
        self.unless_hung(answer)
    }

    fn id(&self) -> BoxFuture<'static, Result<IpfsInfo, IpfsError>> {
        let id = PeerId::from_bytes(&[0, 1, 7]).ok();
        let answer = self.check("id").map(|()| IpfsInfo { id, ..IpfsInfo::default() });
        self.unless_hung(answer)
    }

    fn repo_stat(&self) -> BoxFuture<'static, Result<RepoStat, IpfsError>> {
        let stat = self.0.lock().unwrap().repo.unwrap_or(RepoStat { size: 1, max: 10 });
        let answer = self.check("repo/stat").map(|()| stat);
        self.unless_hung(answer)
    }

    fn swarm_peers(&self) -> BoxFuture<'static, Result<Vec<PeerId>, IpfsError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn connect(&self, address: Multiaddr) -> BoxFuture<'static, Result<(), IpfsError>> {
        async move { Err(IpfsError::Refused(format!("connect {address} failure"))) }.boxed()
    }

    fn gc(&self) -> BoxFuture<'static, Result<Vec<GcKey>, IpfsError>> {
        let answer =
            self.check("repo/gc?stream-errors=true").map(|()| vec![GcKey { cid: Some(cid(0)), error: String::new() }]);
        async { answer }.boxed()
    }

    fn resolve(&self, path: String) -> BoxFuture<'static, Result<Cid, IpfsError>> {
        let cid = path.trim_start_matches("/ipfs/").parse();
        async move { cid.map_err(|_| IpfsError::Refused("no link".into())) }.boxed()
    }
}

async fn pending(running: Running) -> Result<Progress, IpfsError> {
    let _running = running;
    std::future::pending().await
}
