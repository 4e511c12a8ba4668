//! Reads the pinset from rows, beside the writer.
use std::ops::ControlFlow;

use super::formats::model::{self, Key};
use super::tables::entries::{self, Entry};
use super::tables::state::{Counters, actor_of};
use crate::crdt::{OpId, Pinset, ReadRows, RowsError, Table};
use crate::model::{Cid, Pin, UnixMillis};

/// Bytes of an index key before the key of the pin.
const MOMENT: usize = 8;

/// The pinset of the Automerge engine.
///
/// A key whose winner is no pin record, which only a faulty author writes, reads as not pinned.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader;

/// Returns the number of pins, without counting them.
///
/// # Errors
/// [`RowsError`].
pub fn count(rows: &dyn ReadRows) -> Result<u64, RowsError> {
    Ok(Counters::read(rows)?.pins)
}

/// Returns the epoch that a store belongs to; [`None`] when nobody has written to it yet.
///
/// # Errors
/// [`RowsError`].
pub fn epoch(rows: &dyn ReadRows) -> Result<Option<u32>, RowsError> {
    let damaged = |_| RowsError::Damaged { table: Table::Meta, what: "epoch" };
    let bytes = rows.get(Table::Meta, b"epoch")?;
    bytes.map(|bytes| <[u8; 4]>::try_from(bytes).map(u32::from_le_bytes).map_err(damaged)).transpose()
}

impl Pinset for Reader {
    fn key(&self, cid: &Cid) -> Vec<u8> {
        Key::of(cid).as_bytes().to_vec()
    }

    fn get(&self, cid: &Cid, rows: &dyn ReadRows) -> Result<Option<(Pin, OpId)>, RowsError> {
        let key = Key::of(cid);
        let Some((pin, entry)) = winner(&key, rows)? else { return Ok(None) };
        let actor = actor_of(entry.number, rows)?.as_bytes().to_vec();
        Ok(Some((pin, OpId { counter: entry.counter, actor })))
    }

    fn page(
        &self,
        after: Option<&[u8]>,
        limit: usize,
        rows: &dyn ReadRows,
    ) -> Result<(Vec<Pin>, Option<Vec<u8>>), RowsError> {
        let start = after.map_or(Vec::new(), |after| [after, &[0]].concat());
        let (mut pins, mut last, mut seen, mut fault) = (Vec::new(), None, 0, None);
        rows.scan(Table::Pins, &start..b"", &mut |key, row| {
            if seen == limit {
                return ControlFlow::Break(());
            }
            seen += 1;
            last = Some(key.to_vec());
            match pin_of(key, row) {
                Ok(pin) => pins.extend(pin),
                Err(error) => fault = Some(error),
            }
            if fault.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let next = last.filter(|_| seen == limit);
        fault.map_or(Ok((pins, next)), Err)
    }

    fn expired(
        &self,
        before: UnixMillis,
        after: Option<&[u8]>,
        limit: usize,
        rows: &dyn ReadRows,
    ) -> Result<(Vec<Pin>, Option<Vec<u8>>), RowsError> {
        let (start, end) = (after.map_or(Vec::new(), |after| [after, &[0]].concat()), entries::moment_bytes(before));
        let (mut keys, mut seen, mut last) = (Vec::new(), 0, None);
        if *start < end[..] {
            rows.scan(Table::ByExpiry, &start..&end[..], &mut |key, _| {
                if seen == limit {
                    return ControlFlow::Break(());
                }
                seen += 1;
                last = Some(key.to_vec());
                keys.extend(key.get(MOMENT..).and_then(parse));
                ControlFlow::Continue(())
            })?;
        }
        let pins = keys.iter().map(|key| Ok(winner(key, rows)?.map(|(pin, _)| pin)));
        let pins = pins.filter_map(Result::transpose).collect::<Result<_, RowsError>>()?;
        Ok((pins, last.filter(|_| seen == limit)))
    }
}

fn parse(key: &[u8]) -> Option<Key> {
    std::str::from_utf8(key).ok().and_then(Key::parse)
}

fn winner(key: &Key, rows: &dyn ReadRows) -> Result<Option<(Pin, Entry)>, RowsError> {
    let Some(row) = rows.get(Table::Pins, key.as_bytes())? else { return Ok(None) };
    let entry = entries::winner(&row)?;
    Ok(model::pin(key, &entry.record).ok().map(|pin| (pin, entry)))
}

fn pin_of(key: &[u8], row: &[u8]) -> Result<Option<Pin>, RowsError> {
    let key = parse(key).ok_or(RowsError::Damaged { table: Table::Pins, what: "key" })?;
    Ok(model::pin(&key, &entries::winner(row)?.record).ok())
}
