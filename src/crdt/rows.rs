//! The tables that an engine works on, in one transaction.
use std::ops::{ControlFlow, Range};

/// A table of the pinset's database; `store/tables.rs` documents key, value and lifetime of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Format version, engine, epoch, digest, join marker, counters.
    Meta,
    /// Key of a CID -> its live entries, winner first.
    Pins,
    /// Actor -> its clock row.
    Clock,
    /// Actor -> the signed header of its last change.
    Tips,
    /// (number of the actor, seq) -> number of its application, envelope; since the floor.
    Changes,
    /// Number of application -> (number of the actor, seq).
    Applied,
    /// Actor -> fork point and the proof.
    Forked,
    /// (key, counter, actor) of removed entries above a fork point.
    Tombstones,
    /// (actor, seq) -> envelope of an untrusted author that waits for a trusted one above it.
    Stage,
    /// (expiry, key) of the pins that expire.
    ByExpiry,
    /// (commit number, n) -> CID whose wish changed; an empty CID means all.
    News,
    /// (generation, what, place) -> manifests and packed frames of snapshots.
    Snapshots,
    /// Key of a CID above the cursor of a join that is joined already.
    Joined,
}

impl Table {
    /// Every table, in the order of the enum.
    pub const ALL: [Self; 13] = [
        Self::Meta,
        Self::Pins,
        Self::Clock,
        Self::Tips,
        Self::Changes,
        Self::Applied,
        Self::Forked,
        Self::Tombstones,
        Self::Stage,
        Self::ByExpiry,
        Self::News,
        Self::Snapshots,
        Self::Joined,
    ];
}

/// Why rows could not be read or written: the transaction is lost, and the engine is opened again.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The storage failed.
    #[error("storage: {0}")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row does not decode: a damaged page or a foreign program.
    #[error("damaged row in {table:?}: {what}")]
    Damaged {
        /// Where it is.
        table: Table,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// What a scan calls with each key and value, until it breaks.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// The tables of one transaction, read.
pub trait ReadRows {
    /// Returns the value of `key`.
    ///
    /// # Errors
    /// [`RowsError::Storage`].
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError>;

    /// Calls `visit` with each row of `range` in key order, until it breaks. An empty `range.end` is no end.
    ///
    /// # Errors
    /// [`RowsError::Storage`].
    fn scan(&self, table: Table, range: Range<&[u8]>, visit: Visit<'_>) -> Result<(), RowsError>;

    /// As [`ReadRows::scan`], from the greatest key of `range` down.
    ///
    /// # Errors
    /// [`RowsError::Storage`].
    fn scan_back(&self, table: Table, range: Range<&[u8]>, visit: Visit<'_>) -> Result<(), RowsError>;
}

/// The tables of one transaction, read and written: redb in the daemon, a map in tests and simulation.
pub trait Rows: ReadRows {
    /// Sets the value of `key`.
    ///
    /// # Errors
    /// [`RowsError::Storage`].
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), RowsError>;

    /// Removes `key`, if it is there.
    ///
    /// # Errors
    /// [`RowsError::Storage`].
    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), RowsError>;
}
