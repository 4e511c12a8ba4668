//! Changes of untrusted authors that wait on disk for a trusted one above them (rule 14).
//!
//! STAGE: actor bytes ++ seq (4 bytes, big endian) -> envelope. What waits is indexed in memory, read back at opening.
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;

use crate::crdt::automerge::formats::clock::Actor;
use crate::crdt::automerge::formats::envelope::{self, Signed};
use crate::crdt::{ReadRows, Rows, RowsError, Table};
use crate::model::PeerId;

/// Changes that wait at most: hours of an untrusted peer's writing.
pub const STAGE_MAX: usize = 100_000;

/// Bytes of their envelopes at most: what strangers may cost the disk.
pub const STAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The part of either bound that one author may fill.
const AUTHOR_SHARE: usize = 4;

#[derive(Clone, Copy, Default)]
struct Load {
    changes: usize,
    bytes: usize,
}

impl Load {
    fn fits(self, bytes: usize, share: usize) -> bool {
        self.changes < STAGE_MAX / share && self.bytes + bytes <= STAGE_BYTES_MAX / share
    }

    fn add(&mut self, bytes: usize) {
        self.changes += 1;
        self.bytes += bytes;
    }

    fn sub(&mut self, bytes: usize) {
        self.changes -= 1;
        self.bytes -= bytes;
    }
}

/// The index of what waits.
#[derive(Default)]
pub struct Stage {
    weights: BTreeMap<Actor, BTreeMap<u32, usize>>,
    authors: BTreeMap<PeerId, Load>,
    all: Load,
}

impl Stage {
    /// Reads the index back.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn open(rows: &(impl ReadRows + ?Sized)) -> Result<Self, RowsError> {
        let mut stage = Self::default();
        let mut sound = true;
        rows.scan(Table::Stage, b""..b"", &mut |key, value| {
            let parsed = key.split_last_chunk().and_then(|(actor, seq)| Some((Actor::from_bytes(actor)?, seq)));
            match parsed {
                Some((actor, seq)) => stage.note(&actor, u32::from_be_bytes(*seq), value.len()),
                None => sound = false,
            }
            if sound { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if sound { Ok(stage) } else { Err(RowsError::Damaged { table: Table::Stage, what: "key" }) }
    }

    fn note(&mut self, actor: &Actor, seq: u32, weight: usize) {
        self.weights.entry(actor.clone()).or_default().insert(seq, weight);
        self.authors.entry(actor.peer()).or_default().add(weight);
        self.all.add(weight);
    }

    /// Number of changes that wait.
    pub fn len(&self) -> usize {
        self.all.changes
    }

    /// Returns whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// Returns whether the change waits.
    pub fn has(&self, actor: &Actor, seq: u32) -> bool {
        self.weights.get(actor).is_some_and(|seqs| seqs.contains_key(&seq))
    }

    /// The changes that wait, by author and seq.
    pub fn ids(&self) -> impl Iterator<Item = (Actor, u32)> {
        self.weights.iter().flat_map(|(actor, seqs)| seqs.keys().map(|seq| (actor.clone(), *seq)))
    }

    /// Keeps `change`; returns whether there was room.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn insert(&mut self, change: &Signed, rows: &mut dyn Rows) -> Result<bool, RowsError> {
        let (actor, seq, weight) = (&change.header.actor, change.header.seq, change.bytes.len());
        let author = self.authors.get(&actor.peer()).copied().unwrap_or_default();
        if !self.all.fits(weight, 1) || !author.fits(weight, AUTHOR_SHARE) {
            return Ok(false);
        }
        self.note(actor, seq, weight);
        rows.put(Table::Stage, &key(actor, seq), &change.bytes)?;
        Ok(true)
    }

    /// Reads a change that waits.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn get(&self, actor: &Actor, seq: u32, rows: &dyn Rows) -> Result<Option<Signed>, RowsError> {
        if !self.has(actor, seq) {
            return Ok(None);
        }
        let damaged = || RowsError::Damaged { table: Table::Stage, what: "envelope" };
        let bytes = rows.get(Table::Stage, &key(actor, seq))?.ok_or_else(damaged)?;
        envelope::reload(Bytes::from(bytes)).map(Some).map_err(|_| damaged())
    }

    /// Drops the changes of `actor` up to `seq`, which are applied.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn drop_through(&mut self, actor: &Actor, seq: u32, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let Some(mut gone) = self.weights.remove(actor) else { return Ok(()) };
        let rest = gone.split_off(&seq.saturating_add(1));
        self.drop_some(actor, gone, rest, rows)
    }

    /// Drops the changes of `actor` from `seq` on, which are refused.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn drop_from(&mut self, actor: &Actor, seq: u32, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let Some(mut rest) = self.weights.remove(actor) else { return Ok(()) };
        let gone = rest.split_off(&seq);
        self.drop_some(actor, gone, rest, rows)
    }

    fn drop_some(
        &mut self,
        actor: &Actor,
        gone: BTreeMap<u32, usize>,
        rest: BTreeMap<u32, usize>,
        rows: &mut dyn Rows,
    ) -> Result<(), RowsError> {
        if !rest.is_empty() {
            self.weights.insert(actor.clone(), rest);
        }
        let peer = actor.peer();
        let mut load = self.authors.remove(&peer).unwrap_or_default();
        for (seq, weight) in gone {
            rows.remove(Table::Stage, &key(actor, seq))?;
            self.all.sub(weight);
            load.sub(weight);
        }
        if load.changes > 0 {
            self.authors.insert(peer, load);
        }
        Ok(())
    }
}

fn key(actor: &Actor, seq: u32) -> Vec<u8> {
    [actor.as_bytes(), &seq.to_be_bytes()].concat()
}
