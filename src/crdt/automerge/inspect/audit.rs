//! Holds the tables against each other: what a doubtful store, and every test, is asked.
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use bytes::Bytes;

use crate::crdt::automerge::formats::change::Dot;
use crate::crdt::automerge::formats::clock::{Actor, Fork};
use crate::crdt::automerge::formats::digest::Digest;
use crate::crdt::automerge::formats::envelope::{self, Header, Signed};
use crate::crdt::automerge::formats::model::{self, Key};
use crate::crdt::automerge::tables::entries;
use crate::crdt::automerge::tables::log;
use crate::crdt::automerge::tables::state::{Counters, Numbers, load_clock};
use crate::crdt::automerge::tables::view::{Clock, View};
use crate::crdt::{ReadRows, RowsError, Table};

/// Live entries by key and id.
type Entries = BTreeMap<Key, BTreeMap<Dot, Vec<u8>>>;

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Pins that are live.
    pub pins: u64,
    /// Changes in the log.
    pub changes: u64,
    /// Whether the log has every change of the clock, so that the pinset could be held against it.
    pub is_whole: bool,
    /// Changes that it was held against and that are not applied here, but for those of authors with two histories.
    pub lacks: u64,
    /// What is wrong, each a sentence; none in a sound store.
    pub faults: Vec<String>,
}

/// Recomputes what the tables derive: digest, counters, indexes, and from a whole log the pinset itself.
///
/// It reads every row of pinset and log.
///
/// # Errors
/// [`RowsError`].
pub fn audit(rows: &dyn ReadRows) -> Result<Audit, RowsError> {
    let (clock, numbers) = (load_clock(rows)?, Numbers::load(rows)?);
    let entries = entries(&numbers, rows)?;
    let mut audit = Audit { pins: entries.len() as u64, ..Audit::default() };
    check_meta(&mut audit, &entries, rows)?;
    check_indexes(&mut audit, &entries, rows)?;
    for (key, dot) in dots(&entries) {
        let is_covered = clock.row(&dot.actor).is_some_and(|row| dot.counter <= row.max_op);
        audit.expect(is_covered || clock.above_fork(dot), || format!("{key:?} has {dot:?} above the clock"));
    }
    let model = check_log(&mut audit, &clock, &numbers, rows)?;
    if audit.is_whole && !clock.is_forked() {
        audit.expect(model == entries, || "the pinset is not what the log says".to_owned());
    }
    Ok(audit)
}

/// As [`audit`], and holds the pinset against `envelopes`: every change that was ever made, in whatever order.
///
/// Where an author signed two histories, what he wrote after they part is nobody's to say; all else is held to the rule.
///
/// # Errors
/// [`RowsError`].
pub fn audit_against(envelopes: &[Bytes], rows: &dyn ReadRows) -> Result<Audit, RowsError> {
    let (clock, numbers) = (load_clock(rows)?, Numbers::load(rows)?);
    let damaged = |_| RowsError::Damaged { table: Table::Changes, what: "envelope" };
    let changes = envelopes.iter().map(|envelope| envelope::reload(envelope.clone()).map_err(damaged));
    let changes: Vec<Signed> = changes.collect::<Result<_, _>>()?;
    let parted = parted(&changes);
    let is_sure = |change: &Signed| {
        let Header { actor, seq, .. } = &change.header;
        parted.get(actor).is_none_or(|fork| seq < &fork.s)
    };
    let (mut audit, mut sure, mut unsure) = (audit(rows)?, Model::default(), Model::default());
    for change in changes {
        let Header { actor, seq, .. } = &change.header;
        match (is_sure(&change), clock.row(actor).is_some_and(|row| *seq <= row.seq)) {
            (true, true) => sure.add_change(change),
            (true, false) => audit.lacks += 1,
            (false, _) => unsure.add_change(change),
        }
    }
    let is_unsure = |dot: &Dot| parted.get(&dot.actor).is_some_and(|fork| dot.counter > fork.m);
    let live = entries(&numbers, rows)?;
    let (mut back, mut lost) = (Vec::new(), Vec::new());
    let model = sure.live();
    for (key, dot) in dots(&live).filter(|(key, dot)| !is_unsure(dot) && !has(&model, key, dot)) {
        back.push(format!("{key:?} {dot:?}"));
    }
    for (key, dot) in dots(&model).filter(|(key, dot)| !has(&live, key, dot) && !unsure.may_remove(key, dot)) {
        lost.push(format!("{key:?} {dot:?}"));
    }
    audit.expect(back.is_empty(), || format!("not what all changes at or below the clock say, too much: {back:?}"));
    audit.expect(lost.is_empty(), || format!("not what all changes at or below the clock say, too little: {lost:?}"));
    Ok(audit)
}

/// The authors with two changes of one seq, and where their histories part.
fn parted(changes: &[Signed]) -> BTreeMap<Actor, Fork> {
    let (mut seen, mut parted) = (BTreeMap::new(), BTreeMap::<Actor, Fork>::new());
    for Signed { header, .. } in changes {
        let Header { actor, seq, change_hash, prev_max_op, .. } = header;
        if seen.insert((actor, *seq), change_hash).is_some_and(|other| other != change_hash) {
            let point = Fork { s: *seq, m: *prev_max_op };
            parted.entry(actor.clone()).and_modify(|fork| *fork = point.min(*fork)).or_insert(point);
        }
    }
    parted
}

fn dots(entries: &Entries) -> impl Iterator<Item = (&Key, &Dot)> {
    entries.iter().flat_map(|(key, live)| live.keys().map(move |dot| (key, dot)))
}

fn has(entries: &Entries, key: &Key, dot: &Dot) -> bool {
    entries.get(key).is_some_and(|live| live.contains_key(dot))
}

impl Audit {
    fn expect(&mut self, is_sound: bool, fault: impl FnOnce() -> String) {
        if !is_sound {
            self.faults.push(fault());
        }
    }
}

fn entries(numbers: &Numbers, rows: &dyn ReadRows) -> Result<Entries, RowsError> {
    let mut entries = Entries::new();
    let mut read = |key: &[u8], row: &[u8]| {
        let damaged = RowsError::Damaged { table: Table::Pins, what: "key" };
        let key = std::str::from_utf8(key).ok().and_then(Key::parse).ok_or(damaged)?;
        let live = entries::decode(row)?.into_iter().map(|entry| {
            let actor = numbers.actor(entry.number)?.clone();
            Ok((Dot { counter: entry.counter, actor }, entry.record))
        });
        entries.insert(key, live.collect::<Result<_, RowsError>>()?);
        Ok(())
    };
    each(Table::Pins, rows, &mut read)?;
    Ok(entries)
}

/// Calls `read` with each row of `table` until it fails.
fn each(
    table: Table,
    rows: &dyn ReadRows,
    read: &mut impl FnMut(&[u8], &[u8]) -> Result<(), RowsError>,
) -> Result<(), RowsError> {
    let mut result = Ok(());
    rows.scan(table, b""..b"", &mut |key, value| {
        result = read(key, value);
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    result
}

fn check_meta(audit: &mut Audit, entries: &Entries, rows: &dyn ReadRows) -> Result<(), RowsError> {
    let mut digest = Digest::default();
    for (key, live) in entries {
        for (dot, record) in live {
            digest.add_entry(key, dot, record);
        }
    }
    each(Table::Tombstones, rows, &mut |row, _| {
        let damaged = RowsError::Damaged { table: Table::Tombstones, what: "key" };
        let (key, dot) = entries::parse_tombstone(row).ok_or(damaged)?;
        digest.add_tombstone(&key, &dot);
        Ok(())
    })?;
    let stored = rows.get(Table::Meta, b"digest")?.unwrap_or_else(|| Digest::default().encode());
    audit.expect(stored == digest.encode(), || "the digest is not that of the entries".to_owned());
    let (live, counted) = (audit.pins, Counters::read(rows)?.pins);
    audit.expect(counted == live, || format!("{counted} pins are counted, {live} are live"));
    let (mut row_bytes, mut log_bytes) = (0, 0);
    each(Table::Pins, rows, &mut |key, row| {
        row_bytes += (key.len() + row.len()) as u64;
        Ok(())
    })?;
    each(Table::Changes, rows, &mut |_, row| {
        log_bytes += (row.len() - 8) as u64;
        Ok(())
    })?;
    let Counters { row_bytes: rows_counted, log_bytes: log_counted, .. } = Counters::read(rows)?;
    audit.expect(rows_counted == row_bytes, || {
        format!("{rows_counted} bytes of pins are counted, {row_bytes} are there")
    });
    audit.expect(log_counted == log_bytes, || format!("{log_counted} bytes of log are counted, {log_bytes} are there"));
    Ok(())
}

fn check_indexes(audit: &mut Audit, live: &Entries, rows: &dyn ReadRows) -> Result<(), RowsError> {
    let mut expiry = BTreeSet::new();
    for (key, live) in live {
        let pin = live.last_key_value().map(|(_, record)| model::pin(key, record));
        if let Some(Ok(pin)) = pin {
            expiry.extend(pin.expire_at.map(|moment| entries::index_key(moment, key)));
        }
    }
    let mut found = BTreeSet::new();
    each(Table::ByExpiry, rows, &mut |key, _| {
        found.insert(key.to_vec());
        Ok(())
    })?;
    audit.expect(found == expiry, || "BY_EXPIRY is not the index of the winners".to_owned());
    Ok(())
}

/// Checks that the log of each actor is a run that ends at its tip, and returns the pinset that the log says.
fn check_log(audit: &mut Audit, clock: &Clock, numbers: &Numbers, rows: &dyn ReadRows) -> Result<Entries, RowsError> {
    let mut runs: BTreeMap<Actor, (u32, u32, u32)> = BTreeMap::new();
    let mut model = Model::default();
    let mut seen = BTreeSet::new();
    each(Table::Changes, rows, &mut |key, _| {
        let (number, seq) = log::parse(key)?;
        // What is left of a refused branch goes with the oldest log; nobody is sent it.
        if clock.fork(numbers.actor(number)?).is_some_and(|fork| seq >= fork.s) {
            return Ok(());
        }
        let logged = log::read(number, seq, rows)?;
        let Some(change) = logged.map(|logged| logged.signed()).transpose()? else { return Ok(()) };
        let run = runs.entry(numbers.actor(number)?.clone()).or_insert((seq, seq, 0));
        (run.1, run.2) = (seq, run.2 + 1);
        audit.changes += 1;
        seen.extend(change.deps.iter().map(|dep| (dep.actor.clone(), dep.seq)));
        model.add_change(change);
        Ok(())
    })?;
    audit.is_whole = true;
    for (actor, row) in clock.rows() {
        let (first, last, count) = runs.remove(actor).unwrap_or((row.seq + 1, row.seq, 0));
        let is_run = last == row.seq && last + 1 - first == count;
        audit.expect(is_run, || format!("the log of {actor:?} is no run that ends at its tip"));
        audit.is_whole &= first == 1;
    }
    let is_head = |actor: &Actor, seq| !seen.contains(&(actor.clone(), seq));
    if audit.is_whole && !clock.is_forked() {
        let heads = clock.rows().all(|(actor, row)| row.head == is_head(actor, row.seq));
        audit.expect(heads, || "a head is not what nothing has seen".to_owned());
    }
    audit.expect(runs.is_empty(), || "the log has actors that the clock lacks".to_owned());
    Ok(model.live())
}

/// The pinset as a function of the set of changes: live is a put that no op of its key names and that no later put of its
/// author on that key follows.
#[derive(Default)]
struct Model {
    puts: BTreeMap<(Key, Dot), Vec<u8>>,
    named: BTreeSet<(Key, Dot)>,
    last: BTreeMap<(Key, Actor), u32>,
}

impl Model {
    fn add_change(&mut self, change: Signed) {
        for (counter, op) in (change.header.start_op..).zip(change.ops) {
            let dot = Dot { counter, actor: change.header.actor.clone() };
            self.add(dot, op.key, op.put, op.preds);
        }
    }

    fn add(&mut self, dot: Dot, key: Key, put: Option<Vec<u8>>, preds: Vec<Dot>) {
        self.named.extend(preds.into_iter().map(|pred| (key.clone(), pred)));
        if let Some(record) = put {
            let last = self.last.entry((key.clone(), dot.actor.clone())).or_default();
            *last = dot.counter.max(*last);
            self.puts.insert((key, dot), record);
        }
    }

    /// Whether one of these changes removes the entry where it is applied.
    fn may_remove(&self, key: &Key, dot: &Dot) -> bool {
        self.named.contains(&(key.clone(), dot.clone())) || self.last.contains_key(&(key.clone(), dot.actor.clone()))
    }

    fn live(self) -> Entries {
        let mut entries = Entries::new();
        for ((key, dot), record) in self.puts {
            let is_last = self.last.get(&(key.clone(), dot.actor.clone())) == Some(&dot.counter);
            if is_last && !self.named.contains(&(key.clone(), dot.clone())) {
                entries.entry(key).or_default().insert(dot, record);
            }
        }
        entries
    }
}
