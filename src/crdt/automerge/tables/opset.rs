//! The live entries of each key in rows, and what one op does to them (rule 10).
//!
//! A row of PINS: key text -> entries, greatest (counter, actor bytes) first, each counter (4 bytes, little endian), number
//! of the actor (LEB128), length of the record (LEB128), record. A key without a live entry has no row.
//! `BY_CREATED` and `BY_EXPIRY`: moment of the winner (8 bytes, big endian, sign flipped) ++ key text -> nothing.
//! TOMBSTONES: key text ++ 0 ++ counter (4 bytes, big endian) ++ actor bytes -> nothing.
use super::state::State;
use super::view::View;
use crate::crdt::automerge::formats::change::{ChangeOp, Dot};
use crate::crdt::automerge::formats::clock::Actor;
use crate::crdt::automerge::formats::codec::{Reader, put_sized, put_v};
use crate::crdt::automerge::formats::envelope::Signed;
use crate::crdt::automerge::formats::model::{self, Key};
use crate::crdt::{MAX_RECORD, ReadRows, Rows, RowsError, Table};
use crate::model::{Pin, UnixMillis};

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

fn entry(reader: &mut Reader<'_>) -> Option<Entry> {
    let (counter, number) = (reader.u32().ok()?, reader.v32().ok()?);
    Some(Entry { counter, number, record: reader.sized(MAX_RECORD).ok()?.to_vec() })
}

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

/// Applies the ops of a change that is ready, before the clock takes it.
///
/// # Errors
/// [`RowsError`].
pub fn apply(change: &Signed, state: &mut State, rows: &mut dyn Rows) -> Result<(), RowsError> {
    let number = state.number(&change.header.actor, rows)?;
    for (counter, op) in (change.header.start_op..).zip(&change.ops) {
        let put = op.put.as_ref().map(|record| Entry { counter, number, record: record.clone() });
        Edit::of(&op.key, state, rows)?.run(op, put, &change.header.actor)?;
    }
    Ok(())
}

/// The work on one key.
struct Edit<'a> {
    key: &'a Key,
    state: &'a mut State,
    rows: &'a mut dyn Rows,
    entries: Vec<Entry>,
    before: Option<Entry>,
    changed: bool,
}

impl<'a> Edit<'a> {
    fn of(key: &'a Key, state: &'a mut State, rows: &'a mut dyn Rows) -> Result<Self, RowsError> {
        let entries = load(key, rows)?;
        let before = entries.first().cloned();
        Ok(Self { key, state, rows, entries, before, changed: false })
    }

    fn run(mut self, op: &ChangeOp, put: Option<Entry>, author: &Actor) -> Result<(), RowsError> {
        for pred in &op.preds {
            if let Some(number) = self.state.numbers.find(&pred.actor) {
                self.take(|entry| entry.counter == pred.counter && entry.number == number)?;
            }
            if self.state.clock.above_fork(pred) {
                self.bury(pred)?;
            }
        }
        if let Some(put) = put {
            self.take(|entry| entry.number == put.number)?;
            self.add(put, author);
        }
        if self.changed { self.store() } else { Ok(()) }
    }

    /// Removes the entries that `is_gone` says.
    fn take(&mut self, is_gone: impl Fn(&Entry) -> bool) -> Result<(), RowsError> {
        while let Some(at) = self.entries.iter().position(&is_gone) {
            let entry = self.entries.remove(at);
            let dot = dot(&entry, self.state)?;
            self.state.digest.remove_entry(self.key, &dot, &entry.record);
            self.changed = true;
        }
        Ok(())
    }

    fn add(&mut self, put: Entry, author: &Actor) {
        let dot = Dot { counter: put.counter, actor: author.clone() };
        self.state.digest.add_entry(self.key, &dot, &put.record);
        let numbers = &self.state.numbers;
        let is_greater =
            |entry: &Entry| (entry.counter, numbers.actor(entry.number).ok()) > (dot.counter, Some(&dot.actor));
        let at = self.entries.partition_point(is_greater);
        self.entries.insert(at, put);
        self.changed = true;
    }

    /// Remembers that an entry above a fork point is removed: the clock cannot say it.
    fn bury(&mut self, dot: &Dot) -> Result<(), RowsError> {
        let row = tombstone_key(self.key, dot);
        if self.rows.get(Table::Tombstones, &row)?.is_none() {
            self.rows.put(Table::Tombstones, &row, &[])?;
            self.state.digest.add_tombstone(self.key, dot);
        }
        Ok(())
    }

    /// Writes the row and, when the winner moved, its indexes.
    fn store(self) -> Result<(), RowsError> {
        let key = self.key.as_bytes();
        if self.entries.is_empty() {
            self.rows.remove(Table::Pins, key)?;
        } else {
            self.rows.put(Table::Pins, key, &encode(&self.entries))?;
        }
        let after = self.entries.first();
        if after == self.before.as_ref() {
            return Ok(());
        }
        match (&self.before, after) {
            (None, Some(_)) => self.state.counters.pins += 1,
            (Some(_), None) => self.state.counters.pins = self.state.counters.pins.saturating_sub(1),
            (None, None) | (Some(_), Some(_)) => (),
        }
        index(self.key, self.before.as_ref(), after, self.rows)?;
        self.state.news.insert(self.key.clone());
        Ok(())
    }
}

/// Moves the index rows of `key` from one winner to the next.
fn index(key: &Key, before: Option<&Entry>, after: Option<&Entry>, rows: &mut dyn Rows) -> Result<(), RowsError> {
    let moments = |entry: Option<&Entry>| entry.map_or((None, None), |entry| moments(key, &entry.record));
    let ((old_created, old_expiry), (created, expiry)) = (moments(before), moments(after));
    for (table, old, new) in [(Table::ByCreated, old_created, created), (Table::ByExpiry, old_expiry, expiry)] {
        if old == new {
            continue;
        }
        if let Some(old) = old {
            rows.remove(table, &index_key(old, key))?;
        }
        if let Some(new) = new {
            rows.put(table, &index_key(new, key), &[])?;
        }
    }
    Ok(())
}

/// When the pin of a record was made, and when it expires; a record that is no pin is in no index.
fn moments(key: &Key, record: &[u8]) -> (Option<UnixMillis>, Option<UnixMillis>) {
    match model::pin(key, record) {
        Ok(Pin { timestamp, expire_at, .. }) => (Some(timestamp.unwrap_or_default()), expire_at),
        Err(_) => (None, None),
    }
}

/// The key of an index row: moments in their order, then keys in theirs.
pub fn index_key(moment: UnixMillis, key: &Key) -> Vec<u8> {
    [&moment_bytes(moment)[..], key.as_bytes()].concat()
}

/// A moment as bytes that sort as it does.
pub fn moment_bytes(moment: UnixMillis) -> [u8; 8] {
    (moment.0.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// Reads the key of a tombstone.
pub fn parse_tombstone(row: &[u8]) -> Option<(Key, Dot)> {
    let end = row.iter().position(|byte| *byte == 0)?;
    let key = Key::parse(std::str::from_utf8(&row[..end]).ok()?)?;
    let (counter, actor) = row[end + 1..].split_first_chunk()?;
    Some((key, Dot { counter: u32::from_be_bytes(*counter), actor: Actor::from_bytes(actor)? }))
}

fn tombstone_key(key: &Key, dot: &Dot) -> Vec<u8> {
    [key.as_bytes(), &[0], &dot.counter.to_be_bytes(), dot.actor.as_bytes()].concat()
}
