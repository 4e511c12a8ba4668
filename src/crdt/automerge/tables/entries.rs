//! The live entries of each key in rows, and the indexes of the winners.
//!
//! A row of PINS: key text -> entries, greatest (counter, actor bytes) first, each counter (4 bytes, little endian), number
//! of the actor (LEB128), length of the record (LEB128), record. A key without a live entry has no row.
//! `BY_EXPIRY`: moment of the winner (8 bytes, big endian, sign flipped) ++ key text -> nothing.
//! TOMBSTONES: key text ++ 0 ++ counter (4 bytes, big endian) ++ actor bytes -> nothing.
use super::state::State;
use crate::crdt::automerge::formats::change::Dot;
use crate::crdt::automerge::formats::clock::Actor;
use crate::crdt::automerge::formats::codec::{Reader, put_sized, put_v};
use crate::crdt::automerge::formats::model::{self, Key};
use crate::crdt::{MAX_RECORD, ReadRows, Rows, RowsError, Table};
use crate::model::UnixMillis;

/// One live entry of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Lamport counter.
    pub counter: u32,
    /// Number of its actor.
    pub number: u32,
    /// The pin record.
    pub record: Vec<u8>,
}

/// Reads the entries of a row of PINS, winner first.
///
/// # Errors
/// [`RowsError::Damaged`].
pub fn decode(row: &[u8]) -> Result<Vec<Entry>, RowsError> {
    let damaged = RowsError::Damaged { table: Table::Pins, what: "entries" };
    let mut entries = Vec::with_capacity(1);
    let mut reader = Reader::new(row);
    while reader.left() > 0 {
        match entry(&mut reader) {
            Some(entry) => entries.push(entry),
            None => return Err(damaged),
        }
    }
    if entries.is_empty() { Err(damaged) } else { Ok(entries) }
}

/// Reads the winner of a row of PINS.
///
/// # Errors
/// [`RowsError::Damaged`].
pub fn winner(row: &[u8]) -> Result<Entry, RowsError> {
    entry(&mut Reader::new(row)).ok_or(RowsError::Damaged { table: Table::Pins, what: "winner" })
}

/// Returns the winner's record where it lies in a row of PINS; [`None`] when the row is damaged.
pub fn winning_record(row: &[u8]) -> Option<&[u8]> {
    parts(&mut Reader::new(row)).map(|(.., record)| record)
}

fn entry(reader: &mut Reader<'_>) -> Option<Entry> {
    let (counter, number, record) = parts(reader)?;
    Some(Entry { counter, number, record: record.to_vec() })
}

fn parts<'a>(reader: &mut Reader<'a>) -> Option<(u32, u32, &'a [u8])> {
    let (counter, number) = (reader.u32().ok()?, reader.v32().ok()?);
    Some((counter, number, reader.sized(MAX_RECORD).ok()?))
}

/// The row of PINS of these entries.
fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.iter().map(|entry| entry.record.len() + 12).sum());
    for entry in entries {
        out.extend_from_slice(&entry.counter.to_le_bytes());
        put_v(&mut out, entry.number.into());
        put_sized(&mut out, &entry.record);
    }
    out
}

/// Reads the entries of `key`, winner first; none when it is not pinned.
///
/// # Errors
/// [`RowsError`].
pub fn load(key: &Key, rows: &(impl ReadRows + ?Sized)) -> Result<Vec<Entry>, RowsError> {
    rows.get(Table::Pins, key.as_bytes())?.map_or(Ok(Vec::new()), |row| decode(&row))
}

/// The id of `entry`.
///
/// # Errors
/// [`RowsError::Damaged`] when its actor is unknown.
pub fn dot(entry: &Entry, state: &State) -> Result<Dot, RowsError> {
    Ok(Dot { counter: entry.counter, actor: state.numbers.actor(entry.number)?.clone() })
}

/// What a key had before it was worked on.
#[derive(Debug, Default)]
pub struct Before {
    winner: Option<Entry>,
    /// Bytes of key and row.
    bytes: u64,
}

impl Before {
    /// The key had `entries`.
    pub fn of(key: &Key, entries: &[Entry]) -> Self {
        Self { winner: entries.first().cloned(), bytes: bytes(key, entries) }
    }

    /// Whether the key was pinned.
    pub const fn is_pinned(&self) -> bool {
        self.winner.is_some()
    }
}

fn bytes(key: &Key, entries: &[Entry]) -> u64 {
    let entry = |entry: &Entry| (4 + len_v(entry.number) + len_v_usize(entry.record.len()) + entry.record.len()) as u64;
    if entries.is_empty() { 0 } else { key.as_bytes().len() as u64 + entries.iter().map(entry).sum::<u64>() }
}

fn len_v(n: u32) -> usize {
    let bits = (u32::BITS - n.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

fn len_v_usize(n: usize) -> usize {
    len_v(u32::try_from(n).unwrap_or(u32::MAX))
}

/// Writes the entries of `key`, and when the winner moved its indexes, its news and the count.
///
/// # Errors
/// [`RowsError`].
pub fn store(
    key: &Key,
    before: &Before,
    entries: &[Entry],
    state: &mut State,
    rows: &mut dyn Rows,
) -> Result<(), RowsError> {
    if entries.is_empty() {
        rows.remove(Table::Pins, key.as_bytes())?;
    } else {
        rows.put(Table::Pins, key.as_bytes(), &encode(entries))?;
    }
    let counters = &mut state.counters;
    counters.row_bytes = (counters.row_bytes + bytes(key, entries)).saturating_sub(before.bytes);
    let (old, new) = (before.winner.as_ref(), entries.first());
    if old == new {
        return Ok(());
    }
    match (old, new) {
        (None, Some(_)) => counters.pins += 1,
        (Some(_), None) => counters.pins = counters.pins.saturating_sub(1),
        (None, None) | (Some(_), Some(_)) => (),
    }
    index(key, old, new, rows)?;
    state.tell(key);
    Ok(())
}

/// The place of an entry of `dot` among `entries`.
pub fn place(entries: &[Entry], dot: &Dot, state: &State) -> usize {
    let numbers = &state.numbers;
    let is_greater =
        |entry: &Entry| (entry.counter, numbers.actor(entry.number).ok()) > (dot.counter, Some(&dot.actor));
    entries.partition_point(is_greater)
}

/// Moves the index rows of `key` from one winner to the next.
fn index(key: &Key, before: Option<&Entry>, after: Option<&Entry>, rows: &mut dyn Rows) -> Result<(), RowsError> {
    let expiry = |entry: Option<&Entry>| entry.and_then(|entry| expiry(key, &entry.record));
    let (old, new) = (expiry(before), expiry(after));
    if old == new {
        return Ok(());
    }
    if let Some(old) = old {
        rows.remove(Table::ByExpiry, &index_key(old, key))?;
    }
    if let Some(new) = new {
        rows.put(Table::ByExpiry, &index_key(new, key), &[])?;
    }
    Ok(())
}

/// When the pin of a record expires; a record that is no pin is in no index.
fn expiry(key: &Key, record: &[u8]) -> Option<UnixMillis> {
    model::pin(key, record).ok()?.expire_at
}

/// The key of an index row: moments in their order, then keys in theirs.
pub fn index_key(moment: UnixMillis, key: &Key) -> Vec<u8> {
    [&moment_bytes(moment)[..], key.as_bytes()].concat()
}

/// A moment as bytes that sort as it does.
pub fn moment_bytes(moment: UnixMillis) -> [u8; 8] {
    (moment.0.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// Returns whether an entry is known to be removed though no clock says so.
///
/// # Errors
/// [`RowsError`].
pub fn is_buried(key: &Key, dot: &Dot, rows: &(impl ReadRows + ?Sized)) -> Result<bool, RowsError> {
    Ok(rows.get(Table::Tombstones, &tombstone_key(key, dot))?.is_some())
}

/// Reads the key of a tombstone.
pub fn parse_tombstone(row: &[u8]) -> Option<(Key, Dot)> {
    let end = row.iter().position(|byte| *byte == 0)?;
    let key = Key::parse(std::str::from_utf8(&row[..end]).ok()?)?;
    let (counter, actor) = row[end + 1..].split_first_chunk()?;
    Some((key, Dot { counter: u32::from_be_bytes(*counter), actor: Actor::from_bytes(actor)? }))
}

/// The key of a tombstone.
fn tombstone_key(key: &Key, dot: &Dot) -> Vec<u8> {
    [key.as_bytes(), &[0], &dot.counter.to_be_bytes(), dot.actor.as_bytes()].concat()
}

/// Remembers that an entry above a fork point is removed: the clock cannot say it. Returns whether that is new.
///
/// # Errors
/// [`RowsError`].
pub fn bury(key: &Key, dot: &Dot, state: &mut State, rows: &mut dyn Rows) -> Result<bool, RowsError> {
    let row = tombstone_key(key, dot);
    let is_new = rows.get(Table::Tombstones, &row)?.is_none();
    if is_new {
        rows.put(Table::Tombstones, &row, &[])?;
        state.digest.add_tombstone(key, dot);
    }
    Ok(is_new)
}
