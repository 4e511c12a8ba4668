//! Equivocation: an actor with two signed histories is cut off where they part, at every peer alike (rules 9 and 15).
use std::ops::ControlFlow;

use super::formats::clock::{Actor, Fork};
use super::formats::envelope::Header;
use super::merge::Merge;
use super::tables::fork;
use super::tables::view::View;
use crate::crdt::{Notice, Rows, RowsError, Table};

impl Merge {
    /// Takes two headers of one actor; when they prove a fork it is kept, told once, and put in force.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn check_fork(&mut self, a: Header, b: Header, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let Some(point) = fork::proven(&a, &b) else { return Ok(()) };
        let actor = a.actor.clone();
        let clock = &self.state.clock;
        if !self.trusts(&actor.peer()) && clock.row(&actor).is_none() && clock.fork(&actor).is_none() {
            // It costs a stranger nothing to sign two of any number of actors.
            self.count("forks_of_strangers", 1);
            return Ok(());
        }
        let known = rows.get(Table::Forked, actor.as_bytes())?;
        if known.as_deref().and_then(fork::point).is_some_and(|known| known <= point) {
            return Ok(());
        }
        // Keys of a join are judged by the fork points at its beginning.
        let is_in_force = self.state.joining.is_none();
        rows.put(Table::Forked, actor.as_bytes(), &fork::row(point, is_in_force, &[a, b]))?;
        self.count("forks_seen", 1);
        if known.is_none() {
            self.told.notices.push(Notice::Fork { peer: actor.peer(), seq: point.s });
        }
        if is_in_force { self.cut_off(&actor, point, rows) } else { Ok(()) }
    }

    /// Puts the forks in force whose proofs waited for the end of a join.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn enforce_forks(&mut self, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let mut waiting: Vec<(Actor, Fork, [Header; 2])> = Vec::new();
        rows.scan(Table::Forked, b""..b"", &mut |key, row| {
            if !fork::is_in_force(row)
                && let (Some(actor), Some(point), Some(proof)) =
                    (Actor::from_bytes(key), fork::point(row), fork::proof(row))
            {
                waiting.push((actor, point, proof));
            }
            ControlFlow::Continue(())
        })?;
        for (actor, point, proof) in waiting {
            rows.put(Table::Forked, actor.as_bytes(), &fork::row(point, true, &proof))?;
            self.cut_off(&actor, point, rows)?;
        }
        Ok(())
    }
}
