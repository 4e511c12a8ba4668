//! What becomes of a change that somebody sent: applied, kept waiting, staged, or refused.
use std::collections::{BTreeMap, BTreeSet};

use super::admit::{Ready, dep_is_met, pred_is_met, ready};
use super::formats::clock::{Actor, Dep, Fork, NO_HASH};
use super::formats::envelope::{Envelope, Header, Signed};
use super::tables::pending::{Id, Pending, id};
use super::tables::stage::Stage;
use super::tables::state::State;
use super::tables::view::{Ahead, Need, View};
use super::tables::{log, opset};
use crate::crdt::{Notice, Rows, RowsError, Table};
use crate::model::{PeerId, Trust};

/// Actors whose changes trusted heartbeats vouch for and that are not applied yet; what is more comes by sync.
const ATTESTED_MAX: usize = 4096;

/// Changes that wait at a barrier at most: a minute of a busy cluster. One more lifts it.
const BARRIER_MAX: usize = 2048;

/// Bytes of them at most.
const BARRIER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Changes that wait until the state is one that a trusted peer attests, and whether each is vouched for.
#[derive(Default)]
struct Barrier {
    held: Vec<(Signed, bool)>,
    bytes: usize,
}

/// What a turn has to tell.
#[derive(Default)]
pub struct News {
    /// For the operator.
    pub notices: Vec<Notice>,
    /// Counters that moved.
    pub counts: BTreeMap<&'static str, u64>,
}

/// State and waiting rooms.
pub struct Merge {
    /// What is applied.
    pub state: State,
    /// Changes that count and wait.
    pub pending: Pending,
    /// Changes that wait for a trusted one above them.
    pub stage: Stage,
    /// What the turn has to tell.
    pub told: News,
    own: PeerId,
    trust: Trust,
    barrier: Option<Barrier>,
    attested: BTreeMap<Actor, u32>,
    woken: BTreeSet<Actor>,
    rejudge: bool,
}

/// Whether all that a change needs is at hand.
enum Past {
    /// The change and what it needs, each after what it needs itself.
    Complete(Vec<Signed>),
    /// Not before there is this.
    Lacks(Need),
}

impl Merge {
    /// Begins with what the tables hold.
    pub fn new(own: PeerId, trust: Trust, state: State, waiting: Stage, pending: Pending) -> Self {
        let (attested, woken) = (BTreeMap::new(), BTreeSet::new());
        let (told, barrier) = (News::default(), None);
        Self { state, pending, stage: waiting, told, own, trust, barrier, attested, woken, rejudge: true }
    }

    /// Returns whether changes of `peer` count.
    pub fn trusts(&self, peer: &PeerId) -> bool {
        self.trust.trusts(&self.own, peer)
    }

    /// Whose changes count.
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Replaces the trust list; what waits is judged again by [`Merge::settle`].
    pub fn retrust(&mut self, trust: Trust) {
        self.trust = trust;
        self.attested.clear();
        self.rejudge = true;
    }

    /// Counts `n` more of `what`.
    pub fn count(&mut self, what: &'static str, n: u64) {
        *self.told.counts.entry(what).or_default() += n;
    }

    /// Takes a change; `vouched` when a trusted peer attests that it holds it.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn receive(&mut self, change: Signed, vouched: bool, rows: &mut dyn Rows) -> Result<(), RowsError> {
        if let Some(barrier) = &mut self.barrier {
            barrier.bytes += change.weight();
            barrier.held.push((change, vouched));
            let fits = barrier.held.len() < BARRIER_MAX && barrier.bytes < BARRIER_BYTES_MAX;
            return if fits { Ok(()) } else { self.lift_barrier(rows) };
        }
        self.offer(change, vouched, true, rows)?;
        self.drain(rows)
    }

    /// From now on changes wait, until the state is one that a trusted peer attests.
    pub fn raise_barrier(&mut self) {
        self.barrier.get_or_insert_default();
    }

    /// Returns whether changes wait at a barrier.
    pub const fn has_barrier(&self) -> bool {
        self.barrier.is_some()
    }

    /// Takes everything that waits at the barrier.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn lift_barrier(&mut self, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let Barrier { held, .. } = self.barrier.take().unwrap_or_default();
        held.into_iter().try_for_each(|(change, vouched)| self.receive(change, vouched, rows))
    }

    /// Takes of what waits at the barrier what these heads have seen: all of a state that names them.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn pass_barrier(&mut self, heads: &[Dep], rows: &mut dyn Rows) -> Result<(), RowsError> {
        let Some(Barrier { held, .. }) = self.barrier.take() else { return Ok(()) };
        let mut seen: BTreeMap<Actor, u32> = heads.iter().map(|head| (head.actor.clone(), head.seq)).collect();
        loop {
            let before = seen.clone();
            for (Signed { header, deps, .. }, _) in &held {
                if seen.get(&header.actor).is_some_and(|seq| header.seq <= *seq) {
                    for dep in deps {
                        let seq = seen.entry(dep.actor.clone()).or_default();
                        *seq = dep.seq.max(*seq);
                    }
                }
            }
            if seen == before {
                break;
            }
        }
        let is_seen = |change: &Signed| seen.get(&change.header.actor).is_some_and(|seq| change.header.seq <= *seq);
        let (passes, stays): (Vec<_>, Vec<_>) = held.into_iter().partition(|(change, _)| is_seen(change));
        for (change, vouched) in passes {
            self.receive(change, vouched, rows)?;
        }
        let bytes = stays.iter().map(|(change, _)| change.weight()).sum();
        self.barrier = Some(Barrier { held: stays, bytes });
        Ok(())
    }

    /// Takes what a trusted peer attests to hold: staged changes at or below these heads count from now on.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn attest(&mut self, heads: &[Dep], rows: &mut dyn Rows) -> Result<(), RowsError> {
        for head in heads.iter().filter(|head| head.hash != NO_HASH) {
            if self.state.clock.row(&head.actor).is_some_and(|row| row.seq >= head.seq) {
                continue;
            }
            if self.attested.len() < ATTESTED_MAX {
                let seq = self.attested.entry(head.actor.clone()).or_default();
                *seq = head.seq.max(*seq);
            }
            if let Some(change) = self.stage.get(&head.actor, head.seq, rows)?
                && let Past::Complete(past) = self.past(&change, Need::from(head), rows)?
            {
                self.apply_all(&past, rows)?;
            }
        }
        self.drain(rows)
    }

    /// A fork point of `actor` is in force from now on: what stood on its branches is judged again.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn cut_off(&mut self, actor: &Actor, fork: Fork, rows: &mut dyn Rows) -> Result<(), RowsError> {
        self.state.learn_fork(actor, fork);
        if let Some(number) = self.state.numbers.find(actor) {
            log::drop_branch(number, fork.s, &mut self.state.counters, rows)?;
        }
        self.pending.drop_from(actor, fork.s);
        self.stage.drop_from(actor, fork.s, rows)?;
        self.attested.remove(actor);
        self.woken.insert(actor.clone());
        Ok(())
    }

    /// What waits is judged again by the next [`Merge::settle`]: a joined state moved the clock.
    pub const fn judge_again(&mut self) {
        self.rejudge = true;
    }

    /// Judges again what waits, where that may have a new outcome.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn settle(&mut self, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let rejudge = std::mem::take(&mut self.rejudge);
        // What stands on a refused branch waits for the greatest counter, which no single actor's news tells of.
        if rejudge || self.state.clock.is_forked() {
            let clock = &self.state.clock;
            for id in self.pending.ids(|lacks| rejudge || clock.fork(&lacks.actor).is_some()) {
                if let Some(change) = self.pending.remove(&id) {
                    self.offer(change, !rejudge, false, rows)?;
                }
            }
        }
        if rejudge {
            let staged: Vec<Id> = self.stage.ids().filter(|(actor, _)| self.trusts(&actor.peer())).collect();
            for (actor, seq) in staged {
                if let Some(change) = self.stage.get(&actor, seq, rows)? {
                    self.offer(change, true, false, rows)?;
                }
            }
        }
        self.drain(rows)
    }

    fn drain(&mut self, rows: &mut dyn Rows) -> Result<(), RowsError> {
        while let Some(actor) = self.woken.pop_first() {
            let is_there = |lacks: &Need| lacks.is_met(&self.state.clock) || self.holds(&lacks.actor, lacks.seq);
            for id in self.pending.waiting_for(&actor, is_there) {
                if let Some(change) = self.pending.remove(&id) {
                    self.offer(change, true, false, rows)?;
                }
            }
        }
        Ok(())
    }

    fn counts(&self, change: &Signed) -> bool {
        let attested = self.attested.get(&change.header.actor).is_some_and(|seq| change.header.seq <= *seq);
        attested || self.trusts(&change.header.actor.peer())
    }

    fn offer(&mut self, change: Signed, vouched: bool, arrives: bool, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let vouched = vouched || self.counts(&change);
        match ready(&change, &self.state.clock) {
            Ready::Known => self.compare(&change.header, rows),
            Ready::Broken => self.compare_with_tip(&change.header, rows),
            Ready::Never => {
                self.count("changes_refused", 1);
                Ok(())
            }
            Ready::Yes if vouched => self.apply(&change, rows),
            Ready::Wait(on) if vouched => self.wait(change, on, arrives, rows),
            Ready::Yes | Ready::Wait(_) => self.keep_staged(&change, rows),
        }
    }

    /// A change of a seq that is applied: the same one, or a fork.
    fn compare(&mut self, header: &Header, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let row = self.state.clock.row(&header.actor).copied().unwrap_or_default();
        if row.seq == header.seq {
            return if row.tip == header.change_hash || row.tip == NO_HASH {
                Ok(())
            } else {
                self.compare_with_tip(header, rows)
            };
        }
        let Some(number) = self.state.numbers.find(&header.actor) else { return Ok(()) };
        let Some(logged) = log::read(number, header.seq, rows)? else { return Ok(()) };
        let damaged = |_| RowsError::Damaged { table: Table::Changes, what: "envelope" };
        let known = Envelope::decode(&logged.envelope).map_err(damaged)?.header;
        self.check_fork(known, header.clone(), rows)
    }

    fn compare_with_tip(&mut self, header: &Header, rows: &mut dyn Rows) -> Result<(), RowsError> {
        self.count("changes_refused", 1);
        match self.state.tip(&header.actor, rows)? {
            Some(tip) => self.check_fork(tip, header.clone(), rows),
            None => Ok(()),
        }
    }

    /// Applies a change that is ready.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn apply(&mut self, change: &Signed, rows: &mut dyn Rows) -> Result<(), RowsError> {
        debug_assert_eq!(ready(change, &self.state.clock), Ready::Yes, "only what is ready is applied");
        let Header { actor, seq, .. } = &change.header;
        opset::apply(change, &mut self.state, rows)?;
        let number = self.state.number(actor, rows)?;
        log::append(change, number, &mut self.state.counters, rows)?;
        self.state.advance(change);
        // What waited in its place is the same change, or the other half of a fork.
        let waited = self.pending.remove(&id(change));
        for twin in [waited, self.stage.get(actor, *seq, rows)?].into_iter().flatten() {
            self.check_fork(change.header.clone(), twin.header, rows)?;
        }
        self.stage.drop_through(actor, *seq, rows)?;
        if self.attested.get(actor).is_some_and(|attested| attested <= seq) {
            self.attested.remove(actor);
        }
        self.woken.insert(actor.clone());
        self.count("changes_applied", 1);
        Ok(())
    }

    fn apply_all(&mut self, past: &[Signed], rows: &mut dyn Rows) -> Result<(), RowsError> {
        past.iter().try_for_each(|change| self.apply(change, rows))
    }

    /// Keeps a change of an untrusted author until a trusted one stands above it.
    fn keep_staged(&mut self, change: &Signed, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let Header { actor, seq, .. } = &change.header;
        if let Some(held) = self.stage.get(actor, *seq, rows)? {
            return self.check_fork(held.header, change.header.clone(), rows);
        }
        if self.stage.insert(change, rows)? {
            self.count("changes_staged", 1);
            self.woken.insert(actor.clone());
        } else {
            self.count("stage_dropped", 1);
        }
        Ok(())
    }

    /// A change that counts and lacks something: its past may be staged, else it waits.
    fn wait(&mut self, change: Signed, on: Need, arrives: bool, rows: &mut dyn Rows) -> Result<(), RowsError> {
        if let Some(held) = self.pending.get(&id(&change)) {
            let held = held.header.clone();
            return self.check_fork(held, change.header, rows);
        }
        let lacks = match self.past(&change, on, rows)? {
            Past::Complete(past) => return self.apply_all(&past, rows),
            Past::Lacks(lacks) => lacks,
        };
        let actor = change.header.actor.clone();
        if !self.pending.insert(change, lacks) {
            self.count("pending_dropped", 1);
        } else if arrives && !self.stage.is_empty() {
            // It may be what others lacked; only when it is new, or two that lack each other would never rest.
            self.woken.insert(actor);
        }
        Ok(())
    }

    /// Gathers what `change`, which lacks `on`, needs from the waiting rooms.
    fn past(&self, change: &Signed, on: Need, rows: &dyn Rows) -> Result<Past, RowsError> {
        if self.stage.is_empty() {
            return Ok(Past::Lacks(self.missing(&on).unwrap_or(on)));
        }
        // Nothing is read before all that it names itself is there: a long past comes change by change.
        if let Some(lacks) = self.needs(change).iter().find_map(|need| self.missing(need)) {
            return Ok(Past::Lacks(lacks));
        }
        let mut found = BTreeMap::from([(id(change), change.clone())]);
        let mut reach: BTreeMap<Actor, (u32, u32)> = BTreeMap::new();
        let mut todo = vec![id(change)];
        while let Some(next) = todo.pop() {
            for Need { actor, seq, max_op } in self.needs(&found[&next]) {
                let applied = self.state.clock.row(&actor).map_or((0, 0), |row| (row.seq, row.max_op));
                let reached = reach.entry(actor.clone()).or_insert(applied);
                while reached.0 < seq || reached.1 < max_op {
                    let id = (actor.clone(), reached.0 + 1);
                    if !found.contains_key(&id) {
                        let lacks = || Past::Lacks(Need { actor: actor.clone(), seq: id.1, max_op: 0 });
                        let Some(held) = self.held(&id, rows)? else { return Ok(lacks()) };
                        found.insert(id.clone(), held);
                        todo.push(id.clone());
                    }
                    *reached = (id.1, found[&id].header.max_op);
                }
            }
        }
        Ok(self.in_order(found, &id(change)))
    }

    /// The change that is neither applied nor at hand, of those that `need` is about.
    fn missing(&self, need: &Need) -> Option<Need> {
        if need.is_met(&self.state.clock) {
            return None;
        }
        let first = self.state.clock.row(&need.actor).map_or(0, |row| row.seq) + 1;
        let last = need.seq.max(first);
        let seq = if self.holds(&need.actor, last) {
            (first..last).find(|seq| !self.holds(&need.actor, *seq))?
        } else {
            last
        };
        Some(Need { actor: need.actor.clone(), seq, max_op: 0 })
    }

    fn holds(&self, actor: &Actor, seq: u32) -> bool {
        self.stage.has(actor, seq) || self.pending.get(&(actor.clone(), seq)).is_some()
    }

    fn held(&self, id: &Id, rows: &dyn Rows) -> Result<Option<Signed>, RowsError> {
        match self.pending.get(id) {
            Some(change) => Ok(Some(change.clone())),
            None => self.stage.get(&id.0, id.1, rows),
        }
    }

    /// What of the clock `change` lacks, and its author's change before.
    fn needs(&self, change: &Signed) -> Vec<Need> {
        let clock = &self.state.clock;
        let deps = change.deps.iter().filter(|dep| !dep_is_met(dep, clock));
        // A claim that is too high waits until it is true; the change that it names is to be had before.
        let deps = deps.map(|dep| Need { max_op: 0, ..Need::from(dep) });
        let preds = change.ops.iter().flat_map(|op| &op.preds).filter(|pred| !pred_is_met(pred, clock));
        [before(&change.header)].into_iter().chain(deps).chain(preds.map(Need::from)).collect()
    }

    /// Orders what was found; complete when `wanted` comes out ready.
    fn in_order(&self, mut found: BTreeMap<Id, Signed>, wanted: &Id) -> Past {
        let mut ahead = Ahead::of(&self.state.clock);
        // Of each actor only the next change can be ready.
        let is_next = |(actor, seq): &&Id| !found.contains_key(&(actor.clone(), seq - 1));
        let mut todo: BTreeSet<Id> = found.keys().filter(is_next).cloned().collect();
        let mut waiting: BTreeMap<Actor, Vec<Id>> = BTreeMap::new();
        let mut past = Vec::new();
        while let Some(id) = todo.pop_first() {
            match ready(&found[&id], &ahead) {
                Ready::Yes => {
                    let Some(change) = found.remove(&id) else { continue };
                    ahead.advance(&change.header);
                    past.push(change);
                    todo.extend(waiting.remove(&id.0).unwrap_or_default());
                    let next = (id.0, id.1 + 1);
                    if found.contains_key(&next) {
                        todo.insert(next);
                    }
                }
                Ready::Wait(on) => waiting.entry(on.actor).or_default().push(id),
                Ready::Known | Ready::Never | Ready::Broken => (),
            }
        }
        match found.get(wanted) {
            None => Past::Complete(past),
            Some(change) => match ready(change, &ahead) {
                Ready::Wait(on) => Past::Lacks(on),
                Ready::Yes | Ready::Known | Ready::Never | Ready::Broken => Past::Lacks(before(&change.header)),
            },
        }
    }
}

/// The author's change before.
fn before(header: &Header) -> Need {
    Need { actor: header.actor.clone(), seq: header.seq - 1, max_op: 0 }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
