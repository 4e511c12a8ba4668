//! What the rest of the peer calls.
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{Span, instrument};

use super::batch::{Command, weight};
use super::shared::{Full, ReadFailure, Shared, State};
use super::turn::news_key;
use crate::cluster::Error;
use crate::crdt::{
    self, Answer, Check, Input, Op, OpId, ReadRows, RowsError, Seen, Sieve, Span as Keys, Summary, Table,
};
use crate::model::{Cid, Pin, Trust, UnixMillis};
use crate::observe::{PinsetMeters, TRACE};
use crate::task;

/// Rows that one read returns at most: a read transaction must not live long.
const PAGE_MAX: usize = 4_096;

/// Rows that are passed over at a glance in one read transaction at most.
const SIFT_MAX: usize = 16 * PAGE_MAX;

/// Bytes of inputs that wait in the queue at most: changes of others, decoded.
const QUEUED_BYTES_MAX: u64 = 64 << 20;

/// The pinset of this peer.
#[derive(Clone)]
pub struct Pinset {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) shared: Arc<Shared>,
    pub(super) reader: Arc<dyn crdt::Pinset>,
    pub(super) meters: PinsetMeters,
}

/// What waits for the writer thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Inputs in its queue.
    pub inputs: usize,
    /// Bytes that they hold.
    pub bytes: u64,
    /// How long ago this peer last had all changes that it had heard of; zero while it has.
    pub behind: Duration,
}

/// A CID whose wish changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// The number of the commit that changed it.
    pub commit: u64,
    /// Its place in that commit.
    pub n: u32,
    /// Which; [`None`] is every CID.
    pub cid: Option<Cid>,
}

impl Pinset {
    /// Makes a write; when this returns `Ok` it is on disk, fsynced. Returns the pin as written, or as it was before
    /// it was removed.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::NotFound`], [`Error::NoSpace`], [`Error::Reopening`], [`Error::Shutdown`]; after
    /// [`Error::Other`] the write may have been made.
    #[instrument(target = TRACE, name = "pinset.write", skip_all)]
    pub async fn write(&self, op: Op, seen: Seen) -> Result<Pin, Error> {
        let (reply, answer) = oneshot::channel();
        let (began, span) = (task::now(), Span::current());
        self.commands.send(Command::Write { op, seen, reply, span }).await.map_err(|_| Error::Shutdown)?;
        let answer = answer.await.unwrap_or_else(|_| Err(self.unanswered()));
        self.meters.written(task::now().duration_since(began));
        answer
    }

    /// Hands an input to the engine's next turn, without waiting. Writes go by [`Pinset::write`].
    ///
    /// # Errors
    /// [`Full`]: it is dropped and counted. A write always is: nobody would wait for its answer.
    pub fn offer(&self, input: Input) -> Result<(), Full> {
        let bytes = weight(&input);
        let refused = || {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            Full
        };
        if matches!(input, Input::Write { .. }) || !self.shared.admit(bytes, QUEUED_BYTES_MAX) {
            return Err(refused());
        }
        self.commands.try_send(Command::Take { input }).map_err(|_| {
            self.shared.release(bytes);
            refused()
        })
    }

    /// Hands an input to the engine's next turn, when there is room; an input that comes too late is dropped.
    pub async fn input(&self, input: Input) {
        let bytes = weight(&input);
        self.shared.admit_later(bytes, QUEUED_BYTES_MAX).await;
        if self.commands.send(Command::Take { input }).await.is_err() {
            self.shared.release(bytes);
        }
    }

    /// Returns the pin of `cid` and its winner's id, which [`Seen::Winner`] takes.
    ///
    /// # Errors
    /// [`Error::Reopening`], [`Error::Shutdown`], [`Error::Rows`].
    pub fn get(&self, cid: &Cid) -> Result<Option<(Pin, OpId)>, Error> {
        self.read(|rows| self.reader.get(cid, rows))
    }

    /// Returns the place of `cid` in the order of [`Pinset::page`].
    #[must_use]
    pub fn key(&self, cid: &Cid) -> Vec<u8> {
        self.reader.key(cid)
    }

    /// Returns at most `limit` pins (and at most 4,096) after the cursor in key order, and the next cursor; [`None`]
    /// at the end.
    ///
    /// # Errors
    /// As [`Pinset::get`].
    pub fn page(&self, after: Option<&[u8]>, limit: usize) -> Result<(Vec<Pin>, Option<Vec<u8>>), Error> {
        self.read(|rows| self.reader.page(after, limit.min(PAGE_MAX), rows))
    }

    /// Returns spans that are the whole pinset together, for reading beside each other.
    #[must_use]
    pub fn parts(&self) -> Vec<Keys> {
        self.reader.parts()
    }

    /// Returns at most 4,096 pins of `span` in key order, and what is left of it; [`None`] at the end. Every pin is among
    /// them whose record `sieve` says yes to, and others may be: most rows are passed over without being read whole.
    ///
    /// # Errors
    /// As [`Pinset::get`].
    pub fn sift(&self, span: &Keys, sieve: Sieve<'_>) -> Result<(Vec<Pin>, Option<Keys>), Error> {
        self.read(|rows| self.reader.sift(span, SIFT_MAX, sieve, rows))
    }

    /// Returns at most `limit` pins (and at most 4,096) whose expiry is before `before`, oldest expiry first, after the
    /// cursor, and the next cursor; [`None`] at the end.
    ///
    /// # Errors
    /// As [`Pinset::get`].
    pub fn expired(
        &self,
        before: UnixMillis,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<(Vec<Pin>, Option<Vec<u8>>), Error> {
        self.read(|rows| self.reader.expired(before, after, limit.min(PAGE_MAX), rows))
    }

    /// Returns the news of the commits after `after`, oldest first: at least `limit` of them (at most 4,096) unless
    /// there are fewer, and never a part of one commit's.
    ///
    /// # Errors
    /// As [`Pinset::get`].
    pub fn news(&self, after: u64, limit: usize) -> Result<Vec<News>, Error> {
        let limit = limit.clamp(1, PAGE_MAX);
        let start = after.saturating_add(1).to_be_bytes();
        self.read(|rows| {
            let mut found: Result<Vec<News>, RowsError> = Ok(Vec::new());
            rows.scan(Table::News, &start..&[], &mut |key, value| {
                let Ok(list) = &mut found else { return ControlFlow::Break(()) };
                match news_row(key, value) {
                    Ok(row) if list.len() >= limit && list.last().is_some_and(|last| last.commit != row.commit) => {
                        return ControlFlow::Break(());
                    }
                    Ok(row) => list.push(row),
                    Err(error) => found = Err(error),
                }
                ControlFlow::Continue(())
            })?;
            found
        })
    }

    /// Lets go of the news of all commits up to `commit`: they are removed with later commits,
    /// but for the last one's, which tell the next start its number.
    pub fn worked_off(&self, commit: u64) {
        self.shared.worked_off.fetch_max(commit, Ordering::Relaxed);
    }

    /// The number of the last commit that had news, worked off or not.
    #[must_use]
    pub fn news_watch(&self) -> watch::Receiver<u64> {
        self.shared.news.subscribe()
    }

    /// What the engine shows of itself.
    #[must_use]
    pub fn summary(&self) -> watch::Receiver<Summary> {
        self.shared.summary.subscribe()
    }

    /// What waits for the writer, and for how long changes of others have been missing here.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            inputs: self.commands.max_capacity() - self.commands.capacity(),
            bytes: self.shared.queued_bytes.load(Ordering::Relaxed),
            behind: self.shared.behind(task::now()),
        }
    }

    /// Whether the pinset can be read and written.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// The gossip topics of the engine.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        self.shared.lent().topics
    }

    /// The stream protocols of the engine, in the order of [`crdt::Talk::ALL`].
    #[must_use]
    pub fn protocols(&self) -> [String; 2] {
        self.shared.lent().protocols
    }

    /// Makes the answering side of syncs; ask again for each stream, because an engine opened anew has its own.
    #[must_use]
    pub fn sessions(&self) -> Arc<dyn Answer> {
        self.shared.lent().answer
    }

    /// The stateless checks; ask again as for [`Pinset::sessions`].
    #[must_use]
    pub fn check(&self) -> Arc<dyn Check> {
        self.shared.lent().check
    }

    /// Runs `work` on the rows of the last commit; it has to end within 100 ms.
    ///
    /// # Errors
    /// [`Error::Reopening`], [`Error::Shutdown`], [`Error::Rows`].
    pub fn read<T>(&self, work: impl FnOnce(&dyn ReadRows) -> Result<T, RowsError>) -> Result<T, Error> {
        self.shared.read(work).map_err(|failure| match failure {
            ReadFailure::Refused(error) => error,
            ReadFailure::Store { opening, error } => {
                let failed = Command::ReadFailed { opening, error: error.to_string() };
                let _ = self.commands.try_send(failed);
                error.into()
            }
        })
    }

    /// Replaces the trust list from the next turn on.
    ///
    /// # Errors
    /// [`Error::Shutdown`].
    pub async fn set_trust(&self, trust: Trust) -> Result<(), Error> {
        self.commands.send(Command::Trust(trust)).await.map_err(|_| Error::Shutdown)
    }

    fn unanswered(&self) -> Error {
        match &*self.shared.state.borrow() {
            State::Closed => Error::Shutdown,
            State::Open | State::Reopening { .. } => Error::Other("the engine gave no answer to the write".into()),
        }
    }
}

impl fmt::Debug for Pinset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinset").field("state", &*self.shared.state.borrow()).finish_non_exhaustive()
    }
}

fn news_row(key: &[u8], value: &[u8]) -> Result<News, RowsError> {
    let (commit, n) = news_key(key)?;
    let damaged = |_| RowsError::Damaged { table: Table::News, what: "the value is no CID" };
    let cid = if value.is_empty() { None } else { Some(Cid::try_from(value).map_err(damaged)?) };
    Ok(News { commit, n, cid })
}
