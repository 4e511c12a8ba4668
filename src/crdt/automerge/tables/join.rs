//! Joins two states key by key, in steps: what one side lacks and has seen was removed, what it has not seen is new (rule 11).
//!
//! The digest begins again at a join and grows with each key that is joined, so that a join mends a damaged one.
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use super::entries::{self, Before, Entry};
use super::joining::{Joining, Marker, content, covers};
use super::log;
use super::state::State;
use super::view::{Clock, View};
use crate::crdt::automerge::formats::change::Dot;
use crate::crdt::automerge::formats::clock::{Actor, Hash, Row};
use crate::crdt::automerge::formats::digest::Digest;
use crate::crdt::automerge::formats::envelope::Header;
use crate::crdt::automerge::formats::model::Key;
use crate::crdt::automerge::formats::snapshot::frame::{Content, Entry as Theirs};
use crate::crdt::automerge::formats::snapshot::manifest::Core;
use crate::crdt::{Rows, RowsError, Table};

/// Keys that one step joins at most: some 20 ms of work in one transaction, and an fsync.
pub const KEYS_MAX: usize = 8192;

/// Actors whose log one step looks at, and rows of JOINED that it removes.
const REST_MAX: usize = 1_000;

/// Above every key: all keys are joined, and what is written from now on is not joined again.
const END: &[u8] = &[0xff];

/// A snapshot that is whole and believed.
pub struct Believed {
    /// Where it is.
    pub generation: u64,
    /// What it is.
    pub core: Core,
    /// Hash of its digest.
    pub digest_hash: Hash,
    /// Signed headers of its clock's rows, as far as there are any.
    pub tips: BTreeMap<Actor, Header>,
    /// Proofs of the forks in its clock.
    pub proofs: Vec<[Header; 2]>,
    /// Whether our own entries count for nothing: they are damaged.
    pub is_repair: bool,
}

/// Begins a join: in this transaction the clock becomes the joined one, and the keys follow by [`step`].
///
/// # Errors
/// [`RowsError`].
pub fn begin(believed: Believed, state: &mut State, rows: &mut dyn Rows) -> Result<(), RowsError> {
    let Believed { generation, core, tips, is_repair, digest_hash, proofs: _ } = believed;
    let mut theirs = Clock::default();
    core.groups.iter().for_each(|group| theirs.extend(group));
    for (actor, fork) in core.forks() {
        state.learn_fork(&actor, fork);
    }
    let mut before = if is_repair { Clock::default() } else { state.clock.clone() };
    for (actor, fork) in state.clock.forks() {
        theirs.learn_fork(actor, *fork);
        before.learn_fork(actor, *fork);
    }
    bury_theirs(generation, &core, state, rows)?;
    bury_ours(state, rows)?;
    state.counters.pins = 0;
    state.join_clock(&theirs, &tips);
    let joining = Joining::new(Marker { generation, is_repair, digest_hash }, core, theirs, before);
    joining.mark(rows)?;
    joining.keep_cursor(rows)?;
    state.joining = Some(joining);
    Ok(())
}

/// Tombstones of both sides remove, before any key is joined.
fn bury_theirs(generation: u64, core: &Core, state: &mut State, rows: &mut dyn Rows) -> Result<(), RowsError> {
    let actors = core.actors();
    for place in core.entry_frames().len()..core.frames.len() {
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        let Content::Tombstones(list) = content(generation, place, actors.len(), rows)? else { continue };
        for (key, counter, number) in list {
            let dot = Dot { counter, actor: actors[number as usize].clone() };
            entries::bury(&key, &dot, state, rows)?;
            let mut live = entries::load(&key, rows)?;
            let before = Before::of(&key, &live);
            let ours = state.numbers.find(&dot.actor);
            if let Some(at) = live.iter().position(|entry| entry.counter == counter && Some(entry.number) == ours) {
                live.remove(at);
                entries::store(&key, &before, &live, state, rows)?;
            }
        }
    }
    Ok(())
}

/// The digest of the tombstones of both sides.
fn bury_ours(state: &mut State, rows: &dyn Rows) -> Result<(), RowsError> {
    state.digest = Digest::default();
    let mut is_sound = true;
    rows.scan(Table::Tombstones, b""..b"", &mut |row, _| {
        match entries::parse_tombstone(row) {
            Some((key, dot)) => state.digest.add_tombstone(&key, &dot),
            None => is_sound = false,
        }
        ControlFlow::Continue(())
    })?;
    if is_sound { Ok(()) } else { Err(RowsError::Damaged { table: Table::Tombstones, what: "key" }) }
}

/// Joins `key`, unless it is joined already: nobody works on a key whose other half is still to come.
///
/// # Errors
/// [`RowsError`].
pub fn touch(key: &Key, state: &mut State, rows: &mut dyn Rows) -> Result<(), RowsError> {
    let Some(mut joining) = state.joining.take() else { return Ok(()) };
    let done = touch_in(&mut joining, key, state, rows);
    state.joining = Some(joining);
    done
}

fn touch_in(joining: &mut Joining, key: &Key, state: &mut State, rows: &mut dyn Rows) -> Result<(), RowsError> {
    let is_joined = key.as_bytes() <= joining.cursor.as_slice() || rows.get(Table::Joined, key.as_bytes())?.is_some();
    if is_joined {
        return Ok(());
    }
    let (ours, theirs) = (entries::load(key, rows)?, joining.entries(key, rows)?);
    join_key(key, &ours, &theirs, joining, state, rows)?;
    rows.put(Table::Joined, key.as_bytes(), &[])
}

/// Works on; returns the join when it is at its end. The caller says what follows from it.
///
/// # Errors
/// [`RowsError`].
pub fn step(keys: usize, state: &mut State, rows: &mut dyn Rows) -> Result<Option<Joining>, RowsError> {
    let Some(mut joining) = state.joining.take() else { return Ok(None) };
    let is_fresh = joining.before.rows().next().is_none() && !joining.is_repair;
    let more = if joining.cursor == END {
        rest_step(&mut joining, state, rows)
    } else if is_fresh {
        // Everything is news: it is told once, at the end.
        state.quietly(|state| key_step(keys, &mut joining, state, rows))
    } else {
        key_step(keys, &mut joining, state, rows)
    };
    state.changed();
    if more? {
        joining.keep_cursor(rows)?;
        state.joining = Some(joining);
        return Ok(None);
    }
    Joining::unmark(rows)?;
    if is_fresh || joining.is_repair {
        state.tell_all();
    }
    Ok(Some(joining))
}

/// Our keys after the cursor, and whether there are more.
type Ours = (Vec<(Key, Vec<Entry>)>, bool);

fn ours_after(cursor: &[u8], most: usize, rows: &dyn Rows) -> Result<Ours, RowsError> {
    let start = [cursor, &[0]].concat();
    let (mut ours, mut fault) = (Vec::new(), None);
    rows.scan(Table::Pins, &start..b"", &mut |key, row| {
        let parsed = std::str::from_utf8(key).ok().and_then(Key::parse);
        match (parsed, entries::decode(row)) {
            (Some(key), Ok(entries)) => ours.push((key, entries)),
            (None, _) => fault = Some(RowsError::Damaged { table: Table::Pins, what: "key" }),
            (_, Err(error)) => fault = Some(error),
        }
        if ours.len() < most && fault.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let is_full = ours.len() == most;
    fault.map_or(Ok((ours, is_full)), Err)
}

fn key_step(keys: usize, joining: &mut Joining, state: &mut State, rows: &mut dyn Rows) -> Result<bool, RowsError> {
    let (ours, is_full) = ours_after(&joining.cursor, keys, rows)?;
    let mut ours = ours.into_iter().peekable();
    let mut theirs = Ahead { place: joining.place(&joining.cursor), after: joining.cursor.clone() };
    for _ in 0..keys {
        let next = theirs.next(joining, rows)?;
        if ours.peek().is_none() && is_full {
            return Ok(true);
        }
        let is_ours = match (ours.peek(), &next) {
            (None, None) => {
                joining.cursor = END.to_vec();
                return Ok(true);
            }
            (Some((mine, _)), Some((other, _))) => mine <= other,
            (Some(_), None) => true,
            (None, Some(_)) => false,
        };
        let mine = if is_ours { ours.next() } else { None };
        let other = next.filter(|(other, _)| mine.as_ref().is_none_or(|(mine, _)| mine == other));
        let key = mine.as_ref().map(|(key, _)| key).or(other.as_ref().map(|(key, _)| key));
        let key = key.expect("one of the two sides has a key").clone();
        let mine = mine.map(|(_, entries)| entries).unwrap_or_default();
        let other = other.map(|(_, entries)| entries).unwrap_or_default();
        if rows.get(Table::Joined, key.as_bytes())?.is_some() {
            rows.remove(Table::Joined, key.as_bytes())?;
        } else {
            join_key(&key, &mine, &other, joining, state, rows)?;
        }
        theirs.after = key.as_bytes().to_vec();
        joining.cursor = key.as_bytes().to_vec();
    }
    Ok(true)
}

/// Where reading the snapshot stands.
struct Ahead {
    place: usize,
    after: Vec<u8>,
}

impl Ahead {
    /// The first key after the last one that was worked on.
    fn next(&mut self, joining: &mut Joining, rows: &dyn Rows) -> Result<Option<(Key, Vec<Theirs>)>, RowsError> {
        while self.place < joining.core.entry_frames().len() {
            let keys = joining.frame(self.place, rows)?;
            let at = keys.partition_point(|(key, _)| key.as_bytes() <= self.after.as_slice());
            if let Some(found) = keys.get(at) {
                return Ok(Some(found.clone()));
            }
            self.place += 1;
        }
        Ok(None)
    }
}

/// The lattice: per entry unseen < live < removed, and the clocks say which.
fn join_key(
    key: &Key,
    ours: &[Entry],
    theirs: &[Theirs],
    joining: &Joining,
    state: &mut State,
    rows: &mut dyn Rows,
) -> Result<(), RowsError> {
    let actor = |entry: &Theirs| &joining.actors[entry.number as usize];
    let mut joined: Vec<(Dot, Entry)> = Vec::with_capacity(1);
    for mut entry in ours.iter().cloned() {
        let dot = entries::dot(&entry, state)?;
        match theirs.iter().find(|their| their.counter == dot.counter && *actor(their) == dot.actor) {
            Some(their) if their.record > entry.record => entry.record.clone_from(&their.record),
            None if covers(&joining.theirs, &dot) => continue,
            Some(_) | None => (),
        }
        joined.push((dot, entry));
    }
    for their in theirs {
        let dot = Dot { counter: their.counter, actor: actor(their).clone() };
        let is_new = !covers(&joining.before, &dot) && joined.iter().all(|(known, _)| *known != dot);
        if is_new && !(state.clock.above_fork(&dot) && entries::is_buried(key, &dot, rows)?) {
            let number = state.number(&dot.actor, rows)?;
            joined.push((dot, Entry { counter: their.counter, number, record: their.record.clone() }));
        }
    }
    joined.sort_by(|a, b| b.0.cmp(&a.0));
    for (dot, entry) in &joined {
        state.digest.add_entry(key, dot, &entry.record);
    }
    let before = Before::of(key, ours);
    let joined: Vec<Entry> = joined.into_iter().map(|(_, entry)| entry).collect();
    // The count began again, and a key counts from here on.
    state.counters.pins += u64::from(before.is_pinned());
    if joined == ours { Ok(()) } else { entries::store(key, &before, &joined, state, rows) }
}

/// The log of rows that the join raised is no run that ends at the tip; and marks of keys that are gone stay over.
fn rest_step(joining: &mut Joining, state: &mut State, rows: &mut dyn Rows) -> Result<bool, RowsError> {
    let raised = |actor: &Actor, theirs: &Row| {
        let ours = joining.before.row(actor).copied().unwrap_or_default();
        (ours.seq, ours.tip) < (theirs.seq, theirs.tip)
    };
    let start = joining.log_next.clone().map_or(Bound::Unbounded, Bound::Included);
    for (looked_at, (actor, row)) in joining.theirs.rows_from(start).enumerate() {
        if looked_at == REST_MAX {
            joining.log_next = Some(actor.clone());
            return Ok(true);
        }
        let number = state.numbers.find(actor).filter(|_| raised(actor, row));
        if let Some(number) = number
            && log::drop_run(number, row.seq, &mut state.counters, rows)?
        {
            joining.log_next = Some(actor.clone());
            return Ok(true);
        }
    }
    let mut marks = Vec::new();
    rows.scan(Table::Joined, b""..b"", &mut |key, _| {
        marks.push(key.to_vec());
        if marks.len() < REST_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    marks.iter().try_for_each(|key| rows.remove(Table::Joined, key))?;
    Ok(marks.len() == REST_MAX)
}
