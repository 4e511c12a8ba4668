//! The tracker's writes: one batch gathers rows while the one before it is being written.
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::core::{Effect, interrupted};
use super::wishes::{Share, held};
use crate::model::{Cid, Event, Happening, TrackerStatus as Status, UnixMillis};
use crate::store::StoreError;
use crate::store::ledger::{Batch, LedgerDb, Row};

/// Rows that wait for a commit before no more wishes are read.
const ROWS_MAX: usize = 5_000;
/// Events that wait as rows do: pins of other peers make no rows.
const EVENTS_MAX: usize = ROWS_MAX;
/// How long rows that nothing waits for are gathered: each commit is an fsync that the pinset's commits share the disk
/// with.
const GATHER: Duration = Duration::from_millis(100);
/// Rows of cut short jobs taken up at once.
const RUNNING_MAX: usize = 1_000;
/// How long to wait after a commit failed.
const RETRY: Duration = Duration::from_secs(1);

/// The ledger with the rows that are not committed yet.
pub(super) struct Book {
    ledger: Arc<LedgerDb>,
    open: Batch,
    urgent: bool,
    writing: Option<Arc<Batch>>,
    commits: JoinSet<Result<(), StoreError>>,
    not_before: UnixMillis,
    queued: Option<Queued>,
    share: Option<Arc<dyn Share>>,
}

/// How many pins are queued, where that is bounded.
#[derive(Debug)]
struct Queued {
    now: u64,
    max: u64,
}

impl Book {
    /// A book over `ledger`, where what ran when the last process ended is queued again; `queued_max` bounds the pins that
    /// are queued, `share` counts the bytes that are held.
    pub fn new(
        ledger: Arc<LedgerDb>,
        queued_max: Option<u64>,
        share: Option<Arc<dyn Share>>,
        now: UnixMillis,
    ) -> Result<Self, StoreError> {
        // Before it is counted what is queued.
        resume(&ledger, now)?;
        let (open, commits) = (Batch::default(), JoinSet::new());
        let count = |max| Ok::<_, StoreError>(Queued { now: ledger.counts()?.of(Status::PinQueued), max });
        let queued = queued_max.map(count).transpose()?;
        Ok(Self { ledger, open, urgent: false, writing: None, commits, not_before: UnixMillis(0), queued, share })
    }

    /// Returns whether as many pins are queued as may be.
    pub fn is_queue_full(&self) -> bool {
        self.queued.as_ref().is_some_and(|queued| queued.now >= queued.max)
    }

    /// Counts what is queued and what is held, committed or not.
    fn count(&mut self, cid: &Cid, new: Status, row: Option<&Row>) {
        let is_counted = self.queued.is_some() || self.share.is_some();
        let was = is_counted.then(|| self.row(cid).ok().flatten()).flatten();
        if let Some(share) = &self.share {
            share.count(cid, held(was.as_ref()), held(row));
        }
        if let Some(queued) = &mut self.queued {
            let was = was.is_some_and(|row| row.status == Status::PinQueued);
            queued.now = (queued.now + u64::from(new == Status::PinQueued)).saturating_sub(u64::from(was));
        }
    }

    /// The committed rows.
    pub fn ledger(&self) -> &LedgerDb {
        &self.ledger
    }

    /// The row of a CID, committed or not.
    pub fn row(&self, cid: &Cid) -> Result<Option<Row>, StoreError> {
        let writing = self.writing.as_ref().and_then(|batch| batch.rows.get(cid));
        match self.open.rows.get(cid).or(writing) {
            Some(row) => Ok(row.clone()),
            None => self.ledger.get(cid),
        }
    }

    /// The CIDs whose rows are not committed yet.
    pub fn unwritten(&self) -> Vec<Cid> {
        let writing = self.writing.iter().flat_map(|batch| batch.rows.keys());
        writing.chain(self.open.rows.keys()).copied().collect()
    }

    /// Takes down what an effect writes; returns whether it wrote.
    pub fn note(&mut self, effect: &Effect, now: UnixMillis) -> bool {
        let (cid, row) = match effect {
            Effect::Put(cid, row) => (*cid, Some(row.clone())),
            Effect::Remove(cid) => (*cid, None),
            Effect::Cancel(_) => return false,
        };
        let status = row.as_ref().map_or(Status::Unpinned, |row| row.status);
        self.count(&cid, status, row.as_ref());
        if is_news(status) {
            let error = row.as_ref().map_or(String::new(), |row| row.error.clone());
            self.open.events.push(Event { at: now, what: Happening::Came { cid, status, error } });
        }
        self.open.rows.insert(cid, row);
        true
    }

    /// Events noted so far.
    pub fn events(&self) -> usize {
        self.open.events.len()
    }

    /// Takes down what happened to the pinset, before the events that came of it: those from `place` on.
    pub fn happened(&mut self, place: usize, what: impl IntoIterator<Item = Happening>, now: UnixMillis) {
        let place = place.min(self.open.events.len());
        self.open.events.splice(place..place, what.into_iter().map(|what| Event { at: now, what }));
    }

    /// The news up to `commit` are in the rows noted so far.
    pub fn move_cursor(&mut self, commit: u64) {
        self.open.cursor = Some(commit);
    }

    /// A sweep of number `generation` found these in the daemon, each with whether the root alone is held.
    pub fn mark(&mut self, found: impl IntoIterator<Item = (Cid, bool)>, generation: u32) {
        self.open.found.extend(found);
        self.open.generation = Some(generation);
    }

    /// Something waits for the rows noted so far: they are committed at once.
    pub fn hurry(&mut self) {
        self.urgent = true;
    }

    /// Returns whether more rows may be noted that nobody waits for.
    pub fn has_room(&self) -> bool {
        self.open.rows.len() + self.open.found.len() < ROWS_MAX && self.open.events.len() < EVENTS_MAX
    }

    /// Returns whether marks of a sweep are not committed yet.
    pub fn has_marks(&self) -> bool {
        let writing = self.writing.as_ref().is_some_and(|batch| !batch.found.is_empty());
        writing || !self.open.found.is_empty()
    }

    /// Returns whether everything is committed.
    pub fn is_clean(&self) -> bool {
        self.open.is_empty() && self.writing.is_none()
    }

    /// When [`Book::flush`] has something to do.
    pub fn flush_at(&self) -> Option<UnixMillis> {
        (self.writing.is_none() && !self.open.is_empty()).then_some(self.not_before)
    }

    /// Begins a commit, when it is time for one; returns whether it did.
    pub fn flush(&mut self, now: UnixMillis) -> bool {
        let due = self.flush_at().is_some_and(|at| self.urgent || at <= now);
        if due {
            let batch = Arc::new(std::mem::take(&mut self.open));
            let (ledger, rows) = (self.ledger.clone(), batch.clone());
            self.commits.spawn_blocking(move || ledger.commit(&rows));
            (self.writing, self.urgent, self.not_before) = (Some(batch), false, now.plus(GATHER));
        }
        due
    }

    /// Waits for the end of the commit that runs, for ever when there is none; returns the cursor that is on disk now.
    ///
    /// # Errors
    /// [`StoreError`]: the rows are in the next commit, which waits a second.
    pub async fn committed(&mut self, now: impl Fn() -> UnixMillis) -> Result<Option<u64>, StoreError> {
        let Some(ended) = self.commits.join_next().await else { return std::future::pending().await };
        let result = match ended {
            Ok(result) => result,
            // Only an executor that goes down cancels a commit, and this loop with it.
            Err(error) if error.is_cancelled() => return std::future::pending().await,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let batch = self.writing.take().unwrap_or_default();
        if let Err(error) = result {
            self.take_back(&batch);
            (self.urgent, self.not_before) = (false, now().plus(RETRY));
            return Err(error);
        }
        Ok(batch.cursor)
    }

    fn take_back(&mut self, batch: &Batch) {
        for (cid, row) in &batch.rows {
            if let Entry::Vacant(slot) = self.open.rows.entry(*cid) {
                slot.insert(row.clone());
            }
        }
        self.open.found.extend(&batch.found);
        self.open.cursor = self.open.cursor.or(batch.cursor);
        self.open.generation = self.open.generation.or(batch.generation);
        let later = std::mem::replace(&mut self.open.events, batch.events.clone());
        self.open.events.extend(later);
    }
}

/// Returns whether coming to `status` is an event: an end, not a step.
fn is_news(status: Status) -> bool {
    matches!(
        status,
        Status::Pinned | Status::Unpinned | Status::PinError | Status::UnpinError | Status::UnexpectedlyUnpinned
    )
}

/// Queues what ran when the last process ended.
fn resume(ledger: &LedgerDb, now: UnixMillis) -> Result<(), StoreError> {
    loop {
        let rows = ledger.running(RUNNING_MAX)?;
        if rows.is_empty() {
            return Ok(());
        }
        let rows = rows.into_iter().map(|(cid, row)| (cid, Some(interrupted(row, now)))).collect();
        ledger.commit(&Batch { rows, ..Batch::default() })?;
    }
}
