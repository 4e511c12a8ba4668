//! The pinset's database: opens, reads, commits.
use std::cell::OnceCell;
use std::fmt;
use std::ops::{Bound, ControlFlow, Range};
use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend,
    WriteTransaction,
};

use super::tables::{PINSET_FILE, definition};
use super::{Caches, StoreError, file, migrate};
use crate::crdt::{ReadRows, Rows, RowsError, Table};
use crate::observe::PinsetMeters;
use crate::task;

const TABLES: usize = Table::ALL.len();

/// What a database is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Memory for pages, in bytes.
    pub cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: Caches::default().pinset }
    }
}

/// The pinset's database: one writer at a time, any number of readers.
pub struct PinsetDb {
    path: PathBuf,
    redb: Database,
    /// Times commits.
    meters: PinsetMeters,
}

impl PinsetDb {
    /// Opens `pinset.redb` in `dir`; makes it when it is not there.
    ///
    /// After a crash redb first checks all pages, about a second for each 200 MB.
    ///
    /// # Errors
    /// [`StoreError`]: in use, of a newer version, something else, damaged, or the system refuses.
    pub fn open(dir: &Path, options: Options) -> Result<Self, StoreError> {
        let path = dir.join(PINSET_FILE);
        let builder = builder(options);
        let open = |file| Self::bring_up(&path, StoreError::guard(&path, || builder.create_file(file))?);
        let file = file::open(&path, |file| open(file).map(drop))?;
        open(file)
    }

    /// Opens the database that `backend` stores; errors call it `name`.
    ///
    /// # Errors
    /// As [`PinsetDb::open`].
    pub fn with_backend(name: &Path, backend: impl StorageBackend, options: Options) -> Result<Self, StoreError> {
        let redb = StoreError::guard(name, || builder(options).create_with_backend(backend))?;
        Self::bring_up(name, redb)
    }

    fn bring_up(path: &Path, redb: Database) -> Result<Self, StoreError> {
        let db = Self { path: path.to_path_buf(), redb, meters: PinsetMeters::default() };
        let version = db.guard(|| migrate::version(&db.redb.begin_read()?))?;
        match version {
            Some(migrate::VERSION) => Ok(db),
            Some(found) if found > migrate::VERSION => {
                Err(StoreError::Newer { path: db.path, found, known: migrate::VERSION })
            }
            Some(found) => {
                let write = db.begin()?;
                db.guard(|| migrate::bring_up(&write, found))?;
                db.guard(|| write.commit())?;
                Ok(db)
            }
            None => Err(StoreError::Foreign { path: db.path, what: "it has other tables".into() }),
        }
    }

    /// The same, whose commits are timed by `meters`.
    #[must_use]
    pub fn timed_by(self, meters: PinsetMeters) -> Self {
        Self { meters, ..self }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in one transaction and commits it: when this returns `Ok`, the rows are on disk, fsynced.
    ///
    /// An error of `work` drops the transaction. Work that changed no row commits nothing, and costs no fsync.
    ///
    /// # Errors
    /// That of `work`, or [`StoreError`] of the transaction; then the database has to be opened again.
    pub fn write<T, E: From<StoreError>>(&self, work: impl FnOnce(&mut dyn Rows) -> Result<T, E>) -> Result<T, E> {
        let write = self.begin()?;
        let mut rows = WriteRows { path: &self.path, write: &write, tables: Default::default(), changed: false };
        let done = work(&mut rows)?;
        let changed = rows.changed;
        drop(rows);
        if changed {
            let began = task::now();
            self.guard(|| write.commit())?;
            self.meters.committed(task::now().duration_since(began));
        } else {
            self.guard(|| write.abort())?;
        }
        Ok(done)
    }

    /// Runs `work` on the rows of the last commit.
    ///
    /// No page that it may see is freed meanwhile, so it has to end within 100 ms.
    ///
    /// # Errors
    /// That of `work`, or [`StoreError`].
    pub fn read<T, E: From<StoreError>>(&self, work: impl FnOnce(&dyn ReadRows) -> Result<T, E>) -> Result<T, E> {
        let read = self.guard(|| self.redb.begin_read())?;
        work(&SeenRows { path: &self.path, read: &read, tables: Default::default() })
    }

    /// The rows of the last commit, for a reader that takes its time: as long as it reads, no page that it may see is freed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn freeze(&self) -> Result<Frozen, StoreError> {
        Ok(Frozen { path: self.path.clone(), read: self.guard(|| self.redb.begin_read())? })
    }

    /// Gives back what the file has more than its rows need; nobody may read meanwhile. It takes seconds for a million rows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn compact(&mut self) -> Result<(), StoreError> {
        let Self { path, redb, .. } = self;
        StoreError::guard(path, || redb.compact()).map(drop)
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        self.guard(|| file::begin(&self.redb))
    }

    fn guard<T, E: Into<redb::Error>>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, StoreError> {
        StoreError::guard(&self.path, call)
    }
}

/// The rows of one commit.
pub struct Frozen {
    path: PathBuf,
    read: ReadTransaction,
}

impl Frozen {
    /// Runs `work` on them.
    ///
    /// # Errors
    /// That of `work`.
    pub fn read<T, E>(&self, work: impl FnOnce(&dyn ReadRows) -> Result<T, E>) -> Result<T, E> {
        work(&SeenRows { path: &self.path, read: &self.read, tables: Default::default() })
    }
}

impl fmt::Debug for PinsetDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinsetDb").field("path", &self.path).finish_non_exhaustive()
    }
}

fn builder(options: Options) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(options.cache_bytes);
    builder
}

/// The tables of a write transaction, each opened when it is first used.
struct WriteRows<'t> {
    path: &'t Path,
    write: &'t WriteTransaction,
    tables: [OnceCell<redb::Table<'t, &'static [u8], &'static [u8]>>; TABLES],
    changed: bool,
}

impl<'t> WriteRows<'t> {
    fn table(&self, table: Table) -> Result<&redb::Table<'t, &'static [u8], &'static [u8]>, StoreError> {
        let cell = &self.tables[table as usize];
        if cell.get().is_none() {
            let opened = StoreError::guard(self.path, || self.write.open_table(definition(table)))?;
            let _ = cell.set(opened);
        }
        Ok(cell.get().expect("the table was opened above"))
    }

    fn table_mut(&mut self, table: Table) -> Result<&mut redb::Table<'t, &'static [u8], &'static [u8]>, StoreError> {
        self.table(table)?;
        self.changed = true;
        Ok(self.tables[table as usize].get_mut().expect("the table was opened above"))
    }
}

impl ReadRows for WriteRows<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError> {
        get(self.path, self.table(table)?, key)
    }

    fn scan(&self, table: Table, range: Range<&[u8]>, visit: Visit<'_>) -> Result<(), RowsError> {
        scan(self.path, self.table(table)?, &range, Order::Up, visit)
    }

    fn scan_back(&self, table: Table, range: Range<&[u8]>, visit: Visit<'_>) -> Result<(), RowsError> {
        scan(self.path, self.table(table)?, &range, Order::Down, visit)
    }
}

impl Rows for WriteRows<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), RowsError> {
        let path = self.path;
        let table = self.table_mut(table)?;
        StoreError::guard(path, || table.insert(key, value).map(drop))?;
        Ok(())
    }

    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), RowsError> {
        let path = self.path;
        let table = self.table_mut(table)?;
        StoreError::guard(path, || table.remove(key).map(drop))?;
        Ok(())
    }
}

/// The tables of a read transaction, each opened when it is first used.
struct SeenRows<'t> {
    path: &'t Path,
    read: &'t ReadTransaction,
    tables: [OnceCell<ReadOnlyTable<&'static [u8], &'static [u8]>>; TABLES],
}

impl SeenRows<'_> {
    fn table(&self, table: Table) -> Result<&ReadOnlyTable<&'static [u8], &'static [u8]>, StoreError> {
        let cell = &self.tables[table as usize];
        if cell.get().is_none() {
            let opened = StoreError::guard(self.path, || self.read.open_table(definition(table)))?;
            let _ = cell.set(opened);
        }
        Ok(cell.get().expect("the table was opened above"))
    }
}

impl ReadRows for SeenRows<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError> {
        get(self.path, self.table(table)?, key)
    }

    fn scan(&self, table: Table, range: Range<&[u8]>, visit: Visit<'_>) -> Result<(), RowsError> {
        scan(self.path, self.table(table)?, &range, Order::Up, visit)
    }

    fn scan_back(&self, table: Table, range: Range<&[u8]>, visit: Visit<'_>) -> Result<(), RowsError> {
        scan(self.path, self.table(table)?, &range, Order::Down, visit)
    }
}

type Visit<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

#[derive(Clone, Copy)]
enum Order {
    Up,
    Down,
}

fn get(
    path: &Path,
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8],
) -> Result<Option<Vec<u8>>, RowsError> {
    Ok(StoreError::guard(path, || table.get(key).map(|row| row.map(|row| row.value().to_vec())))?)
}

fn scan(
    path: &Path,
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    range: &Range<&[u8]>,
    order: Order,
    visit: Visit<'_>,
) -> Result<(), RowsError> {
    let end = if range.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(range.end) };
    if !range.end.is_empty() && range.start >= range.end {
        return Ok(());
    }
    let mut rows = StoreError::guard(path, || table.range::<&[u8]>((Bound::Included(range.start), end)))?;
    loop {
        let row = StoreError::guard(path, || {
            let row = match order {
                Order::Up => rows.next(),
                Order::Down => rows.next_back(),
            };
            row.transpose()
        });
        let Some((key, value)) = row? else { return Ok(()) };
        if visit(key.value(), value.value()).is_break() {
            return Ok(());
        }
    }
}

#[cfg(test)]
#[path = "db_tests.rs"]
mod tests;
