//! Recomputes what the tables derive, in one pass over each and with flat memory: what an operator asks of a store.
use std::fmt;
use std::ops::ControlFlow;

use crate::crdt::automerge::formats::change::Dot;
use crate::crdt::automerge::formats::clock::{Actor, Hash, NO_HASH};
use crate::crdt::automerge::formats::codec::Reader;
use crate::crdt::automerge::formats::digest::Digest;
use crate::crdt::automerge::formats::envelope::Header;
use crate::crdt::automerge::formats::model::{self, Key};
use crate::crdt::automerge::reader::epoch;
use crate::crdt::automerge::tables::joining::Joining;
use crate::crdt::automerge::tables::state::{Counters, Numbers, load_clock};
use crate::crdt::automerge::tables::view::{Clock, View};
use crate::crdt::automerge::tables::{entries, log};
use crate::crdt::{ReadRows, RowsError, Table};

/// Faults that are kept: a store with more of them is not more damaged for anybody.
const FAULTS_MAX: usize = 20;

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// The epoch that the store belongs to.
    pub epoch: u32,
    /// Keys with a live entry.
    pub pins: u64,
    /// Live entries: more than one where writers met.
    pub entries: u64,
    /// Changes in the log.
    pub changes: u64,
    /// Hash of the digest, recomputed.
    pub digest: Hash,
    /// What is wrong, at most twenty of it; none in a sound store.
    pub faults: Vec<Fault>,
    /// How many more faults there are.
    pub more: u64,
}

/// Something that is wrong with a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    what: String,
    remedy: Remedy,
}

/// What to do about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// What the cluster agreed on is not all there.
    Rejoin,
    /// Only what is derived from the pins is wrong.
    Rebuild,
    /// Nothing is known to be wrong.
    OtherProgram,
    /// The daemon was stopped in the middle of a join.
    Finish,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remedy = match self.remedy {
            Remedy::Rejoin => {
                "start the daemon with a trusted peer in reach: it repairs itself by joining that peer's snapshot; \
                 a peer alone goes on from an export, with `state import`"
            }
            Remedy::Rebuild => "the pins are whole: `state export` and `state import` make everything else anew",
            Remedy::OtherProgram => "verify it with the program that wrote it",
            Remedy::Finish => "start the daemon, which goes on with it, and verify when it is done",
        };
        write!(f, "{}: {remedy}", self.what)
    }
}

/// Recomputes digest, counters and index from the pins, and holds pins, tombstones, log and tips against the clock.
///
/// Memory holds the clock and one row of everything else. `progress` is told how many pins are read, and how many there
/// are to be.
///
/// # Errors
/// [`RowsError::Storage`]; what does not decode is a fault.
pub fn verify(rows: &dyn ReadRows, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, RowsError> {
    let mut verified = Verified::default();
    if !check_format(&mut verified, rows)? {
        return Ok(verified);
    }
    if Joining::is_marked(rows)? {
        verified.fault(Remedy::Finish, "a snapshot is half joined, so that nothing can be recomputed yet".into());
        return Ok(verified);
    }
    let loaded = load_clock(rows).and_then(|clock| Ok((clock, Numbers::load(rows)?, Counters::read(rows)?)));
    let (clock, numbers, counters) = match loaded {
        Ok(loaded) => loaded,
        Err(error @ RowsError::Damaged { .. }) => {
            verified.fault(Remedy::Rejoin, error.to_string());
            return Ok(verified);
        }
        Err(error @ RowsError::Storage(_)) => return Err(error),
    };
    let mut pass = Pass { rows, clock, numbers, verified, digest: Digest::default(), expiring: 0 };
    pass.each(Table::Pins, |pass, key, row| {
        let checked = pass.pin(key, row);
        progress(pass.verified.pins, counters.pins);
        checked
    })?;
    pass.each(Table::Tombstones, |pass, row, _| pass.tombstone(row))?;
    pass.totals(&counters)?;
    pass.log()?;
    pass.each(Table::Tips, Pass::tip)?;
    Ok(pass.verified)
}

impl Verified {
    fn fault(&mut self, remedy: Remedy, what: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { what, remedy });
        } else {
            self.more += 1;
        }
    }
}

/// Returns whether the rows are ours to read.
fn check_format(verified: &mut Verified, rows: &dyn ReadRows) -> Result<bool, RowsError> {
    let (format, engine) = (rows.get(Table::Meta, b"format")?, rows.get(Table::Meta, b"engine")?);
    match (format.as_deref(), engine.as_deref()) {
        // A store that nobody has written to yet.
        (None, None) => return Ok(true),
        (Some([1]), Some(b"automerge")) => (),
        (format, engine) => {
            let engine = String::from_utf8_lossy(engine.unwrap_or_default()).into_owned();
            verified.fault(Remedy::OtherProgram, format!("the store has format {format:?} of the engine {engine:?}"));
            return Ok(false);
        }
    }
    match epoch(rows) {
        Ok(Some(epoch)) => verified.epoch = epoch,
        Ok(None) | Err(RowsError::Damaged { .. }) => {
            verified.fault(Remedy::Rejoin, "the store's epoch is not there".into());
        }
        Err(error @ RowsError::Storage(_)) => return Err(error),
    }
    Ok(true)
}

/// What is known on the way through the tables.
struct Pass<'a> {
    rows: &'a dyn ReadRows,
    clock: Clock,
    numbers: Numbers,
    verified: Verified,
    digest: Digest,
    /// Pins that expire.
    expiring: u64,
}

impl Pass<'_> {
    fn expect(&mut self, is_sound: bool, remedy: Remedy, what: impl FnOnce() -> String) {
        if !is_sound {
            self.verified.fault(remedy, what());
        }
    }

    /// Calls `check` with each row of `table`; a row that does not decode is a fault like another.
    fn each(
        &mut self,
        table: Table,
        mut check: impl FnMut(&mut Self, &[u8], &[u8]) -> Result<(), RowsError>,
    ) -> Result<(), RowsError> {
        let mut result = Ok(());
        self.rows.scan(table, b""..b"", &mut |key, value| {
            match check(self, key, value) {
                Ok(()) => (),
                Err(error @ RowsError::Damaged { .. }) => {
                    let key = String::from_utf8_lossy(key).into_owned();
                    self.verified.fault(Remedy::Rejoin, format!("{error}, at {key:?}"));
                }
                Err(error @ RowsError::Storage(_)) => result = Err(error),
            }
            if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        result
    }

    fn pin(&mut self, key: &[u8], row: &[u8]) -> Result<(), RowsError> {
        self.verified.pins += 1;
        let damaged = RowsError::Damaged { table: Table::Pins, what: "key" };
        let key = std::str::from_utf8(key).ok().and_then(Key::parse).ok_or(damaged)?;
        let entries = entries::decode(row)?;
        let mut last: Option<Dot> = None;
        for entry in &entries {
            self.verified.entries += 1;
            let dot = Dot { counter: entry.counter, actor: self.numbers.actor(entry.number)?.clone() };
            let is_covered = self.clock.row(&dot.actor).is_some_and(|row| dot.counter <= row.max_op);
            let is_live = is_covered || self.clock.above_fork(&dot);
            self.expect(is_live, Remedy::Rejoin, || format!("{key:?} has {dot:?}, which the clock has not seen"));
            let is_next = last.as_ref().is_none_or(|last| *last > dot);
            self.expect(is_next, Remedy::Rejoin, || format!("{key:?} has its entries out of order"));
            self.digest.add_entry(&key, &dot, &entry.record);
            last = Some(dot);
        }
        let winner = entries.first().and_then(|winner| model::pin(&key, &winner.record).ok());
        if let Some(moment) = winner.and_then(|pin| pin.expire_at) {
            self.expiring += 1;
            let is_there = self.rows.get(Table::ByExpiry, &entries::index_key(moment, &key))?.is_some();
            self.expect(is_there, Remedy::Rebuild, || format!("{key:?} expires, and the index does not know it"));
        }
        Ok(())
    }

    fn tombstone(&mut self, row: &[u8]) -> Result<(), RowsError> {
        let damaged = RowsError::Damaged { table: Table::Tombstones, what: "key" };
        let (key, dot) = entries::parse_tombstone(row).ok_or(damaged)?;
        self.digest.add_tombstone(&key, &dot);
        let is_above = self.clock.above_fork(&dot);
        self.expect(is_above, Remedy::Rejoin, || {
            format!("{key:?} has a tombstone of {dot:?}, whose actor has not forked")
        });
        let number = self.numbers.find(&dot.actor);
        let entries = entries::load(&key, self.rows)?;
        let is_live = entries.iter().any(|entry| entry.counter == dot.counter && Some(entry.number) == number);
        self.expect(!is_live, Remedy::Rejoin, || format!("{key:?} has {dot:?}, which is removed"));
        Ok(())
    }

    /// What stands in one row and follows from all.
    fn totals(&mut self, counters: &Counters) -> Result<(), RowsError> {
        self.verified.digest = self.digest.hash();
        let stored = self.rows.get(Table::Meta, b"digest")?.unwrap_or_else(|| Digest::default().encode());
        let is_same = stored == self.digest.encode();
        self.expect(is_same, Remedy::Rejoin, || {
            "the digest is not that of the entries: some were lost, or are others".into()
        });
        let (counted, pins) = (counters.pins, self.verified.pins);
        self.expect(counted == pins, Remedy::Rejoin, || format!("{counted} pins are counted, and {pins} are there"));
        let (mut indexed, expiring) = (0, self.expiring);
        self.each(Table::ByExpiry, |_, _, _| {
            indexed += 1;
            Ok(())
        })?;
        let what = || format!("the index has {indexed} pins that expire, and {expiring} do");
        self.expect(indexed == expiring, Remedy::Rebuild, what);
        Ok(())
    }

    /// The log of each actor is a run that ends at its tip, each change above the one before, in the order of application.
    fn log(&mut self) -> Result<(), RowsError> {
        let mut run: Option<Run> = None;
        self.each(Table::Changes, |pass, key, value| {
            pass.verified.changes += 1;
            let (number, seq) = log::parse(key)?;
            let actor = pass.numbers.actor(number)?.clone();
            let (applied, header) = logged(value)?;
            let is_own = header.actor == actor && header.seq == seq;
            pass.expect(is_own, Remedy::Rejoin, || format!("the log has another change as {actor:?} {seq}"));
            let order = pass.rows.get(Table::Applied, &applied.to_be_bytes())?;
            let is_known = order.as_deref() == Some(key);
            pass.expect(is_known, Remedy::Rejoin, || format!("the log's order does not have {actor:?} {seq}"));
            // What is left of a refused branch goes with the oldest log; nobody is sent it.
            if pass.clock.fork(&actor).is_some_and(|fork| seq >= fork.s) {
                return Ok(());
            }
            match run.take() {
                Some(last) if last.actor == actor => {
                    let is_next = last.seq.checked_add(1) == Some(seq) && header.prev_hash == last.hash;
                    pass.expect(is_next, Remedy::Rejoin, || format!("the log of {actor:?} breaks before {seq}"));
                }
                Some(last) => pass.ended(&last),
                None => (),
            }
            run = Some(Run { actor, seq, hash: header.change_hash });
            Ok(())
        })?;
        if let Some(last) = run {
            self.ended(&last);
        }
        let (mut ordered, changes) = (0, self.verified.changes);
        self.each(Table::Applied, |_, _, _| {
            ordered += 1;
            Ok(())
        })?;
        let what = || format!("the log's order has {ordered} changes, and the log {changes}");
        self.expect(ordered == changes, Remedy::Rejoin, what);
        Ok(())
    }

    fn ended(&mut self, run: &Run) {
        let row = self.clock.row(&run.actor);
        let is_tip = row.is_some_and(|row| row.seq == run.seq && (row.tip == run.hash || row.tip == NO_HASH));
        self.expect(is_tip, Remedy::Rejoin, || format!("the log of {:?} does not end where the clock does", run.actor));
    }

    fn tip(&mut self, actor: &[u8], header: &[u8]) -> Result<(), RowsError> {
        let damaged = |what| RowsError::Damaged { table: Table::Tips, what };
        let actor = Actor::from_bytes(actor).ok_or(damaged("actor"))?;
        let header = Header::decode(header).map_err(|_| damaged("header"))?;
        let row = self.clock.row(&actor).copied().unwrap_or_default();
        let is_tip =
            header.actor == actor && (header.seq, header.max_op, header.change_hash) == (row.seq, row.max_op, row.tip);
        let is_forked = self.clock.fork(&actor).is_some();
        self.expect(is_tip || is_forked, Remedy::Rejoin, || format!("the header of {actor:?} is not that of its tip"));
        Ok(())
    }
}

/// The end of one actor's log so far.
struct Run {
    actor: Actor,
    seq: u32,
    hash: Hash,
}

/// A row of the log: the number of its application, and the header. Its ops are checked where they are read.
fn logged(value: &[u8]) -> Result<(u64, Header), RowsError> {
    let damaged = |_| RowsError::Damaged { table: Table::Changes, what: "row" };
    let mut reader = Reader::new(value);
    Ok((reader.u64().map_err(damaged)?, Header::read(&mut reader).map_err(damaged)?))
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
