//! Copies a state into frames, from the rows of one commit, beside the writer thread; what it reads it also counts anew.
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::crdt::automerge::formats::change::Dot;
use crate::crdt::automerge::formats::clock::{Actor, Hash};
use crate::crdt::automerge::formats::digest::Digest;
use crate::crdt::automerge::formats::model::Key;
use crate::crdt::automerge::formats::snapshot::frame::{self, Entry, Filled, Filling};
use crate::crdt::automerge::formats::snapshot::manifest::FrameInfo;
use crate::crdt::automerge::tables::entries;
use crate::crdt::automerge::tables::state::Numbers;
use crate::crdt::{Part, ReadRows, RowsError, Survey, Table};

/// What a survey gives away.
#[derive(Debug)]
pub enum Found {
    /// The next frame.
    Frame {
        /// Which survey found it.
        generation: u64,
        /// What the manifest says of it.
        info: FrameInfo,
        /// Its packed bytes.
        packed: Vec<u8>,
    },
    /// The end.
    End {
        /// Which survey ended.
        generation: u64,
        /// Keys.
        pins: u64,
        /// Tombstones.
        tombstones: u64,
        /// Hash of the digest of what was read.
        digest_hash: Hash,
    },
}

/// A copy of the state at one commit.
pub struct Copying {
    /// Names it.
    pub generation: u64,
    /// The actors of the clock, by their numbers in the frames.
    pub actors: Vec<Actor>,
    /// Rows of a frame at most.
    pub frame_rows: usize,
}

/// The numbers of actors in the frames.
struct Renumbering {
    ours: Numbers,
    theirs: BTreeMap<Actor, u32>,
}

impl Survey for Copying {
    fn run(
        self: Box<Self>,
        rows: &dyn ReadRows,
        give: &mut dyn FnMut(Part) -> ControlFlow<()>,
    ) -> Result<(), RowsError> {
        let theirs = (0..).zip(&self.actors).map(|(number, actor)| (actor.clone(), number)).collect();
        let names = Renumbering { ours: Numbers::load(rows)?, theirs };
        let mut copy = Copy {
            generation: self.generation,
            give,
            filling: Filling::of(self.frame_rows),
            digest: Digest::default(),
        };
        let (pins, tombstones) = (copy.entries(&names, rows)?, copy.tombstones(&names, rows)?);
        if let (Some(pins), Some(tombstones)) = (pins, tombstones) {
            let (generation, digest_hash) = (self.generation, copy.digest.hash());
            let _ = give(part(Found::End { generation, pins, tombstones, digest_hash }, 0));
        }
        Ok(())
    }
}

struct Copy<'a> {
    generation: u64,
    give: &'a mut dyn FnMut(Part) -> ControlFlow<()>,
    filling: Filling,
    digest: Digest,
}

impl Copy<'_> {
    /// Copies the pins; returns how many, [`None`] when nobody wants more.
    fn entries(&mut self, names: &Renumbering, rows: &dyn ReadRows) -> Result<Option<u64>, RowsError> {
        let (mut pins, mut fault) = (0, None);
        let mut flow = ControlFlow::Continue(());
        rows.scan(Table::Pins, b""..b"", &mut |key, row| {
            match self.row(key, row, names) {
                Ok(next) => flow = next,
                Err(error) => fault = Some(error),
            }
            pins += 1;
            if fault.is_some() { ControlFlow::Break(()) } else { flow }
        })?;
        fault.map_or(Ok(()), Err)?;
        Ok(self.end_of_kind(flow, pins))
    }

    fn end_of_kind(&mut self, flow: ControlFlow<()>, rows: u64) -> Option<u64> {
        let flow = if flow.is_continue() { self.give() } else { flow };
        flow.is_continue().then_some(rows)
    }

    fn row(&mut self, key: &[u8], row: &[u8], names: &Renumbering) -> Result<ControlFlow<()>, RowsError> {
        let damaged = || RowsError::Damaged { table: Table::Pins, what: "key" };
        let parsed = std::str::from_utf8(key).ok().and_then(Key::parse).ok_or_else(damaged)?;
        let mut live = Vec::with_capacity(1);
        for entries::Entry { counter, number, record } in entries::decode(row)? {
            let actor = names.ours.actor(number)?.clone();
            let number = names.number(&actor)?;
            let dot = Dot { counter, actor };
            self.digest.add_entry(&parsed, &dot, &record);
            live.push(Entry { counter, number, record });
        }
        self.filling.entries(key, &live);
        Ok(if self.filling.is_full() { self.give() } else { ControlFlow::Continue(()) })
    }

    fn tombstones(&mut self, names: &Renumbering, rows: &dyn ReadRows) -> Result<Option<u64>, RowsError> {
        let (mut count, mut fault) = (0, None);
        let mut flow = ControlFlow::Continue(());
        rows.scan(Table::Tombstones, b""..b"", &mut |row, _| {
            let damaged = RowsError::Damaged { table: Table::Tombstones, what: "key" };
            let parsed = entries::parse_tombstone(row).ok_or(damaged);
            match parsed.and_then(|(key, dot)| Ok((names.number(&dot.actor)?, key, dot))) {
                Ok((number, key, dot)) => {
                    self.digest.add_tombstone(&key, &dot);
                    self.filling.tombstone(key.as_bytes(), dot.counter, number);
                    flow = if self.filling.is_full() { self.give() } else { flow };
                }
                Err(error) => fault = Some(error),
            }
            count += 1;
            if fault.is_some() { ControlFlow::Break(()) } else { flow }
        })?;
        fault.map_or(Ok(()), Err)?;
        Ok(self.end_of_kind(flow, count))
    }

    fn give(&mut self) -> ControlFlow<()> {
        let Some(Filled { plain, first }) = self.filling.take() else { return ControlFlow::Continue(()) };
        let packed = frame::pack(&plain);
        let info =
            FrameInfo { hash: frame::hash(&plain), plain: u32::try_from(plain.len()).unwrap_or(u32::MAX), first };
        let weight = packed.len();
        (self.give)(part(Found::Frame { generation: self.generation, info, packed }, weight))
    }
}

impl Renumbering {
    fn number(&self, actor: &Actor) -> Result<u32, RowsError> {
        let damaged = RowsError::Damaged { table: Table::Pins, what: "an entry of an actor that the clock lacks" };
        self.theirs.get(actor).copied().ok_or(damaged)
    }
}

fn part(found: Found, weight: usize) -> Part {
    Part { weight, body: Box::new(found) }
}
