//! A join of our state with a snapshot, as far as it is memory: two clocks, a cursor, and the frames looked at last.
//!
//! META `join`: generation of the snapshot (8 bytes, little endian), flags, its digest's hash, and our clock from before as groups. META
//! `join_cursor`: the last key that is joined. JOINED: keys above the cursor that are joined already.
use std::collections::VecDeque;
use std::sync::Arc;

use super::shelf;
use super::view::{Clock, View};
use crate::crdt::automerge::formats::change::Dot;
use crate::crdt::automerge::formats::clock::{Actor, Group, Hash, Row};
use crate::crdt::automerge::formats::codec::{Reader, put_v};
use crate::crdt::automerge::formats::model::Key;
use crate::crdt::automerge::formats::snapshot::frame::{self, Content, Entry};
use crate::crdt::automerge::formats::snapshot::manifest::{Core, Manifest};
use crate::crdt::{ReadRows, Rows, RowsError, Table};

const JOIN: &[u8] = b"join";
const CURSOR: &[u8] = b"join_cursor";

/// Unpacked frames that are kept: keys that are written meanwhile lie anywhere.
const CACHE_MAX: usize = 16;

/// The entries of a frame, in key order.
type Keys = Arc<Vec<(Key, Vec<Entry>)>>;

/// What a join is about.
#[derive(Clone, Copy, Debug)]
pub struct Marker {
    /// Where the snapshot is.
    pub generation: u64,
    /// Whether our entries counted for nothing: what was damaged is made anew.
    pub is_repair: bool,
    /// Hash of the snapshot's digest.
    pub digest_hash: Hash,
}

/// A join that is under way: for the clock it has happened, and the keys follow.
pub struct Joining {
    /// Where the snapshot is.
    pub generation: u64,
    /// What the snapshot is.
    pub core: Core,
    /// Hash of the snapshot's digest.
    pub digest_hash: Hash,
    /// The snapshot's clock, with the fork points of both sides.
    pub theirs: Clock,
    /// Our clock before, likewise.
    pub before: Clock,
    /// The actors of the frames, by their numbers there.
    pub actors: Vec<Actor>,
    /// The last key that is joined; none when empty.
    pub cursor: Vec<u8>,
    /// The actor whose log is looked at next, when all keys are joined.
    pub log_next: Option<Actor>,
    /// Whether our entries counted for nothing: what was damaged is made anew.
    pub is_repair: bool,
    cache: VecDeque<(usize, Keys)>,
}

impl Joining {
    /// A join that begins.
    pub fn new(marker: Marker, core: Core, theirs: Clock, before: Clock) -> Self {
        let Marker { generation, is_repair, digest_hash } = marker;
        let (actors, cursor, cache) = (core.actors(), Vec::new(), VecDeque::new());
        Self { generation, core, digest_hash, theirs, before, actors, cursor, log_next: None, is_repair, cache }
    }

    /// Reads back a join that a crash or a stop interrupted.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn load(ours: &Clock, rows: &(impl ReadRows + ?Sized)) -> Result<Option<Self>, RowsError> {
        let Some(marker) = rows.get(Table::Meta, JOIN)? else { return Ok(None) };
        let damaged = RowsError::Damaged { table: Table::Meta, what: "join" };
        let Some((marker, groups)) = parse(&marker) else { return Err(damaged) };
        let Some(Manifest { core, .. }) = shelf::manifest(marker.generation, rows)? else { return Err(damaged) };
        let (mut theirs, mut before) = (Clock::default(), Clock::default());
        core.groups.iter().for_each(|group| theirs.extend(group));
        for group in &groups {
            before.extend(group);
        }
        for (actor, fork) in ours.forks() {
            theirs.learn_fork(actor, *fork);
            before.learn_fork(actor, *fork);
        }
        let mut joining = Self::new(marker, core, theirs, before);
        joining.cursor = rows.get(Table::Meta, CURSOR)?.unwrap_or_default();
        Ok(Some(joining))
    }

    /// Whether the snapshot has seen all that we had seen: then it and the log since are all that we have.
    pub fn is_forward(&self) -> bool {
        let is_behind = |(actor, ours): (&Actor, &Row)| {
            self.theirs.row(actor).is_some_and(|theirs| (ours.seq, ours.tip) <= (theirs.seq, theirs.tip))
        };
        !self.is_repair && self.before.rows().all(is_behind)
    }

    /// Sets the marker: from here the join has happened.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn mark(&self, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let mut marker = self.generation.to_le_bytes().to_vec();
        marker.push(u8::from(self.is_repair));
        marker.extend_from_slice(&self.digest_hash);
        let groups = self.before.all_groups();
        put_v(&mut marker, groups.len() as u64);
        for group in &groups {
            group.write(&mut marker);
        }
        rows.put(Table::Meta, JOIN, &marker)
    }

    /// Keeps the cursor.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn keep_cursor(&self, rows: &mut dyn Rows) -> Result<(), RowsError> {
        rows.put(Table::Meta, CURSOR, &self.cursor)
    }

    /// Removes the marker: the join is at its end.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn unmark(rows: &mut dyn Rows) -> Result<(), RowsError> {
        rows.remove(Table::Meta, JOIN)?;
        rows.remove(Table::Meta, CURSOR)
    }

    /// Returns whether a join is under way.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn is_marked(rows: &(impl ReadRows + ?Sized)) -> Result<bool, RowsError> {
        Ok(rows.get(Table::Meta, JOIN)?.is_some())
    }

    /// The entries of the frame at `place`, counted among the frames of entries.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn frame(&mut self, place: usize, rows: &(impl ReadRows + ?Sized)) -> Result<Keys, RowsError> {
        if let Some((_, keys)) = self.cache.iter().find(|(known, _)| *known == place) {
            return Ok(keys.clone());
        }
        let number = u32::try_from(place).unwrap_or(u32::MAX);
        let keys = match content(self.generation, number, self.actors.len(), rows)? {
            Content::Entries(keys) => Arc::new(keys),
            Content::Tombstones(_) => return Err(damaged()),
        };
        if self.cache.len() >= CACHE_MAX {
            self.cache.pop_front();
        }
        self.cache.push_back((place, keys.clone()));
        Ok(keys)
    }

    /// The place of the frame that has `key`, if any has; the first one after it otherwise.
    pub fn place(&self, key: &[u8]) -> usize {
        self.core.entry_frames().partition_point(|frame| frame.first.as_slice() <= key).saturating_sub(1)
    }

    /// The entries of `key` in the snapshot.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn entries(&mut self, key: &Key, rows: &(impl ReadRows + ?Sized)) -> Result<Vec<Entry>, RowsError> {
        if self.core.entry_frames().is_empty() {
            return Ok(Vec::new());
        }
        let keys = self.frame(self.place(key.as_bytes()), rows)?;
        let found = keys.binary_search_by(|(known, _)| known.cmp(key)).ok();
        Ok(found.map(|at| keys[at].1.clone()).unwrap_or_default())
    }
}

/// A frame of a snapshot that is whole and believed.
///
/// # Errors
/// [`RowsError`].
pub fn content(
    generation: u64,
    place: u32,
    actors: usize,
    rows: &(impl ReadRows + ?Sized),
) -> Result<Content, RowsError> {
    let packed = shelf::frame(generation, place, rows)?.ok_or_else(damaged)?;
    let content = frame::unpack(&packed).and_then(|plain| Content::decode(&plain, actors));
    content.map_err(|_| damaged())
}

/// Whether a clock says of `dot` that it was seen.
pub fn covers(clock: &Clock, dot: &Dot) -> bool {
    clock.row(&dot.actor).is_some_and(|row| dot.counter <= row.max_op) && !clock.above_fork(dot)
}

const fn damaged() -> RowsError {
    RowsError::Damaged { table: Table::Snapshots, what: "frame" }
}

fn parse(marker: &[u8]) -> Option<(Marker, Vec<Group>)> {
    let mut reader = Reader::new(marker);
    let (generation, flag, digest_hash) = (reader.u64().ok()?, reader.u8().ok()?, reader.array().ok()?);
    let count = reader.v32().ok()?;
    let groups = (0..count).map(|_| Group::read(&mut reader).ok()).collect::<Option<Vec<_>>>()?;
    reader.end().ok()?;
    Some((Marker { generation, is_repair: flag == 1, digest_hash }, groups))
}
