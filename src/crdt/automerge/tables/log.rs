//! The log: every applied change, by author and in the order of application.
//!
//! CHANGES: number of the actor ++ seq (4 bytes each, big endian) -> number of its application (8 bytes, little endian) ++
//! envelope. APPLIED: number of the application (8 bytes, big endian) -> the key in CHANGES. The log of an actor is a run that
//! ends at its tip and may begin anywhere.
use bytes::Bytes;

use crate::crdt::automerge::formats::codec::Reader;
use crate::crdt::automerge::formats::envelope::{self, Signed};
use crate::crdt::{ReadRows, Rows, RowsError, Table};

/// The key of a change.
pub fn key(number: u32, seq: u32) -> [u8; 8] {
    (u64::from(number) << 32 | u64::from(seq)).to_be_bytes()
}

/// The number of the actor and the seq of a key.
///
/// # Errors
/// [`RowsError::Damaged`].
pub fn parse(key: &[u8]) -> Result<(u32, u32), RowsError> {
    let bytes: [u8; 8] = key.try_into().map_err(|_| damaged(Table::Applied, "the key of a change"))?;
    let [number, seq] = [&bytes[..4], &bytes[4..]].map(|half| half.iter().fold(0, |n, byte| n << 8 | u32::from(*byte)));
    Ok((number, seq))
}

/// A change in the log.
pub struct Logged {
    /// The number of its application.
    pub applied: u64,
    /// Its envelope.
    pub envelope: Bytes,
}

impl Logged {
    /// Reads the change.
    ///
    /// # Errors
    /// [`RowsError::Damaged`].
    pub fn signed(&self) -> Result<Signed, RowsError> {
        envelope::reload(self.envelope.clone()).map_err(|_| damaged(Table::Changes, "envelope"))
    }
}

/// Appends a change.
///
/// # Errors
/// [`RowsError`].
pub fn append(change: &Signed, number: u32, applied: u64, rows: &mut dyn Rows) -> Result<(), RowsError> {
    let key = key(number, change.header.seq);
    let mut value = Vec::with_capacity(change.bytes.len() + 8);
    value.extend_from_slice(&applied.to_le_bytes());
    value.extend_from_slice(&change.bytes);
    rows.put(Table::Changes, &key, &value)?;
    rows.put(Table::Applied, &applied.to_be_bytes(), &key)
}

/// Reads the change `seq` of the actor of `number`; [`None`] when the log does not have it.
///
/// # Errors
/// [`RowsError`].
pub fn read(number: u32, seq: u32, rows: &(impl ReadRows + ?Sized)) -> Result<Option<Logged>, RowsError> {
    let Some(value) = rows.get(Table::Changes, &key(number, seq))? else { return Ok(None) };
    let mut reader = Reader::new(&value);
    let applied = reader.u64().map_err(|_| damaged(Table::Changes, "row"))?;
    let envelope = Bytes::copy_from_slice(reader.rest());
    Ok(Some(Logged { applied, envelope }))
}

const fn damaged(table: Table, what: &'static str) -> RowsError {
    RowsError::Damaged { table, what }
}
