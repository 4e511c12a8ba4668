//! Reads the pinset from rows, beside the writer.
use std::ops::ControlFlow;

use super::formats::model::{self, Key};
use super::tables::entries::{self, Entry};
use super::tables::state::{Counters, actor_of};
use crate::crdt::{OpId, Pinset, ReadRows, RowsError, Sieve, Span, Table, WHOLE};
use crate::model::{Cid, Pin, UnixMillis};
use crate::wire::glance::Glance;

/// Bytes of an index key before the key of the pin.
const MOMENT: usize = 8;

/// Where the keys are cut in parts: those of a digest, which are spread over their letters, in quarters of each kind.
const CUTS: [&str; 12] = ["pF", "pV", "pk", "q", "qF", "qV", "qk", "r", "rF", "rV", "rk", "x"];

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

    fn parts(&self) -> Vec<Span> {
        let cuts = || CUTS.iter().map(|cut| cut.as_bytes().to_vec());
        let (begins, ends) = (cuts(), cuts().chain([Vec::new()]));
        [Vec::new()].into_iter().chain(begins).zip(ends).map(|(after, until)| Span { after, until }).collect()
    }

    fn sift(
        &self,
        span: &Span,
        rows: usize,
        sieve: Sieve<'_>,
        tables: &dyn ReadRows,
    ) -> Result<(Vec<Pin>, Option<Span>), RowsError> {
        // No key is as short as a cut, so what is after one is from it on.
        let start = [&span.after[..], &[0]].concat();
        let (mut pins, mut left, mut next) = (Vec::new(), rows, None);
        let mut whole = Ok(());
        tables.scan(Table::Pins, &start..&span.until[..], &mut |key, row| {
            let is_passed = entries::winning_record(row).and_then(Glance::at).is_some_and(|pin| !sieve(&pin));
            if !is_passed {
                whole = pin_of(key, row).map(|pin| pins.extend(pin));
            }
            left = left.saturating_sub(if is_passed { 1 } else { WHOLE });
            if left > 0 && whole.is_ok() {
                return ControlFlow::Continue(());
            }
            next = Some(Span { after: key.to_vec(), ..span.clone() });
            ControlFlow::Break(())
        })?;
        whole.map(|()| (pins, next))
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
