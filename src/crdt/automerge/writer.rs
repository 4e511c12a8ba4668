//! Local writes: many wishes of a turn become few changes of our own (rules 1 to 4).
use std::collections::BTreeSet;

use bytes::Bytes;
use libp2p::identity::Keypair;

use super::admit::{Ready, ready};
use super::formats::change::{self, Budget, ChangeOp, Draft, PREDS_MAX};
use super::formats::clock::{Actor, Dep, SUFFIX};
use super::formats::envelope::{self, DEPS_MAX, Signed};
use super::formats::model::{self, BUCKETS, Key};
use super::merge::Merge;
use super::tables::entries::{self, Entry};
use super::tables::join;
use super::tables::view::View;
use crate::crdt::{MAX_RECORD, Op, OpId, Rows, RowsError, Seen, Sending, Table, Ticket, Turn, WriteError};
use crate::model::{Pin, UnixMillis};

/// Heads that a change names: with the greatest row and the author's last change they are 64.
const HEADS_MAX: usize = DEPS_MAX - 1;

/// Who writes here.
pub struct Author {
    /// The peer's key.
    pub keypair: Keypair,
    /// This start of the peer.
    pub actor: Actor,
    /// The epoch.
    pub epoch: u32,
    /// The cluster's name.
    pub cluster_name: String,
    /// The first counter that this peer does not write any more: the end of the epoch.
    pub counter_end: u32,
    /// The wall clock at this turn: two images of one process see it at different times.
    pub wall: UnixMillis,
}

impl Author {
    /// Writes what the tickets wish, in order; the answers and the changes to publish go into `turn`.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn write(
        &mut self,
        wishes: Vec<(Ticket, Op, Seen)>,
        merge: &mut Merge,
        rows: &mut dyn Rows,
        turn: &mut Turn,
    ) -> Result<(), RowsError> {
        if wishes.is_empty() {
            return Ok(());
        }
        self.leave_forked_actor(merge, rows)?;
        let mut batch = Batch { author: self, merge, rows, turn, open: Open::default() };
        wishes.into_iter().try_for_each(|(ticket, op, seen)| batch.wish(ticket, op, &seen))?;
        batch.close().map(|_| ())
    }

    /// An author that sees its own fork goes on under another actor: whatever it adds to this one is refused elsewhere.
    fn leave_forked_actor(&mut self, merge: &mut Merge, rows: &dyn Rows) -> Result<(), RowsError> {
        while merge.state.clock.fork(&self.actor).is_some() || rows.get(Table::Forked, self.actor.as_bytes())?.is_some()
        {
            self.leave_actor(merge);
        }
        Ok(())
    }

    /// Goes on under another actor. Two images of one process part by what they hold and by the time, or they would meet
    /// again under the next one.
    pub fn leave_actor(&mut self, merge: &mut Merge) {
        let wall = self.wall.0.to_le_bytes();
        let hash = blake3::hash(&[&self.actor.suffix()[..], &merge.state.clock_hash(), &wall].concat());
        let suffix: &[u8; SUFFIX] = hash.as_bytes().first_chunk().expect("a hash is longer than a suffix");
        self.actor = Actor::new(self.actor.peer(), *suffix);
    }

    /// Puts the winners of these keys once more, under the actor of now.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn put_again(
        &mut self,
        keys: Vec<Key>,
        merge: &mut Merge,
        rows: &mut dyn Rows,
        turn: &mut Turn,
    ) -> Result<(), RowsError> {
        self.leave_forked_actor(merge, rows)?;
        let mut batch = Batch { author: self, merge, rows, turn, open: Open::default() };
        for key in keys {
            let entries = entries::load(&key, batch.rows)?;
            if let Some(winner) = entries.first() {
                let op = batch.op(key, Some(winner.record.clone()), &entries)?;
                batch.push(op)?;
            }
        }
        batch.close().map(|_| ())
    }
}

/// The change that is being filled.
#[derive(Default)]
struct Open {
    ops: Vec<ChangeOp>,
    keys: BTreeSet<Key>,
    budget: Budget,
    answers: Vec<(Ticket, Pin)>,
}

struct Batch<'a> {
    author: &'a Author,
    merge: &'a mut Merge,
    rows: &'a mut dyn Rows,
    turn: &'a mut Turn,
    open: Open,
}

impl Batch<'_> {
    fn wish(&mut self, ticket: Ticket, op: Op, seen: &Seen) -> Result<(), RowsError> {
        let key = Key::of(op.cid());
        if self.open.keys.contains(&key) {
            self.close()?;
        }
        join::touch(&key, &mut self.merge.state, self.rows)?;
        let entries = entries::load(&key, self.rows)?;
        if self.is_stale(&key, &entries, seen)? {
            self.answer(ticket, Err(WriteError::Stale));
            return Ok(());
        }
        match op {
            Op::Pin(pin) => self.pin(ticket, key, *pin, &entries),
            Op::Unpin(_) => self.unpin(ticket, &key, entries),
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Result<Pin, WriteError>) {
        self.turn.answers.push((ticket, answer));
    }

    fn is_stale(&self, key: &Key, entries: &[Entry], seen: &Seen) -> Result<bool, RowsError> {
        let Seen::Winner(seen) = seen else { return Ok(false) };
        // A record that is no pin reads as not pinned.
        let winner = entries.first().filter(|winner| model::pin(key, &winner.record).is_ok());
        let winner = winner.map(|entry| entries::dot(entry, &self.merge.state)).transpose()?;
        let winner = winner.map(|dot| OpId { counter: dot.counter, actor: dot.actor.as_bytes().to_vec() });
        Ok(winner != *seen)
    }

    fn pin(&mut self, ticket: Ticket, key: Key, pin: Pin, entries: &[Entry]) -> Result<(), RowsError> {
        let record = model::record(&pin);
        if record.len() > MAX_RECORD {
            self.answer(ticket, Err(WriteError::TooLarge { size: record.len() }));
            return Ok(());
        }
        let op = self.op(key, Some(record), entries)?;
        self.push(op)?;
        self.open.answers.push((ticket, pin));
        Ok(())
    }

    fn unpin(&mut self, ticket: Ticket, key: &Key, mut entries: Vec<Entry>) -> Result<(), RowsError> {
        let Some(winner) = entries.first() else {
            self.answer(ticket, Err(WriteError::NotFound));
            return Ok(());
        };
        // A record that is no pin can be unpinned as well.
        let pin = model::pin(key, &winner.record).unwrap_or_else(|_| Pin::recursive(key.cid()));
        // Each change takes as many as it may name; a loop until none is left would not end over one that stays.
        for more in (0..entries.len().div_ceil(PREDS_MAX)).rev() {
            let op = self.op(key.clone(), None, &entries)?;
            self.push(op)?;
            if more > 0 {
                if !self.close()? {
                    self.answer(ticket, Err(WriteError::EpochFull));
                    return Ok(());
                }
                entries = entries::load(key, self.rows)?;
            }
        }
        self.open.answers.push((ticket, pin));
        Ok(())
    }

    fn op(&self, key: Key, put: Option<Vec<u8>>, entries: &[Entry]) -> Result<ChangeOp, RowsError> {
        let room = change::preds_room(put.as_ref().map_or(0, Vec::len));
        let preds = entries.iter().take(room).map(|entry| entries::dot(entry, &self.merge.state));
        Ok(ChangeOp { key, put, preds: preds.collect::<Result<_, _>>()? })
    }

    /// Adds an op, to the next change when this one is full.
    fn push(&mut self, op: ChangeOp) -> Result<(), RowsError> {
        if !self.open.budget.take(&op) {
            self.close()?;
            self.open.budget.take(&op);
        }
        self.open.keys.insert(op.key.clone());
        self.open.ops.push(op);
        Ok(())
    }

    /// Applies the open change and answers its wishes; returns whether there was op space for it.
    fn close(&mut self) -> Result<bool, RowsError> {
        let open = std::mem::take(&mut self.open);
        if open.ops.is_empty() {
            open.answers.into_iter().for_each(|(ticket, pin)| self.answer(ticket, Ok(pin)));
            return Ok(true);
        }
        let draft = self.draft(open.ops);
        if u64::from(draft.start_op) + draft.ops.len() as u64 > u64::from(self.author.counter_end) {
            open.answers.into_iter().for_each(|(ticket, _)| self.answer(ticket, Err(WriteError::EpochFull)));
            return Ok(false);
        }
        let change = self.seal(draft);
        self.turn.sends.push(Sending::Gossip { topic: 0, bytes: change.bytes.clone() });
        self.merge.apply(&change, self.rows)?;
        open.answers.into_iter().for_each(|(ticket, pin)| self.answer(ticket, Ok(pin)));
        Ok(true)
    }

    fn draft(&self, ops: Vec<ChangeOp>) -> Draft {
        let actor = self.author.actor.clone();
        let clock = &self.merge.state.clock;
        let mut deps: Vec<Dep> = clock.heads().filter(|dep| dep.actor != actor).take(HEADS_MAX).collect();
        // The greatest counter seen is always a dependency, also when a lying change covered its head.
        if let Some(greatest) = clock.greatest().filter(|dep| dep.actor != actor && !deps.contains(dep)) {
            deps.push(greatest);
        }
        deps.sort_by(|a, b| a.actor.cmp(&b.actor));
        let own = clock.row(&actor);
        let greatest = deps.iter().map(|dep| dep.max_op).chain(own.map(|row| row.max_op)).fold(BUCKETS, u32::max);
        Draft {
            seq: own.map_or(0, |row| row.seq) + 1,
            start_op: greatest + 1,
            prev: own.map(|row| (row.tip, row.max_op)),
            actor,
            deps,
            ops,
        }
    }

    fn seal(&self, draft: Draft) -> Signed {
        let Author { keypair, epoch, cluster_name, .. } = self.author;
        let envelope = envelope::seal(&draft, keypair, *epoch, cluster_name);
        let bytes = Bytes::from(envelope.encode());
        let change = Signed { header: envelope.header, deps: envelope.deps, ops: draft.ops, bytes };
        debug_assert_eq!(envelope::verify(change.bytes.clone(), *epoch, cluster_name).as_ref(), Ok(&change));
        debug_assert_eq!(ready(&change, &self.merge.state.clock), Ready::Yes, "an own change passes admission");
        debug_assert!(self.merge.state.clock.top() < change.header.start_op, "a write is above all it has seen");
        change
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
