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
use crate::ipfs::{Connector, IpfsError, PinRequest, Progress};
use crate::model::{Cid, PeerId, Pin, Replication};

/// Progress that waits to be taken; what finds no room is told by the next block.
const PROGRESS_MAX: usize = 1_024;
/// How long first progress is kept back: a small pin ends within it, and never counts as a transfer.
const SETTLE: Duration = Duration::from_millis(100);

/// What to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Pin.
    Pin(Box<PinRequest>),
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
    /// Pins what `pin` names.
    pub fn pin(pin: Pin) -> Self {
        let Pin { cid, max_depth, name, pin_update: update_from, origins, .. } = pin;
        Self::Pin(Box::new(PinRequest { cid, max_depth, name, update_from, origins }))
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

/// Jobs that run, and those that wait until the row that announces them is on disk.
pub(super) struct Jobs {
    ipfs: Arc<dyn Connector>,
    others: Arc<dyn Others>,
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
    pub fn new(ipfs: Arc<dyn Connector>, others: Arc<dyn Others>) -> Self {
        let (tell, progress) = mpsc::channel(PROGRESS_MAX);
        Self {
            ipfs,
            others,
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
            let run = run(self.ipfs.clone(), self.others.clone(), cid, call, self.tell.clone());
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

    /// Cancels everything and waits until it is gone.
    pub async fn shutdown(&mut self) {
        self.set.shutdown().await;
    }
}

async fn run(
    ipfs: Arc<dyn Connector>,
    others: Arc<dyn Others>,
    cid: Cid,
    call: Call,
    tell: mpsc::Sender<(Cid, Progress)>,
) -> Outcome {
    let may_go = match call {
        Call::Pin(request) => return pin(&*ipfs, *request, &tell).await,
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

async fn pin(ipfs: &dyn Connector, request: PinRequest, tell: &mpsc::Sender<(Cid, Progress)>) -> Outcome {
    let cid = request.cid;
    let mut stream = ipfs.pin(request);
    let mut last = Progress::default();
    let mut next = stream.next().await;
    loop {
        last = match next {
            None => return Outcome::Done(last),
            Some(Err(error)) => return Outcome::Failed(error),
            Some(Ok(progress)) => progress,
        };
        next = if let Ok(next) = tokio::time::timeout(SETTLE, stream.next()).await {
            next
        } else {
            // No room: the next block tells it.
            let _ = tell.try_send((cid, last));
            stream.next().await
        };
    }
}
