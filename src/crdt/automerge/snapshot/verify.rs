//! Reads all frames of a snapshot once, in steps, while later ones still come: what they are together is held against what is
//! attested.
use crate::crdt::automerge::formats::change::Dot;
use crate::crdt::automerge::formats::clock::{Actor, Hash};
use crate::crdt::automerge::formats::digest::Digest;
use crate::crdt::automerge::formats::snapshot::frame::{self, Content};
use crate::crdt::automerge::formats::snapshot::manifest::Core;
use crate::crdt::automerge::tables::shelf;
use crate::crdt::{Rows, RowsError};

/// Frames read in one step: some 30 ms.
const FRAMES_MAX: usize = 8;

/// What a step found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is more to read, now or when more frames are here.
    NotYet,
    /// The hash of the digest of all entries and tombstones.
    Digest(Hash),
    /// The frames are not what the manifest says.
    Broken,
}

/// Where the reading stands.
pub struct Reading {
    generation: u64,
    actors: Vec<Actor>,
    next: usize,
    digest: Digest,
    pins: u64,
    tombstones: u64,
    last: Vec<u8>,
}

impl Reading {
    /// Begins to read the snapshot of `core`.
    pub fn of(core: &Core, generation: u64) -> Self {
        let (actors, digest, last) = (core.actors(), Digest::default(), Vec::new());
        Self { generation, actors, next: 0, digest, pins: 0, tombstones: 0, last }
    }

    /// The place of the frame that is read next; that of the first one after the last at the end.
    pub fn next(&self) -> u32 {
        u32::try_from(self.next).unwrap_or(u32::MAX)
    }

    /// Reads on, up to a frame that `is_here` denies.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn step(&mut self, core: &Core, is_here: impl Fn(u32) -> bool, rows: &dyn Rows) -> Result<Verdict, RowsError> {
        for _ in 0..FRAMES_MAX {
            let place = self.next();
            let Some(info) = core.frames.get(self.next) else {
                let is_whole = (self.pins, self.tombstones) == (core.pins, core.tombstones);
                return Ok(if is_whole { Verdict::Digest(self.digest.hash()) } else { Verdict::Broken });
            };
            if !is_here(place) {
                return Ok(Verdict::NotYet);
            }
            let Some(packed) = shelf::frame(self.generation, place, rows)? else { return Ok(Verdict::Broken) };
            let content = frame::unpack(&packed).and_then(|plain| Content::decode(&plain, self.actors.len()));
            match content {
                Ok(Content::Entries(keys)) if !info.first.is_empty() => {
                    let first = keys.first().map(|(key, _)| key.as_bytes().to_vec()).unwrap_or_default();
                    if first != info.first || first <= self.last {
                        return Ok(Verdict::Broken);
                    }
                    self.last = keys.last().map(|(key, _)| key.as_bytes().to_vec()).unwrap_or_default();
                    self.pins += keys.len() as u64;
                    for (key, entries) in &keys {
                        for entry in entries {
                            let actor = self.actors[entry.number as usize].clone();
                            self.digest.add_entry(key, &Dot { counter: entry.counter, actor }, &entry.record);
                        }
                    }
                }
                Ok(Content::Tombstones(list)) if info.first.is_empty() => {
                    self.tombstones += list.len() as u64;
                    for (key, counter, number) in list {
                        let actor = self.actors[number as usize].clone();
                        self.digest.add_tombstone(&key, &Dot { counter, actor });
                    }
                }
                Ok(Content::Entries(_) | Content::Tombstones(_)) | Err(_) => return Ok(Verdict::Broken),
            }
            self.next += 1;
        }
        Ok(Verdict::NotYet)
    }
}
