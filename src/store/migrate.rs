//! Brings a database to the newest format: one function a version.
use redb::{ReadTransaction, TableError, WriteTransaction};

use super::tables::{FORMAT, definition};
use crate::crdt::Table;

/// The format that this program writes.
pub(super) const VERSION: u32 = 1;

/// The row of [`FORMAT`] that holds the version.
const KEY: &str = "version";

/// Step n brings version n to n + 1; a new database is version 0.
const STEPS: [Step; VERSION as usize] = [make_tables];

type Step = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// Returns the version of a database; 0 is one without any table, [`None`] one of somebody else's tables.
pub(super) fn version(read: &ReadTransaction) -> Result<Option<u32>, redb::Error> {
    match read.open_table(FORMAT) {
        Ok(table) => Ok(table.get(KEY)?.map(|row| row.value())),
        Err(TableError::TableDoesNotExist(_)) if read.list_tables()?.next().is_none() => Ok(Some(0)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Takes every step from version `from` on.
pub(super) fn bring_up(write: &WriteTransaction, from: u32) -> Result<(), redb::Error> {
    for step in STEPS.iter().skip(from as usize) {
        step(write)?;
    }
    write.open_table(FORMAT)?.insert(KEY, VERSION)?;
    Ok(())
}

/// Version 1: every table, empty.
fn make_tables(write: &WriteTransaction) -> Result<(), redb::Error> {
    for table in Table::ALL {
        write.open_table(definition(table))?;
    }
    Ok(())
}
