//! What the writer thread shows to its handles.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::cluster::Error;
use crate::crdt::{Answer, Check, Engine, ReadRows, RowsError, Summary};
use crate::store::{PinsetDb, StoreError};
use crate::task;

/// Whether the pinset can be read and written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It can.
    Open,
    /// It is being opened again after an error.
    Reopening {
        /// The error.
        error: String,
    },
    /// This peer is going down.
    Closed,
}

/// The queue to the writer thread is full: the input is dropped and counted, and sync brings it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pinset's queue is full")]
pub struct Full;

/// What an opened engine lends.
#[derive(Clone)]
pub(super) struct Lent {
    pub topics: Vec<String>,
    pub protocols: [String; 2],
    pub check: Arc<dyn Check>,
    pub answer: Arc<dyn Answer>,
}

impl Lent {
    pub fn of(engine: &dyn Engine) -> Self {
        Self { topics: engine.topics(), protocols: engine.protocols(), check: engine.check(), answer: engine.answer() }
    }
}

/// The store, as long as it is open.
pub(super) enum Slot {
    Open { db: PinsetDb, opening: u64 },
    Reopening(String),
    Closed,
}

impl Slot {
    fn state(&self) -> State {
        match self {
            Self::Open { .. } => State::Open,
            Self::Reopening(error) => State::Reopening { error: error.clone() },
            Self::Closed => State::Closed,
        }
    }
}

/// Since when a peer is not in step with the others.
struct Behind(Mutex<Option<Instant>>);

impl Behind {
    fn new(in_sync: bool, now: Instant) -> Self {
        Self(Mutex::new((!in_sync).then_some(now)))
    }

    fn tell(&self, in_sync: bool, now: Instant) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *since = if in_sync { None } else { since.or(Some(now)) };
    }

    fn long(&self, now: Instant) -> Duration {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

/// What the writer thread shows to its handles.
pub(super) struct Shared {
    slot: RwLock<Slot>,
    lent: RwLock<Lent>,
    pub state: watch::Sender<State>,
    pub news: watch::Sender<u64>,
    pub summary: watch::Sender<Summary>,
    /// Since when changes that others have are missing here.
    behind: Behind,
    /// Bytes of inputs in the queue.
    pub queued_bytes: AtomicU64,
    /// Rung when the queue holds fewer bytes.
    pub freed: Notify,
    /// Inputs that found the queue full, since the writer looked.
    pub refused: AtomicU64,
    /// The commit number up to which nobody needs news any more.
    pub worked_off: AtomicU64,
}

/// Why a read gave nothing.
pub(super) enum ReadFailure {
    /// Nothing was read: said as it is.
    Refused(Error),
    /// The store of this opening does not read any more.
    Store { opening: u64, error: RowsError },
}

impl Shared {
    pub fn new(db: PinsetDb, engine: &dyn Engine, news: u64) -> Self {
        Self {
            slot: RwLock::new(Slot::Open { db, opening: 0 }),
            lent: RwLock::new(Lent::of(engine)),
            state: watch::Sender::new(State::Open),
            news: watch::Sender::new(news),
            summary: watch::Sender::new(engine.summary()),
            behind: Behind::new(engine.summary().in_sync, task::now()),
            queued_bytes: AtomicU64::new(0),
            freed: Notify::new(),
            refused: AtomicU64::new(0),
            worked_off: AtomicU64::new(0),
        }
    }

    /// The slot; a writer that waits for it waits for the reads that go on, at most 100 ms.
    pub fn slot(&self) -> RwLockReadGuard<'_, Slot> {
        self.slot.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the slot and tells everybody. The old store is closed when this returns.
    pub fn set_slot(&self, slot: Slot) {
        let state = slot.state();
        *self.slot.write().unwrap_or_else(PoisonError::into_inner) = slot;
        self.state.send_replace(state);
    }

    pub fn lent(&self) -> Lent {
        self.lent.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn lend(&self, engine: &dyn Engine) {
        *self.lent.write().unwrap_or_else(PoisonError::into_inner) = Lent::of(engine);
    }

    /// Raises the number of the last commit that has news.
    pub fn tell_news(&self, commit: u64) {
        self.news.send_if_modified(|last| std::mem::replace(last, commit.max(*last)) < commit);
    }

    /// How long changes that others have have been missing here.
    pub fn behind(&self, now: Instant) -> Duration {
        self.behind.long(now)
    }

    pub fn tell_summary(&self, summary: Summary) {
        self.behind.tell(summary.in_sync, task::now());
        self.summary.send_if_modified(|shown| {
            let changed = *shown != summary;
            *shown = summary;
            changed
        });
    }

    pub fn read<T>(&self, work: impl FnOnce(&dyn ReadRows) -> Result<T, RowsError>) -> Result<T, ReadFailure> {
        match &*self.slot() {
            Slot::Open { db, opening } => db.read(work).map_err(|error: RowsError| match StoreError::within(&error) {
                Some(StoreError::Io { .. }) => ReadFailure::Store { opening: *opening, error },
                _ => ReadFailure::Refused(error.into()),
            }),
            Slot::Reopening(error) => Err(ReadFailure::Refused(Error::Reopening(error.clone()))),
            Slot::Closed => Err(ReadFailure::Refused(Error::Shutdown)),
        }
    }

    /// Counts an input of `bytes` in, unless the queue holds `max` bytes already.
    pub fn admit(&self, bytes: u64, max: u64) -> bool {
        let more = |held: u64| (held.saturating_add(bytes) <= max).then_some(held + bytes);
        bytes == 0 || self.queued_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Counts an input of `bytes` in, as soon as the queue holds few enough; one alone is far below `max`.
    pub async fn admit_later(&self, bytes: u64, max: u64) {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // From here on no release is missed.
            freed.as_mut().enable();
            if self.admit(bytes, max) {
                return;
            }
            freed.await;
        }
    }

    /// Counts it out again.
    pub fn release(&self, bytes: u64) {
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_peer_is_behind_counts_from_when_it_fell_behind() {
        let (start, second) = (task::now(), Duration::from_secs(1));
        let behind = Behind::new(true, start);
        assert_eq!(behind.long(start + second), Duration::ZERO);
        behind.tell(false, start + second);
        behind.tell(false, start + 3 * second);
        assert_eq!(behind.long(start + 4 * second), 3 * second);
        behind.tell(true, start + 5 * second);
        assert_eq!(behind.long(start + 6 * second), Duration::ZERO);
        assert_eq!(Behind::new(false, start).long(start + second), second);
    }
}
