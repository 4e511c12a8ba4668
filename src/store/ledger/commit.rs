//! What is written together.
use std::collections::{BTreeMap, BTreeSet};

use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use super::counts::Counts;
use super::news;
use super::row::{Row, damaged};
use super::tables::{COUNTS, DUE, EVENTS, META, Numbered, STATUS};
use crate::model::{Cid, Event};

/// Rows, events and the cursor that moves with them, in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The rows that are new; [`None`] removes.
    pub rows: BTreeMap<Cid, Option<Row>>,
    /// What the sweep [`Batch::generation`] found in the daemon, each with whether the root alone is held: rows that
    /// want more are not marked.
    pub found: BTreeSet<(Cid, bool)>,
    /// The commit of the pinset whose news are in here, with all before it.
    pub cursor: Option<u64>,
    /// The number of the sweep that runs.
    pub generation: Option<u32>,
    /// What happened.
    pub events: Vec<Event>,
}

impl Batch {
    /// Returns whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.found.is_empty()
            && self.events.is_empty()
            && self.cursor.is_none()
            && self.generation.is_none()
    }

    pub(super) fn write(&self, transaction: &WriteTransaction, events_max: u64) -> Result<(), redb::Error> {
        let mut status = transaction.open_table(STATUS)?;
        let mut due = transaction.open_table(DUE)?;
        let mut counts = Counts::read(&transaction.open_table(COUNTS)?)?;
        for (cid, row) in &self.rows {
            put(&mut status, &mut due, &mut counts, cid, row.as_ref())?;
        }
        if let Some(generation) = self.generation {
            for (cid, direct) in &self.found {
                mark(&mut status, cid, *direct, generation)?;
            }
        }
        counts.write(&mut transaction.open_table(COUNTS)?)?;
        let mut meta = transaction.open_table(META)?;
        if let Some(cursor) = self.cursor {
            meta.insert("cursor", cursor)?;
        }
        if let Some(generation) = self.generation {
            meta.insert("generation", u64::from(generation))?;
        }
        let events: Vec<Vec<u8>> = self.events.iter().map(news::encode_event).collect();
        append(transaction, EVENTS, &events, events_max)
    }
}

/// Appends rows to a ring and lets go of its oldest.
pub(super) fn append(tx: &WriteTransaction, ring: Numbered, rows: &[Vec<u8>], max: u64) -> Result<(), redb::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut table = tx.open_table(ring)?;
    let next = table.last()?.map_or(0, |(key, _)| key.value() + 1);
    for (number, row) in (next..).zip(rows) {
        table.insert(number, row.as_slice())?;
    }
    while table.len()? > max {
        table.pop_first()?;
    }
    Ok(())
}

type Rows<'t> = Table<'t, &'static [u8], &'static [u8]>;

fn put(
    status: &mut Rows<'_>,
    due: &mut Rows<'_>,
    counts: &mut Counts,
    cid: &Cid,
    new: Option<&Row>,
) -> Result<(), redb::Error> {
    let key = cid.to_bytes();
    let old = match new {
        Some(new) => status.insert(key.as_slice(), new.encode().as_slice())?,
        None => status.remove(key.as_slice())?,
    };
    let old = old.map(|old| Row::decode(old.value()).ok_or_else(damaged)).transpose()?;
    if let Some(old) = old {
        counts.less(old.status);
        if let Some(at) = old.due.key() {
            due.remove(due_key(at, &key).as_slice())?;
        }
    }
    if let Some(new) = new {
        counts.more(new.status);
        if let Some(at) = new.due.key() {
            due.insert(due_key(at, &key).as_slice(), [].as_slice())?;
        }
    }
    Ok(())
}

fn mark(status: &mut Rows<'_>, cid: &Cid, direct: bool, generation: u32) -> Result<(), redb::Error> {
    let key = cid.to_bytes();
    let row = status.get(key.as_slice())?.map(|row| Row::decode(row.value()).ok_or_else(damaged)).transpose()?;
    if let Some(mut row) = row.filter(|row| row.direct || !direct) {
        row.generation = generation;
        status.insert(key.as_slice(), row.encode().as_slice())?;
    }
    Ok(())
}

pub(super) fn due_key(at: u64, cid: &[u8]) -> Vec<u8> {
    [&at.to_be_bytes(), cid].concat()
}
