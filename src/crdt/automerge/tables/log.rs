//! The log: every applied change, by author and in the order of application.
//!
//! CHANGES: number of the actor ++ seq (4 bytes each, big endian) -> number of its application (8 bytes, little endian) ++
//! envelope. APPLIED: number of the application (8 bytes, big endian) -> the key in CHANGES. The log of an actor is a run that
//! ends at its tip and may begin anywhere.
use std::ops::ControlFlow;

use bytes::Bytes;

use super::state::Counters;
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
pub fn append(change: &Signed, number: u32, counters: &mut Counters, rows: &mut dyn Rows) -> Result<(), RowsError> {
    counters.applied += 1;
    counters.log_bytes += change.bytes.len() as u64;
    let applied = counters.applied;
    let key = key(number, change.header.seq);
    let mut value = Vec::with_capacity(change.bytes.len() + 8);
    value.extend_from_slice(&applied.to_le_bytes());
    value.extend_from_slice(&change.bytes);
    rows.put(Table::Changes, &key, &value)?;
    rows.put(Table::Applied, &applied.to_be_bytes(), &key)
}

/// Rows of the log that one step removes at most.
const DROP_MAX: usize = 1_000;

/// Steps in which a refused branch is dropped at most, all in one transaction.
const BRANCH_STEPS: usize = 16;

/// Drops some of the oldest applications up to number `upto`, as long as more than `keep` bytes are left; returns whether
/// there is more to drop.
///
/// # Errors
/// [`RowsError`].
pub fn drop_oldest(upto: u64, keep: u64, counters: &mut Counters, rows: &mut dyn Rows) -> Result<bool, RowsError> {
    if counters.log_bytes <= keep {
        return Ok(false);
    }
    let mut oldest = Vec::new();
    rows.scan(Table::Applied, b""..&(upto + 1).to_be_bytes(), &mut |at, key| {
        oldest.push((at.to_vec(), key.to_vec()));
        if oldest.len() < DROP_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let is_full = oldest.len() == DROP_MAX;
    for (at, key) in oldest {
        if counters.log_bytes <= keep {
            return Ok(false);
        }
        forget(&at, &key, counters, rows)?;
    }
    Ok(is_full)
}

/// Drops some of the changes of the actor of `number` up to `seq`: what a join passed over is no run that ends at the tip.
/// Returns whether there are more.
///
/// # Errors
/// [`RowsError`].
pub fn drop_run(number: u32, seq: u32, counters: &mut Counters, rows: &mut dyn Rows) -> Result<bool, RowsError> {
    drop_range(key(number, 0), key(number, seq.saturating_add(1)), counters, rows)
}

fn drop_range(from: [u8; 8], to: [u8; 8], counters: &mut Counters, rows: &mut dyn Rows) -> Result<bool, RowsError> {
    let (mut found, mut fault) = (Vec::new(), None);
    rows.scan(Table::Changes, &from..&to, &mut |key, value| {
        match value.first_chunk::<8>() {
            Some(applied) => found.push((u64::from_le_bytes(*applied).to_be_bytes(), key.to_vec())),
            None => fault = Some(damaged(Table::Changes, "row")),
        }
        if found.len() < DROP_MAX && fault.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    fault.map_or(Ok(()), Err)?;
    found.iter().try_for_each(|(at, key)| forget(at, key, counters, rows))?;
    Ok(found.len() == DROP_MAX)
}

/// Drops the changes of the actor of `number` from `seq` on, which are refused from now on. Of a history of ten thousands
/// a part stays until it is the oldest: nobody is sent it.
///
/// # Errors
/// [`RowsError`].
pub fn drop_branch(number: u32, seq: u32, counters: &mut Counters, rows: &mut dyn Rows) -> Result<(), RowsError> {
    for _ in 0..BRANCH_STEPS {
        if !drop_range(key(number, seq), key(number, u32::MAX), counters, rows)? {
            break;
        }
    }
    Ok(())
}

fn forget(at: &[u8], key: &[u8], counters: &mut Counters, rows: &mut dyn Rows) -> Result<(), RowsError> {
    let bytes = rows.get(Table::Changes, key)?.map_or(0, |row| row.len().saturating_sub(8));
    counters.log_bytes = counters.log_bytes.saturating_sub(bytes as u64);
    rows.remove(Table::Changes, key)?;
    rows.remove(Table::Applied, at)
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
