//! What the tracker is made of, asked and answers with.
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::wishes::{Share, Wishes, WishesError};
use crate::ipfs::Connector;
use crate::model::{Cid, PeerId};
use crate::store::StoreError;
use crate::store::ledger::{LedgerDb, Row};

/// What the tracker is made of.
pub struct Args {
    /// The daemon.
    pub ipfs: Arc<dyn Connector>,
    /// Where statuses are kept.
    pub ledger: Arc<LedgerDb>,
    /// The pinset.
    pub wishes: Arc<dyn Wishes>,
    /// Whom it asks before it lets go of what others are to hold.
    pub others: Arc<dyn Others>,
    /// Its share of what is for everybody; [`None`]: all of it.
    pub share: Option<Arc<dyn Share>>,
    /// This peer.
    pub own: PeerId,
    /// Its label.
    pub peername: String,
    /// Pins that fetch at one time.
    pub concurrent_pins: NonZeroUsize,
    /// Pins that may be queued, as in Go; [`None`]: as many as there are, for the queue is on disk.
    pub max_queue: Option<NonZeroUsize>,
    /// Above this part of the daemon's repository, in hundredths, pins wait; zero: never.
    pub disk_high_water: u8,
    /// How often the daemon's pins are held against the ledger.
    pub recover_interval: Duration,
    /// Until what age a pin shows as a priority pin.
    pub priority_max_age: Duration,
    /// And after how many tries it does not any more.
    pub priority_max_retries: u32,
}

/// The other peers, as far as the tracker needs them.
pub trait Others: Send + Sync + 'static {
    /// Returns whether at least `enough` of `holders` say that they have a CID pinned.
    ///
    /// One that may not be asked counts as one that has; one that does not answer as one that has not.
    fn hold(&self, cid: Cid, holders: Vec<PeerId>, enough: usize) -> BoxFuture<'static, bool>;
}

/// Why the tracker did not answer.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] StoreError),
    /// The pinset failed.
    #[error(transparent)]
    Wishes(#[from] WishesError),
    /// It is going down.
    #[error("the tracker has ended")]
    Ended,
}

/// What the loop is asked.
pub(super) enum Command {
    /// Try these again; answered with the rows of those that are queued anew.
    Recover { cids: Vec<Cid>, reply: oneshot::Sender<Result<Vec<(Cid, Row)>, TrackerError>> },
    /// Hold the daemon's pins against the ledger.
    Sweep,
    /// Look whether these are wanted; answered when that is done.
    Look { cids: Vec<Cid>, reply: oneshot::Sender<Result<(), TrackerError>> },
}
