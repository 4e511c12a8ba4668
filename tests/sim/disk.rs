//! Disks that fail: at any row of a turn, or at every write because they are full.
use std::cell::Cell;
use std::ops::Range;

use ipfs_cluster::crdt::{MapRows, ReadRows, Rows, RowsError, Table, Visit};

/// Rows of which an operation fails; what was done before it is undone by who holds the copy from before.
pub struct Faulty<'a> {
    pub rows: &'a mut MapRows,
    /// Operations until the one that fails.
    pub left: Cell<u32>,
    /// Whether reading goes on: a full disk can be read.
    pub is_full: bool,
}

impl Faulty<'_> {
    fn spend(&self, is_write: bool) -> Result<(), RowsError> {
        if self.is_full && !is_write {
            return Ok(());
        }
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(RowsError::Storage("no space left on device".into())),
        }
    }
}

impl ReadRows for Faulty<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError> {
        self.spend(false)?;
        self.rows.get(table, key)
    }

    fn scan(&self, table: Table, range: Range<&[u8]>, visit: Visit<'_>) -> Result<(), RowsError> {
        self.spend(false)?;
        self.rows.scan(table, range, visit)
    }

    fn scan_back(&self, table: Table, range: Range<&[u8]>, visit: Visit<'_>) -> Result<(), RowsError> {
        self.spend(false)?;
        self.rows.scan_back(table, range, visit)
    }
}

impl Rows for Faulty<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), RowsError> {
        self.spend(true)?;
        self.rows.put(table, key, value)
    }

    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), RowsError> {
        self.spend(true)?;
        self.rows.remove(table, key)
    }
}
