//! The ledger's file: open, read, commit.
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};

use super::commit::{Batch, due_key};
use super::counts::Counts;
use super::news;
use super::row::{Row, damaged};
use super::tables::{ALERTS, COUNTS, DUE, EVENTS, EVENTS_MAX, LEDGER_FILE, META, PEERS, PEERS_MAX, STATUS, VERSION};
use crate::model::{Cid, Event, Metric, UnixMillis};
use crate::store::{Caches, StoreError, file};

/// What a ledger is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Events that it has room for.
    pub events_max: u64,
    /// Memory for pages, in bytes.
    pub cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { events_max: EVENTS_MAX, cache_bytes: Caches::default().ledger }
    }
}

/// Rows, and the key to go on after; [`None`] at the end.
pub type Page = (Vec<(Cid, Row)>, Option<Vec<u8>>);

/// The ledger's database. Reads and commits block for as long as the disk takes.
#[derive(Debug)]
pub struct LedgerDb {
    path: PathBuf,
    options: Options,
    db: RwLock<Option<Arc<Database>>>,
}

impl LedgerDb {
    /// Opens the ledger in `dir`, or makes it, readable by its owner alone.
    ///
    /// # Errors
    /// [`StoreError`], which names the file.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_with(dir, Options::default())
    }

    /// As [`LedgerDb::open`], with `options`.
    ///
    /// # Errors
    /// [`StoreError`], which names the file.
    pub fn open_with(dir: &Path, options: Options) -> Result<Self, StoreError> {
        let ledger = Self { path: dir.join(LEDGER_FILE), options, db: RwLock::new(None) };
        ledger.db()?;
        Ok(ledger)
    }

    /// Writes a batch, or nothing of it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is written, and the file is opened again at the next call.
    pub fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.write(|transaction| batch.write(transaction, self.options.events_max))
    }

    /// The commit of the pinset whose news are worked off; [`None`] in a new ledger.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn cursor(&self) -> Result<Option<u64>, StoreError> {
        self.read(|tx| Ok(tx.open_table(META)?.get("cursor")?.map(|n| n.value())))
    }

    /// The number of the last sweep; 0 before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn generation(&self) -> Result<u32, StoreError> {
        let generation = self.read(|tx| Ok(tx.open_table(META)?.get("generation")?.map_or(0, |n| n.value())))?;
        Ok(u32::try_from(generation).unwrap_or(0))
    }

    /// Whether this peer is being drained.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_leaving(&self) -> Result<bool, StoreError> {
        self.read(|tx| Ok(tx.open_table(META)?.get("leaving")?.is_some_and(|n| n.value() != 0)))
    }

    /// Notes whether this peer is being drained.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_leaving(&self, leaving: bool) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.open_table(META)?.insert("leaving", u64::from(leaving))?;
            Ok(())
        })
    }

    /// The row of a CID.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn get(&self, cid: &Cid) -> Result<Option<Row>, StoreError> {
        Ok(self.get_many(std::slice::from_ref(cid))?.pop().flatten())
    }

    /// The rows of CIDs, in their order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn get_many(&self, cids: &[Cid]) -> Result<Vec<Option<Row>>, StoreError> {
        self.read(|tx| {
            let status = tx.open_table(STATUS)?;
            cids.iter().map(|cid| row_of(&status, &cid.to_bytes())).collect()
        })
    }

    /// At most `limit` rows after the CID `after`, in the order of the CIDs' bytes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn page(&self, after: Option<&Cid>, limit: usize) -> Result<Vec<(Cid, Row)>, StoreError> {
        let after = after.map(Cid::to_bytes);
        self.read(|tx| {
            let status = tx.open_table(STATUS)?;
            let start = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let rows = status.range::<&[u8]>((start, Bound::Unbounded))?.take(limit);
            rows.map(|row| {
                let (cid, row) = row?;
                Ok((cid_of(cid.value())?, Row::decode(row.value()).ok_or_else(damaged)?))
            })
            .collect()
        })
    }

    /// At most `limit` rows that are not settled, after the key `after`, in the order that they are due in, and the
    /// key of the last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unsettled(&self, after: Option<&[u8]>, limit: usize) -> Result<Page, StoreError> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (rows, last) = self.due_range(start, Bound::Unbounded, limit)?;
        Ok((rows, last))
    }

    /// At most `limit` rows that are due at `now` and not being worked on, longest due first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn due(&self, now: UnixMillis, limit: usize) -> Result<Vec<(Cid, Row)>, StoreError> {
        let end = due_key(millis(now) + 1, &[]);
        let start = due_key(1, &[]);
        Ok(self.due_range(Bound::Included(&start), Bound::Excluded(&end), limit)?.0)
    }

    /// The rows that were being worked on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn running(&self, limit: usize) -> Result<Vec<(Cid, Row)>, StoreError> {
        let end = due_key(1, &[]);
        Ok(self.due_range(Bound::Unbounded, Bound::Excluded(&end), limit)?.0)
    }

    /// When the first row becomes due after `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next_due(&self, now: UnixMillis) -> Result<Option<UnixMillis>, StoreError> {
        let (start, end) = (due_key(millis(now) + 1, &[]), due_key(u64::MAX, &[]));
        self.read(|tx| {
            let due = tx.open_table(DUE)?;
            let first = due.range(start.as_slice()..end.as_slice())?.next().transpose()?;
            let at = first.and_then(|(key, _)| key.value().first_chunk().map(|at| u64::from_be_bytes(*at)));
            Ok(at.map(|at| UnixMillis(i64::try_from(at).unwrap_or(i64::MAX))))
        })
    }

    /// How many rows stand where.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn counts(&self) -> Result<Counts, StoreError> {
        self.read(|tx| Counts::read(&tx.open_table(COUNTS)?))
    }

    /// At most `limit` events from number `from` on, oldest first, each with its number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn events(&self, from: u64, limit: usize) -> Result<Vec<(u64, Event)>, StoreError> {
        self.read(|tx| {
            let rows = tx.open_table(EVENTS)?.range(from..)?.take(limit);
            rows.map(|row| {
                let (number, event) = row?;
                Ok((number.value(), news::decode_event(event.value()).ok_or_else(damaged)?))
            })
            .collect()
        })
    }

    /// The number of the event that comes next.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn events_end(&self) -> Result<u64, StoreError> {
        self.read(|tx| Ok(tx.open_table(EVENTS)?.last()?.map_or(0, |(number, _)| number.value() + 1)))
    }

    /// Keeps the last signs of life of peers, in the place of those that were kept before.
    ///
    /// # Errors
    /// [`StoreError`]; those that were kept before are then.
    pub fn keep_lives(&self, lives: &[Metric]) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.delete_table(PEERS)?;
            let mut peers = tx.open_table(PEERS)?;
            for metric in lives.iter().take(PEERS_MAX) {
                peers.insert(news::metric_key(metric).as_slice(), news::encode_metric(metric).as_slice())?;
            }
            Ok(())
        })
    }

    /// The last signs of life that are kept, by peer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn lives(&self) -> Result<Vec<Metric>, StoreError> {
        self.read(|tx| {
            let peers = tx.open_table(PEERS)?;
            peers.iter()?.map(|row| news::decode_metric(row?.1.value()).ok_or_else(damaged)).collect()
        })
    }

    fn due_range(&self, start: Bound<&[u8]>, end: Bound<&[u8]>, limit: usize) -> Result<Page, StoreError> {
        self.read(|tx| {
            let (due, status) = (tx.open_table(DUE)?, tx.open_table(STATUS)?);
            let (mut rows, mut last) = (Vec::new(), None);
            for entry in due.range::<&[u8]>((start, end))?.take(limit) {
                let (key, _) = entry?;
                let cid = key.value().get(8..).ok_or_else(damaged)?;
                rows.push((cid_of(cid)?, row_of(&status, cid)?.ok_or_else(damaged)?));
                last = Some(key.value().to_vec());
            }
            Ok((rows, last))
        })
    }

    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.run(|db| read(&db.begin_read()?))
    }

    pub(super) fn write(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        self.run(|db| {
            let transaction = file::begin(db)?;
            write(&transaction)?;
            Ok(transaction.commit()?)
        })
    }

    /// After a failed write redb refuses all that follows: an error closes the file, and the next call opens it again.
    fn run<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let db = self.db()?;
        let done = StoreError::guard(&self.path, || work(&db));
        if done.is_err() {
            let closed = StoreError::guard(&self.path, || {
                let slot = self.db.try_write().map(|mut slot| slot.take());
                drop((slot, db));
                Ok::<_, redb::Error>(())
            });
            if let Err(error) = closed {
                tracing::warn!(%error, "while the ledger was closed");
            }
        }
        done
    }

    /// The open database; opens it when an error closed it.
    fn db(&self) -> Result<Arc<Database>, StoreError> {
        if let Some(db) = &*self.db.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(db.clone());
        }
        let mut slot = self.db.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(db) = &*slot {
            return Ok(db.clone());
        }
        let db = Arc::new(self.open_file()?);
        *slot = Some(db.clone());
        Ok(db)
    }

    fn open_file(&self) -> Result<Database, StoreError> {
        let open = |file| {
            let create = || Database::builder().set_cache_size(self.options.cache_bytes).create_file(file);
            let db = StoreError::guard(&self.path, create)?;
            match StoreError::guard(&self.path, || prepare(&db))? {
                VERSION => Ok(db),
                found => Err(StoreError::Newer { path: self.path.clone(), found, known: VERSION }),
            }
        };
        open(file::open(&self.path, |file| open(file).map(drop))?)
    }
}

/// Makes what is missing; returns the version of what is there.
fn prepare(db: &Database) -> Result<u32, redb::Error> {
    let tx = file::begin(db)?;
    let found = {
        let mut meta = tx.open_table(META)?;
        let found = meta.get("version")?.map(|version| u32::try_from(version.value()).unwrap_or(u32::MAX));
        if found.is_none() {
            meta.insert("version", u64::from(VERSION))?;
        }
        found.unwrap_or(VERSION)
    };
    if found > VERSION {
        tx.abort()?;
        return Ok(found);
    }
    tx.open_table(STATUS)?;
    tx.open_table(DUE)?;
    tx.open_table(COUNTS)?;
    tx.open_table(EVENTS)?;
    tx.open_table(ALERTS)?;
    tx.open_table(PEERS)?;
    tx.commit()?;
    Ok(found)
}

fn row_of(status: &impl ReadableTable<&'static [u8], &'static [u8]>, cid: &[u8]) -> Result<Option<Row>, redb::Error> {
    status.get(cid)?.map(|row| Row::decode(row.value()).ok_or_else(damaged)).transpose()
}

fn cid_of(bytes: &[u8]) -> Result<Cid, redb::Error> {
    Cid::try_from(bytes).map_err(|_| damaged())
}

fn millis(moment: UnixMillis) -> u64 {
    u64::try_from(moment.0).unwrap_or(0)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
