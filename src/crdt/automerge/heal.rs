//! Somebody has written as this start of ours, or says so: we go on under another actor, and put again what we hold under the
//! old one before we join anything, or it would count as removed (rule 16).
//!
//! META `put_again`: the old actor, with its length, and the last key looked at.
use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};

use super::formats::clock::{ACTOR_MAX, Actor, SUFFIX};
use super::formats::codec::Reader;
use super::formats::model::Key;
use super::merge::Merge;
use super::tables::entries;
use super::tables::view::Clock;
use super::writer::Author;
use crate::crdt::{Rows, RowsError, Table, Turn};

const PUT_AGAIN: &[u8] = b"put_again";

/// Keys looked at in one step.
const KEYS_MAX: usize = 4096;

/// The starts of this peer that its clock knows: one more that is not ours is written by a copy, or after a backup.
#[derive(Debug)]
pub struct Starts {
    own: BTreeSet<Actor>,
    known: usize,
    is_told: bool,
    are_many_told: bool,
}

/// Starts of all peers that an operator hears of: 5 MB of clock.
const MANY: usize = 100_000;

impl Starts {
    /// What the clock knows when this start begins.
    pub fn of(actor: &Actor, clock: &Clock) -> Self {
        let own = BTreeSet::from([actor.clone()]);
        let known = others(&own, actor, clock);
        Self { own, known, is_told: false, are_many_told: false }
    }

    /// Returns whether another start of this peer is met, once.
    pub fn meet_another(&mut self, actor: &Actor, clock: &Clock) -> bool {
        if self.is_told {
            return false;
        }
        if !self.own.contains(actor) {
            self.own.insert(actor.clone());
        }
        self.is_told = others(&self.own, actor, clock) > self.known;
        self.is_told
    }

    /// Returns how many starts of all peers there are, once, when they are too many.
    pub fn are_many(&mut self, clock: &Clock) -> Option<usize> {
        let is_news = clock.len() >= MANY && !self.are_many_told;
        self.are_many_told |= is_news;
        is_news.then(|| clock.len())
    }
}

/// Counts the starts of the peer of `actor` that are not ours.
fn others(own: &BTreeSet<Actor>, actor: &Actor, clock: &Clock) -> usize {
    let peer = actor.peer();
    let rows = clock.rows_from(Bound::Included(Actor::new(peer, [0; SUFFIX])));
    rows.take_while(|(other, _)| other.peer() == peer).filter(|(other, _)| !own.contains(*other)).count()
}

/// Begins: the author goes on under another actor at once.
///
/// # Errors
/// [`RowsError`].
pub fn begin(author: &mut Author, merge: &mut Merge, rows: &mut dyn Rows) -> Result<(), RowsError> {
    keep(&author.actor, &[], rows)?;
    author.leave_actor(merge);
    Ok(())
}

/// Returns whether something is still to be put again.
///
/// # Errors
/// [`RowsError`].
pub fn is_due(rows: &dyn Rows) -> Result<bool, RowsError> {
    Ok(rows.get(Table::Meta, PUT_AGAIN)?.is_some())
}

/// Works on; returns whether there is more to do.
///
/// # Errors
/// [`RowsError`].
pub fn step(author: &mut Author, merge: &mut Merge, rows: &mut dyn Rows, turn: &mut Turn) -> Result<bool, RowsError> {
    let Some(row) = rows.get(Table::Meta, PUT_AGAIN)? else { return Ok(false) };
    let (old, cursor) = parse(&row).ok_or(RowsError::Damaged { table: Table::Meta, what: "put_again" })?;
    let number = merge.state.numbers.find(&old);
    let (mut keys, mut last, mut seen, mut fault) = (Vec::new(), Vec::new(), 0, None);
    let start = [&cursor[..], &[0]].concat();
    rows.scan(Table::Pins, &start..b"", &mut |key, row| {
        seen += 1;
        last = key.to_vec();
        match entries::decode(row) {
            Ok(live) if live.iter().any(|entry| Some(entry.number) == number) => {
                keys.extend(std::str::from_utf8(key).ok().and_then(Key::parse));
            }
            Ok(_) => (),
            Err(error) => fault = Some(error),
        }
        if seen < KEYS_MAX && fault.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    fault.map_or(Ok(()), Err)?;
    author.put_again(keys, merge, rows, turn)?;
    let more = seen == KEYS_MAX;
    if more {
        keep(&old, &last, rows)?;
    } else {
        rows.remove(Table::Meta, PUT_AGAIN)?;
    }
    Ok(more)
}

fn keep(old: &Actor, cursor: &[u8], rows: &mut dyn Rows) -> Result<(), RowsError> {
    let mut row = Vec::new();
    old.write(&mut row);
    row.extend_from_slice(cursor);
    rows.put(Table::Meta, PUT_AGAIN, &row)
}

fn parse(row: &[u8]) -> Option<(Actor, Vec<u8>)> {
    let mut reader = Reader::new(row);
    let actor = Actor::from_bytes(reader.sized(ACTOR_MAX).ok()?)?;
    Some((actor, reader.rest().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crdt::automerge::formats::clock::Row;
    use crate::model::PeerId;

    #[test]
    fn too_many_starts_are_told_once() {
        let (peer, mut clock) = (PeerId::random(), Clock::default());
        let mut starts = Starts::of(&Actor::new(peer, [0; SUFFIX]), &clock);
        let row = Row { seq: 1, max_op: 1, tip: [1; 32], head: false };
        for n in 1..MANY as u64 {
            clock.set(&Actor::new(peer, n.to_be_bytes()), Some(row));
        }
        assert_eq!(starts.are_many(&clock), None);
        clock.set(&Actor::new(peer, [0xff; SUFFIX]), Some(row));
        assert_eq!(starts.are_many(&clock), Some(MANY));
        assert_eq!(starts.are_many(&clock), None);
    }
}
