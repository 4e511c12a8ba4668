//! Writes the document: the genesis, then changes of one author, each above the one before, that put every winner.
//!
//! The file is a row of plain change chunks, so that writing and reading need the memory of one of them;
//! `automerge::Automerge::load` takes it whole. Equal states give equal files, but for who wrote them.
use std::io::{self, Write};
use std::ops::ControlFlow;

use crate::crdt::automerge::formats::change::{self, Budget, ChangeOp, Draft};
use crate::crdt::automerge::formats::clock::{Actor, COUNTER_MAX, Hash, SUFFIX};
use crate::crdt::automerge::formats::model::genesis;
use crate::crdt::automerge::formats::model::{self, BUCKETS, Key};
use crate::crdt::automerge::tables::entries;
use crate::crdt::automerge::tables::state::Counters;
use crate::crdt::{ReadRows, RowsError, Table};
use crate::model::PeerId;

/// Writes the pinset of `rows` to `out` as `author`; returns the number of pins. `progress` is told how many are written,
/// and how many there are to be.
///
/// # Errors
/// [`RowsError`], inside when `out` takes no more.
pub fn write(
    rows: &dyn ReadRows,
    author: PeerId,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, RowsError> {
    let digest = blake3::hash(&rows.get(Table::Meta, b"digest")?.unwrap_or_default());
    let suffix: [u8; SUFFIX] = std::array::from_fn(|n| digest.as_bytes()[n]);
    let total = Counters::read(rows)?.pins;
    let mut file = Document::begin(Actor::new(author, suffix), out).map_err(storage)?;
    let mut failed = None;
    rows.scan(Table::Pins, b""..b"", &mut |key, row| {
        match file.row(key, row) {
            Ok(()) => progress(file.pins, total),
            Err(error) => failed = Some(error),
        }
        if failed.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    file.flush().map_err(storage)?;
    file.out.flush().map_err(storage)?;
    Ok(file.pins)
}

fn storage(error: io::Error) -> RowsError {
    RowsError::Storage(Box::new(error))
}

/// The document as far as it is written.
struct Document<'a> {
    out: &'a mut dyn Write,
    author: Actor,
    prev: Option<(Hash, u32)>,
    seq: u32,
    ops: Vec<ChangeOp>,
    budget: Budget,
    pins: u64,
}

impl<'a> Document<'a> {
    fn begin(author: Actor, out: &'a mut dyn Write) -> io::Result<Self> {
        out.write_all(&genesis::chunk())?;
        Ok(Self { out, author, prev: None, seq: 0, ops: Vec::new(), budget: Budget::default(), pins: 0 })
    }

    /// Adds a row of PINS.
    fn row(&mut self, key: &[u8], row: &[u8]) -> Result<(), RowsError> {
        let damaged = RowsError::Damaged { table: Table::Pins, what: "key" };
        let key = std::str::from_utf8(key).ok().and_then(Key::parse).ok_or(damaged)?;
        let record = entries::winner(row)?.record;
        // What only a faulty author writes reads as not pinned.
        if model::pin(&key, &record).is_err() {
            return Ok(());
        }
        self.put(key, record).map_err(storage)
    }

    fn put(&mut self, key: Key, record: Vec<u8>) -> io::Result<()> {
        let op = ChangeOp { key, put: Some(record), preds: Vec::new() };
        if !self.budget.take(&op) {
            self.flush()?;
            self.budget.take(&op);
        }
        self.ops.push(op);
        self.pins += 1;
        Ok(())
    }

    /// Writes the change that is being filled.
    fn flush(&mut self) -> io::Result<()> {
        if self.ops.is_empty() {
            return Ok(());
        }
        self.budget = Budget::default();
        self.seq += 1;
        let draft = Draft {
            actor: self.author.clone(),
            seq: self.seq,
            start_op: self.prev.map_or(BUCKETS, |(_, max_op)| max_op) + 1,
            prev: self.prev,
            deps: Vec::new(),
            ops: std::mem::take(&mut self.ops),
        };
        let last = u64::from(draft.start_op) + draft.ops.len() as u64 - 1;
        let max_op = u32::try_from(last).ok().filter(|last| *last < COUNTER_MAX);
        let max_op = max_op.ok_or_else(|| io::Error::other("a document has room for 2^31 pins"))?;
        let (chunk, hash) = change::encode(&draft);
        self.prev = Some((hash, max_op));
        self.out.write_all(&chunk)
    }
}
