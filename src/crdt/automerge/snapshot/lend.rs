//! The lending side of snapshots: the newest one, in the pieces that are asked for.
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;

use crate::crdt::automerge::formats::clock::Hash;
use crate::crdt::automerge::formats::snapshot::lend::{Ask, Lent, Piece, WINDOW};
use crate::crdt::automerge::tables::joining::Joining;
use crate::crdt::automerge::tables::shelf::{self, Shelf};
use crate::crdt::automerge::tables::state::Counters;
use crate::crdt::{ReadRows, Refused, RowsError, Session};

/// Snapshots that are lent at a time: more would all be slow.
const LENDS_MAX: usize = 2;

/// When an asker that found no place may come again, in milliseconds.
const FULL_WAIT: u32 = 5_000;

/// And one that waits for a copy to be made.
const FRESH_WAIT: u32 = 2_000;

/// What the sessions of one peer share.
#[derive(Clone, Debug, Default)]
pub struct Lends {
    running: Arc<AtomicUsize>,
    /// Number of the last application plus one when somebody asked for a fresh one; 0 is nobody.
    wished: Arc<AtomicU64>,
}

impl Lends {
    /// Nobody is lent to yet.
    pub fn new(wished: Arc<AtomicU64>) -> Self {
        Self { running: Arc::default(), wished }
    }
}

/// A place among those that are lent to.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(running: &Arc<AtomicUsize>) -> Option<Self> {
        let more = |count: usize| (count < LENDS_MAX).then_some(count + 1);
        running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Self(running.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One stream on which we lend.
pub struct Lending {
    epoch: u32,
    lends: Lends,
    place: Option<Place>,
    asks: VecDeque<Ask>,
    out: VecDeque<Bytes>,
}

impl Lending {
    /// A session of the peer of `lends`.
    pub const fn new(epoch: u32, lends: Lends) -> Self {
        Self { epoch, lends, place: None, asks: VecDeque::new(), out: VecDeque::new() }
    }

    fn say(&mut self, lent: &Lent) {
        self.out.push_back(lent.encode().into());
    }

    fn later(&mut self, millis: u32) {
        self.say(&Lent::Later { millis });
    }

    fn manifest(&mut self, fresh: bool, rows: &dyn ReadRows) -> Result<(), RowsError> {
        // While the keys of a join follow, no state is that of our clock.
        if Joining::is_marked(rows)? {
            self.later(FULL_WAIT);
            return Ok(());
        }
        let there = Shelf::read(rows)?;
        let applied = there.served().map(|served| served.applied);
        if fresh && !self.is_fresh(applied, rows)? {
            self.later(FRESH_WAIT);
            return Ok(());
        }
        let manifest = there.served().map(|served| shelf::manifest_bytes(served.generation, rows)).transpose()?;
        let Some(bytes) = manifest.flatten() else {
            self.say(&Lent::Nothing);
            return Ok(());
        };
        if self.place.is_none() {
            self.place = Place::take(&self.lends.running);
        }
        if self.place.is_none() {
            self.later(FULL_WAIT);
            return Ok(());
        }
        pieces(&bytes).for_each(|piece| self.say(&Lent::Manifest(piece)));
        Ok(())
    }

    /// Returns whether the snapshot holds what was applied when somebody first asked; if not, one is wished for.
    fn is_fresh(&self, served: Option<u64>, rows: &dyn ReadRows) -> Result<bool, RowsError> {
        let wished = &self.lends.wished;
        let wanted = match wished.load(Ordering::Relaxed) {
            0 => Counters::read(rows)?.applied + 1,
            wanted => wanted,
        };
        let is_fresh = served.is_some_and(|applied| applied + 1 >= wanted);
        wished.store(if is_fresh { 0 } else { wanted }, Ordering::Relaxed);
        Ok(is_fresh)
    }

    /// Says the next frame that was asked for.
    fn frame(&mut self, id: &Hash, place: u32, rows: &dyn ReadRows) -> Result<(), RowsError> {
        let there = Shelf::read(rows)?;
        let generation = there.served().filter(|served| served.id == *id && self.place.is_some());
        let packed = generation.map(|served| shelf::frame(served.generation, place, rows)).transpose()?;
        if let Some(packed) = packed.flatten() {
            pieces(&packed).for_each(|piece| self.say(&Lent::Frame { place, piece }));
        } else {
            self.asks.clear();
            self.say(&Lent::Nothing);
        }
        Ok(())
    }
}

fn pieces(whole: &[u8]) -> impl Iterator<Item = Piece> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let piece = Piece::of(whole, next?);
        next = (!piece.is_last()).then(|| piece.offset as usize + piece.bytes.len());
        Some(piece)
    })
}

impl Session for Lending {
    fn receive(&mut self, frame: &[u8]) -> Result<(), Refused> {
        let ask = Ask::decode(frame)?;
        if let Ask::Manifest { epoch, .. } = &ask
            && *epoch != self.epoch
        {
            return Err(Refused::Foreign("a snapshot of another epoch"));
        }
        match ask {
            Ask::Frames { id, places } => {
                let waiting = self.asks.len() + places.len();
                if waiting > 2 * WINDOW {
                    return Err(Refused::Malformed("too many frames are asked for"));
                }
                self.asks.extend(places.into_iter().map(|place| Ask::Frames { id, places: vec![place] }));
            }
            Ask::Manifest { .. } if self.asks.len() < WINDOW => self.asks.push_back(ask),
            Ask::Manifest { .. } => return Err(Refused::Malformed("too many manifests are asked for")),
        }
        Ok(())
    }

    fn next(&mut self, rows: &dyn ReadRows) -> Result<Option<Bytes>, RowsError> {
        loop {
            if let Some(bytes) = self.out.pop_front() {
                return Ok(Some(bytes));
            }
            match self.asks.pop_front() {
                Some(Ask::Manifest { fresh, .. }) => self.manifest(fresh, rows)?,
                Some(Ask::Frames { id, places }) => {
                    for place in places {
                        self.frame(&id, place, rows)?;
                    }
                }
                None => return Ok(None),
            }
        }
    }

    fn done(&self) -> bool {
        false
    }
}
