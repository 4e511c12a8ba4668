//! The calls on the daemon that run: each is a task of its own, so that the loop never waits for one.
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::{self, JoinSet};
use tokio_util::sync::CancellationToken;

use super::args::Others;
use super::core::Outcome;
use super::wishes::Share;
use crate::ipfs::{Connector, IpfsError, PinRequest, Progress};
use crate::model::{Cid, MaxDepth, PeerId, Pin, Replication};

/// Progress that waits to be taken; what finds no room is told by the next block.
const PROGRESS_MAX: usize = 1_024;
/// How long first progress is kept back: a small pin ends within it, and never counts as a transfer.
const SETTLE: Duration = Duration::from_millis(100);

/// The largest block that daemons exchange.
const BLOCK_MAX: u64 = 2 << 20;

/// What to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Pin; so many bytes of it are counted as held.
    Pin(Box<PinRequest>, u64),
    /// Unpin.
    Unpin,
    /// Unpin once so many of the peers that are to hold it do.
    Leave {
        /// Who is to hold it now.
        holders: Vec<PeerId>,
        /// How many of them have to.
        enough: usize,
    },
}

impl Call {
    /// Pins what `pin` names, of which `counted` bytes are counted as held.
    pub fn pin(pin: Pin, counted: u64) -> Self {
        let Pin { cid, max_depth, name, pin_update: update_from, origins, .. } = pin;
        Self::Pin(Box::new(PinRequest { cid, max_depth, name, update_from, origins }), counted)
    }

    /// Lets go of a pin that others are to hold.
    pub fn leave(pin: &Pin) -> Self {
        let enough = match pin.replication {
            Replication::Everywhere => pin.allocations.len(),
            Replication::Between { min, .. } => usize::try_from(min).unwrap_or(usize::MAX),
        };
        Self::Leave { holders: pin.allocations.clone(), enough: enough.min(pin.allocations.len()) }
    }
}

/// What jobs tell.
#[derive(Debug)]
pub(super) enum Told {
    /// Blocks arrived.
    Progress(Cid, Progress),
    /// The job ended.
    Ended(Cid, Outcome),
}

/// Whom jobs ask.
#[derive(Clone)]
struct Sides {
    ipfs: Arc<dyn Connector>,
    others: Arc<dyn Others>,
    share: Option<Arc<dyn Share>>,
}

/// Jobs that run, and those that wait until the row that announces them is on disk.
pub(super) struct Jobs {
    sides: Sides,
    gathered: BTreeMap<Cid, Call>,
    armed: BTreeMap<Cid, Call>,
    set: JoinSet<Outcome>,
    names: HashMap<task::Id, Cid>,
    cancels: BTreeMap<Cid, CancellationToken>,
    tell: mpsc::Sender<(Cid, Progress)>,
    progress: mpsc::Receiver<(Cid, Progress)>,
}

impl Jobs {
    /// No jobs.
    pub fn new(ipfs: Arc<dyn Connector>, others: Arc<dyn Others>, share: Option<Arc<dyn Share>>) -> Self {
        let (tell, progress) = mpsc::channel(PROGRESS_MAX);
        Self {
            sides: Sides { ipfs, others, share },
            gathered: BTreeMap::new(),
            armed: BTreeMap::new(),
            set: JoinSet::new(),
            names: HashMap::new(),
            cancels: BTreeMap::new(),
            tell,
            progress,
        }
    }

    /// Makes a call ready, for when its row is on disk: the ledger knows of all that the daemon was asked to pin.
    pub fn prepare(&mut self, cid: Cid, call: Call) {
        self.gathered.insert(cid, call);
    }

    /// The rows of all calls prepared so far are being written.
    pub fn arm(&mut self) {
        self.armed.append(&mut self.gathered);
    }

    /// The rows are not written: their calls wait for the next commit.
    pub fn disarm(&mut self) {
        self.gathered.append(&mut self.armed);
    }

    /// The rows are on disk.
    pub fn launch(&mut self) {
        for (cid, call) in std::mem::take(&mut self.armed) {
            let stop = CancellationToken::new();
            let run = run(self.sides.clone(), cid, call, self.tell.clone());
            let stopped = stop.clone();
            let handle = self.set.spawn(async move {
                tokio::select! { biased;
                    () = stopped.cancelled() => Outcome::Cancelled,
                    outcome = run => outcome,
                }
            });
            self.names.insert(handle.id(), cid);
            self.cancels.insert(cid, stop);
        }
    }

    /// Cancels a job; true when it had not begun, and is gone without a word.
    pub fn cancel(&mut self, cid: &Cid) -> bool {
        if let Some(stop) = self.cancels.get(cid) {
            stop.cancel();
            return false;
        }
        self.gathered.remove(cid).or_else(|| self.armed.remove(cid)).is_some()
    }

    /// Waits for the next thing that a job tells.
    pub async fn next(&mut self) -> Told {
        loop {
            tokio::select! { biased;
                Some((cid, progress)) = self.progress.recv() => return Told::Progress(cid, progress),
                Some(ended) = self.set.join_next_with_id() => {
                    let (id, outcome) = match ended {
                        Ok(ended) => ended,
                        Err(error) => (error.id(), Outcome::Failed(IpfsError::Garbled(format!("the call failed: {error}")))),
                    };
                    if let Some(cid) = self.names.remove(&id) {
                        self.cancels.remove(&cid);
                        return Told::Ended(cid, outcome);
                    }
                }
            }
        }
    }

    /// What a job that ended left is counted: it needs its room no more.
    pub fn close(&self, ended: Option<&Cid>) {
        if let (Some(cid), Some(share)) = (ended, &self.sides.share) {
            share.close(cid);
        }
    }

    /// Cancels everything and waits until it is gone.
    pub async fn shutdown(&mut self) {
        self.set.shutdown().await;
    }
}

async fn run(
    Sides { ipfs, others, share }: Sides,
    cid: Cid,
    call: Call,
    tell: mpsc::Sender<(Cid, Progress)>,
) -> Outcome {
    let may_go = match call {
        Call::Pin(request, counted) => {
            let room = Room { share: share.as_deref(), cid, counted };
            return match room.ask(&*ipfs, request.max_depth).await {
                Ok(told) => pin(&*ipfs, *request, (room, told), &tell).await,
                Err(outcome) => outcome,
            };
        }
        Call::Leave { holders, enough } => others.hold(cid, holders, enough).await,
        Call::Unpin => true,
    };
    if !may_go {
        return Outcome::Kept;
    }
    match ipfs.unpin(cid).await {
        Ok(()) => Outcome::Done(Progress::default()),
        Err(error) => Outcome::Failed(error),
    }
}

/// The room of a peer that does not hold everything.
struct Room<'a> {
    share: Option<&'a dyn Share>,
    cid: Cid,
    counted: u64,
}

impl Room<'_> {
    /// Asks for the room that a pin needs as its root block tells; returns the bytes.
    async fn ask(&self, ipfs: &dyn Connector, depth: MaxDepth) -> Result<u64, Outcome> {
        if self.share.is_none() {
            return Ok(0);
        }
        // Where only a walk would tell, the transfer itself does.
        let bytes = ipfs.size(self.cid).await.map_err(Outcome::Failed)?.unwrap_or(0);
        let bytes = if depth == MaxDepth::Direct { bytes.min(BLOCK_MAX) } else { bytes };
        self.reserve(bytes).map(|()| bytes)
    }

    fn reserve(&self, bytes: u64) -> Result<(), Outcome> {
        match self.share {
            Some(share) if !share.reserve(&self.cid, bytes, self.counted) => Err(Outcome::NoRoom(format!(
                "there is no room for its {bytes} bytes in what is left of follower.max_bytes"
            ))),
            Some(_) | None => Ok(()),
        }
    }
}

async fn pin(
    ipfs: &dyn Connector,
    request: PinRequest,
    (room, told): (Room<'_>, u64),
    tell: &mpsc::Sender<(Cid, Progress)>,
) -> Outcome {
    let cid = request.cid;
    let mut stream = ipfs.pin(request);
    let mut last = Progress::default();
    let mut next = stream.next().await;
    loop {
        last = match next {
            None if last.bytes == 0 => return Outcome::Done(Progress { bytes: told, ..last }),
            None => return Outcome::Done(last),
            Some(Err(error)) => return Outcome::Failed(error),
            Some(Ok(progress)) => progress,
        };
        if let Err(outcome) = room.reserve(last.bytes) {
            return outcome;
        }
        next = if let Ok(next) = tokio::time::timeout(SETTLE, stream.next()).await {
            next
        } else {
            // No room: the next block tells it.
            let _ = tell.try_send((cid, last));
            stream.next().await
        };
    }
}
