//! Changes that count and wait for others, in memory: what does not fit is dropped, and sync brings it again (rule 17).
use std::collections::BTreeMap;

use super::view::Need;
use crate::crdt::automerge::formats::clock::Actor;
use crate::crdt::automerge::formats::envelope::Signed;
use crate::model::PeerId;

/// Changes that wait at most: a burst of some seconds that overtook its past.
pub const PENDING_MAX: usize = 4096;

/// Bytes of their envelopes at most: what a small machine can spare.
pub const PENDING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Changes of one author at most, so that one cannot fill it.
pub const PENDING_AUTHOR_MAX: usize = 256;

/// The key of a change: author and seq.
pub type Id = (Actor, u32);

/// The id of `change`.
pub fn id(change: &Signed) -> Id {
    (change.header.actor.clone(), change.header.seq)
}

struct Waiting {
    change: Signed,
    lacks: Need,
}

/// The changes that wait, each for news of one actor.
pub struct Pending {
    items: BTreeMap<Id, Waiting>,
    by_lack: BTreeMap<Actor, BTreeMap<Id, Need>>,
    authors: BTreeMap<PeerId, usize>,
    bytes: usize,
    max: usize,
}

impl Pending {
    /// Holds at most `max` changes.
    pub fn new(max: usize) -> Self {
        Self { items: BTreeMap::new(), by_lack: BTreeMap::new(), authors: BTreeMap::new(), bytes: 0, max }
    }

    /// Number of changes that wait.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns the change of `id`.
    pub fn get(&self, id: &Id) -> Option<&Signed> {
        self.items.get(id).map(|waiting| &waiting.change)
    }

    /// Keeps `change` until there is what it `lacks`; returns whether there was room.
    pub fn insert(&mut self, change: Signed, lacks: Need) -> bool {
        let id = id(&change);
        self.remove(&id);
        let author = self.authors.get(&id.0.peer()).copied().unwrap_or(0);
        let bytes = self.bytes + change.weight();
        if self.items.len() >= self.max || author >= PENDING_AUTHOR_MAX || bytes > PENDING_BYTES_MAX {
            return false;
        }
        self.bytes = bytes;
        *self.authors.entry(id.0.peer()).or_default() += 1;
        self.by_lack.entry(lacks.actor.clone()).or_default().insert(id.clone(), lacks.clone());
        self.items.insert(id, Waiting { change, lacks });
        true
    }

    /// Takes the change of `id` out.
    pub fn remove(&mut self, id: &Id) -> Option<Signed> {
        let Waiting { change, lacks } = self.items.remove(id)?;
        self.bytes -= change.weight();
        let peer = id.0.peer();
        if let Some(count) = self.authors.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.authors.remove(&peer);
            }
        }
        if let Some(ids) = self.by_lack.get_mut(&lacks.actor) {
            ids.remove(id);
            if ids.is_empty() {
                self.by_lack.remove(&lacks.actor);
            }
        }
        Some(change)
    }

    /// Drops the changes of `actor` from `seq` on.
    pub fn drop_from(&mut self, actor: &Actor, seq: u32) {
        let range = (actor.clone(), seq)..=(actor.clone(), u32::MAX);
        let ids: Vec<Id> = self.items.range(range).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.remove(&id);
        }
    }

    /// The changes that lack something of `actor` which `is_there`, by author and seq.
    pub fn waiting_for(&self, actor: &Actor, is_there: impl Fn(&Need) -> bool) -> Vec<Id> {
        let waiting = self.by_lack.get(actor).into_iter().flatten();
        waiting.filter(|(_, lacks)| is_there(lacks)).map(|(id, _)| id.clone()).collect()
    }

    /// The changes that lack something `that` says, by author and seq.
    pub fn ids(&self, that: impl Fn(&Need) -> bool) -> Vec<Id> {
        self.items.iter().filter(|(_, waiting)| that(&waiting.lacks)).map(|(id, _)| id.clone()).collect()
    }
}
