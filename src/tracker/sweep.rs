//! A sweep: what the daemon holds is held against what the ledger says, without a map in memory.
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::ipfs::{Connector, Held, IpfsError};
use crate::model::{Cid, UnixMillis};

/// Pins told at once.
const CHUNK: usize = 1_000;
/// Chunks that wait: then the daemon's stream waits too.
const CHUNKS_MAX: usize = 4;
/// A list takes minutes with millions of pins; one that has not ended by then never does.
const LIST_MAX: Duration = Duration::from_hours(6);
/// Rows looked at in one step, about 5 ms.
pub(super) const PAGE: usize = 500;

/// What a sweep found.
#[derive(Debug)]
pub(super) enum Found {
    /// These pins, each with whether the root alone is held.
    Pins(Vec<(Cid, bool)>),
    /// The list is complete.
    Complete,
    /// The list broke off, so that nothing follows from what is not in it.
    Broken(IpfsError),
}

/// A sweep that runs. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Sweep {
    /// Its number.
    pub generation: u32,
    /// When it began: what changed since is not judged.
    pub began: UnixMillis,
    /// Whether the list is complete, so that rows are looked at.
    pub judging: bool,
    /// The last row that was looked at.
    pub after: Option<Cid>,
    found: mpsc::Receiver<Found>,
    _list: JoinSet<()>,
}

impl Sweep {
    /// Begins to list.
    pub fn begin(ipfs: Arc<dyn Connector>, generation: u32, began: UnixMillis) -> Self {
        let (tell, found) = mpsc::channel(CHUNKS_MAX);
        let mut list = JoinSet::new();
        list.spawn(async move {
            if tokio::time::timeout(LIST_MAX, run(ipfs, tell.clone())).await.is_err() {
                let error = IpfsError::Garbled(format!("the list of pins did not end within {LIST_MAX:?}"));
                // Nobody listens any more when this fails.
                let _ = tell.send(Found::Broken(error)).await;
            }
        });
        Self { generation, began, judging: false, after: None, found, _list: list }
    }

    /// Waits for what is found next; for ever once the list is complete.
    pub async fn next(&mut self) -> Found {
        if self.judging {
            return std::future::pending().await;
        }
        let gone = || Found::Broken(IpfsError::Garbled("the list of pins ended in the middle".into()));
        self.found.recv().await.unwrap_or_else(gone)
    }
}

async fn run(ipfs: Arc<dyn Connector>, tell: mpsc::Sender<Found>) {
    let mut chunks = ipfs.list().ready_chunks(CHUNK);
    while let Some(chunk) = chunks.next().await {
        let chunk: Result<Vec<_>, _> = chunk.into_iter().collect();
        let found = match chunk {
            Ok(pins) => Found::Pins(pins.into_iter().map(|(cid, held)| (cid, held == Held::Direct)).collect()),
            Err(error) => Found::Broken(error),
        };
        let broken = matches!(found, Found::Broken(_));
        if tell.send(found).await.is_err() || broken {
            return;
        }
    }
    // Nobody listens any more when this fails.
    let _ = tell.send(Found::Complete).await;
}
