//! What one op does to the live entries of its key (rule 10).
use super::entries::{self, Before, Entry, load};
use super::join;
use super::state::State;
use super::view::View;
use crate::crdt::automerge::formats::change::{ChangeOp, Dot};
use crate::crdt::automerge::formats::clock::Actor;
use crate::crdt::automerge::formats::envelope::Signed;
use crate::crdt::automerge::formats::model::Key;
use crate::crdt::{Rows, RowsError};

/// Applies the ops of a change that is ready, before the clock takes it.
///
/// # Errors
/// [`RowsError`].
pub fn apply(change: &Signed, state: &mut State, rows: &mut dyn Rows) -> Result<(), RowsError> {
    let number = state.number(&change.header.actor, rows)?;
    for (counter, op) in (change.header.start_op..).zip(&change.ops) {
        join::touch(&op.key, state, rows)?;
        let put = op.put.as_ref().map(|record| Entry { counter, number, record: record.clone() });
        Edit::of(&op.key, state, rows)?.run(op, put, &change.header.actor)?;
    }
    Ok(())
}

/// The work on one key.
struct Edit<'a> {
    key: &'a Key,
    state: &'a mut State,
    rows: &'a mut dyn Rows,
    entries: Vec<Entry>,
    before: Before,
    changed: bool,
}

impl<'a> Edit<'a> {
    fn of(key: &'a Key, state: &'a mut State, rows: &'a mut dyn Rows) -> Result<Self, RowsError> {
        let entries = load(key, rows)?;
        let before = Before::of(key, &entries);
        Ok(Self { key, state, rows, entries, before, changed: false })
    }

    fn run(mut self, op: &ChangeOp, put: Option<Entry>, author: &Actor) -> Result<(), RowsError> {
        for pred in &op.preds {
            if let Some(number) = self.state.numbers.find(&pred.actor) {
                self.take(|entry| entry.counter == pred.counter && entry.number == number)?;
            }
            if self.state.clock.above_fork(pred) {
                entries::bury(self.key, pred, self.state, self.rows)?;
            }
        }
        if let Some(put) = put {
            self.take(|entry| entry.number == put.number)?;
            self.add(put, author);
        }
        if self.changed {
            entries::store(self.key, &self.before, &self.entries, self.state, self.rows)?;
        }
        Ok(())
    }

    /// Removes the entries that `is_gone` says.
    fn take(&mut self, is_gone: impl Fn(&Entry) -> bool) -> Result<(), RowsError> {
        while let Some(at) = self.entries.iter().position(&is_gone) {
            let entry = self.entries.remove(at);
            let dot = entries::dot(&entry, self.state)?;
            self.state.digest.remove_entry(self.key, &dot, &entry.record);
            self.changed = true;
        }
        Ok(())
    }

    fn add(&mut self, put: Entry, author: &Actor) {
        let dot = Dot { counter: put.counter, actor: author.clone() };
        self.state.digest.add_entry(self.key, &dot, &put.record);
        let at = entries::place(&self.entries, &dot, self.state);
        self.entries.insert(at, put);
        self.changed = true;
    }
}
