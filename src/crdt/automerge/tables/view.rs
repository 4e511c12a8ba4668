//! What is applied: the clock in memory with its indexes, and the same thought a few changes ahead.
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{BitOrAssign, Bound};

use crate::crdt::automerge::formats::change::Dot;
use crate::crdt::automerge::formats::clock::{
    Actor, Dep, Fork, Group, GroupRow, Hash, NO_HASH, Row, SUFFIX, clock_hash,
};
use crate::crdt::automerge::formats::envelope::{Header, Signed};
use crate::crdt::automerge::formats::model::BUCKETS;
use crate::model::PeerId;

/// Answers what is applied; admission asks nothing else.
pub trait View {
    /// The row of `actor`; [`None`] when nothing of it is applied.
    fn row(&self, actor: &Actor) -> Option<&Row>;

    /// Where `actor` forked.
    fn fork(&self, actor: &Actor) -> Option<Fork>;

    /// The greatest counter of all rows, at least the genesis' own.
    fn top(&self) -> u32;

    /// Returns whether `dot` is above the fork point of its actor.
    fn above_fork(&self, dot: &Dot) -> bool {
        self.fork(&dot.actor).is_some_and(|fork| dot.counter > fork.m)
    }
}

/// So much of an actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Whose.
    pub actor: Actor,
    /// Its changes up to this one.
    pub seq: u32,
    /// Its ops up to this counter.
    pub max_op: u32,
}

impl Need {
    /// Returns whether it is applied.
    pub fn is_met(&self, view: &impl View) -> bool {
        let row = view.row(&self.actor).copied().unwrap_or_default();
        row.seq >= self.seq && row.max_op >= self.max_op
    }
}

/// The clock: rows and fork points, with what writing and syncing ask of them.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    rows: BTreeMap<Actor, Row>,
    forks: BTreeMap<Actor, Fork>,
    by_max: BTreeSet<(u32, Actor)>,
    heads: BTreeSet<(u32, Actor)>,
    groups: BTreeMap<Vec<u8>, (PeerId, Hash)>,
    stale: BTreeSet<Vec<u8>>,
}

impl View for Clock {
    fn row(&self, actor: &Actor) -> Option<&Row> {
        self.rows.get(actor)
    }

    fn fork(&self, actor: &Actor) -> Option<Fork> {
        self.forks.get(actor).copied()
    }

    fn top(&self) -> u32 {
        self.by_max.last().map_or(BUCKETS, |(max, _)| *max)
    }
}

/// What rows of another clock have that ours has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lacks {
    /// Changes that are not applied here, or an earlier fork point.
    pub news: bool,
    /// What was written on top of changes that are heads here.
    pub dependants: bool,
}

impl BitOrAssign for Lacks {
    fn bitor_assign(&mut self, other: Self) {
        self.news |= other.news;
        self.dependants |= other.dependants;
    }
}

impl Clock {
    /// Compares rows of another clock with ours.
    pub fn lacks(&self, theirs: &[Group]) -> Lacks {
        let mut lacks = Lacks::default();
        for (actor, theirs) in theirs.iter().flat_map(|group| group.rows.iter().map(|row| (group.actor(row), row))) {
            let (ours, fork) = (self.row(&actor).copied().unwrap_or_default(), self.fork(&actor));
            lacks.news |= theirs.fork.is_some_and(|theirs| fork.is_none_or(|ours| theirs < ours));
            lacks.news |= match fork {
                None => (ours.seq, ours.tip) < (theirs.row.seq, theirs.row.tip),
                // What is at or above its fork point is refused; what is below may still be missing.
                Some(fork) => ours.seq < theirs.row.seq.min(fork.s.saturating_sub(1)),
            };
            let is_same = (ours.seq, ours.tip) == (theirs.row.seq, theirs.row.tip);
            lacks.dependants |= is_same && ours.head && !theirs.row.head;
        }
        lacks
    }

    /// Sets or removes the row of `actor`.
    pub fn set(&mut self, actor: &Actor, row: Option<Row>) {
        let old = match row {
            Some(row) => self.rows.insert(actor.clone(), row),
            None => self.rows.remove(actor),
        };
        if old == row {
            return;
        }
        if let Some(old) = old {
            let key = (old.max_op, actor.clone());
            self.by_max.remove(&key);
            self.heads.remove(&key);
        }
        if let Some(row) = row {
            self.by_max.insert((row.max_op, actor.clone()));
            if row.head {
                self.heads.insert((row.max_op, actor.clone()));
            }
        }
        self.touch(actor);
    }

    /// Sets the fork point of `actor`, which its row then keeps to.
    pub fn set_fork(&mut self, actor: &Actor, fork: Fork) {
        self.forks.insert(actor.clone(), fork);
        self.touch(actor);
        if let Some(row) = self.rows.get(actor).copied() {
            self.set(actor, clamp(row, Some(fork)));
        }
    }

    /// Takes a fork point, when it is new or below the one that is known; returns whether it is.
    pub fn learn_fork(&mut self, actor: &Actor, fork: Fork) -> bool {
        let is_news = self.forks.get(actor).is_none_or(|known| fork < *known);
        if is_news {
            self.set_fork(actor, fork);
        }
        is_news
    }

    /// The forked actors, and where they forked.
    pub fn forks(&self) -> impl Iterator<Item = (&Actor, &Fork)> {
        self.forks.iter()
    }

    fn touch(&mut self, actor: &Actor) {
        if !self.stale.contains(actor.peer_bytes()) {
            self.stale.insert(actor.peer_bytes().to_vec());
        }
    }

    /// Takes a change that is ready: its dependencies at the tip are no heads any more, its author's row moves.
    ///
    /// Returns the actors whose rows changed.
    pub fn advance(&mut self, change: &Signed) -> Vec<Actor> {
        let mut moved = Vec::new();
        for dep in &change.deps {
            if let Some(row) = self.rows.get(&dep.actor).copied().filter(|row| row.seq == dep.seq && row.head) {
                self.set(&dep.actor, Some(Row { head: false, ..row }));
                moved.push(dep.actor.clone());
            }
        }
        let actor = &change.header.actor;
        self.set(actor, clamp(row_after(&change.header), self.fork(actor)));
        moved.push(actor.clone());
        moved
    }

    /// The rows, in the order of the actors.
    pub fn rows(&self) -> impl Iterator<Item = (&Actor, &Row)> {
        self.rows.iter()
    }

    /// How many rows there are: one for each start that ever wrote.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows from an actor on, in the order of the actors.
    pub fn rows_from(&self, start: Bound<Actor>) -> impl Iterator<Item = (&Actor, &Row)> {
        self.rows.range((start, Bound::Unbounded))
    }

    /// Returns whether any actor is known to be forked.
    pub fn is_forked(&self) -> bool {
        !self.forks.is_empty()
    }

    /// The heads, greatest `max_op` first.
    pub fn heads(&self) -> impl Iterator<Item = Dep> {
        self.heads.iter().rev().filter_map(|(_, actor)| self.dep(actor))
    }

    /// The row with the greatest `max_op`.
    pub fn greatest(&self) -> Option<Dep> {
        self.by_max.last().and_then(|(_, actor)| self.dep(actor))
    }

    fn dep(&self, actor: &Actor) -> Option<Dep> {
        let row = self.rows.get(actor)?;
        Some(Dep { actor: actor.clone(), seq: row.seq, max_op: row.max_op, hash: row.tip })
    }

    /// The rows of `peer`'s starts.
    pub fn group(&self, peer: PeerId) -> Group {
        let range = Actor::new(peer, [0; SUFFIX])..=Actor::new(peer, [u8::MAX; SUFFIX]);
        let mut rows: BTreeMap<[u8; SUFFIX], GroupRow> = BTreeMap::new();
        for (actor, row) in self.rows.range(range.clone()) {
            rows.insert(actor.suffix(), GroupRow { suffix: actor.suffix(), row: *row, fork: self.fork(actor) });
        }
        for (actor, fork) in self.forks.range(range) {
            let bare = GroupRow { suffix: actor.suffix(), row: Row::default(), fork: Some(*fork) };
            rows.entry(actor.suffix()).or_insert(bare);
        }
        Group { peer, rows: rows.into_values().collect() }
    }

    /// The rows of all peers' starts, ascending by the bytes of the peer ids.
    pub fn all_groups(&self) -> Vec<Group> {
        let peers: BTreeSet<&[u8]> = self.rows.keys().chain(self.forks.keys()).map(Actor::peer_bytes).collect();
        let peers = peers.into_iter().map(|bytes| PeerId::from_bytes(bytes).expect("an actor begins with a peer id"));
        peers.map(|peer| self.group(peer)).collect()
    }

    /// Takes what another clock has seen: of each actor the longer history (rule 11). Returns the actors whose rows moved.
    pub fn join(&mut self, other: &Self) -> Vec<Actor> {
        for (actor, fork) in &other.forks {
            self.learn_fork(actor, *fork);
        }
        let mut moved = Vec::new();
        for (actor, theirs) in &other.rows {
            let ours = self.rows.get(actor).copied().unwrap_or_default();
            let mut joined = match (ours.seq, ours.tip).cmp(&(theirs.seq, theirs.tip)) {
                std::cmp::Ordering::Less => *theirs,
                std::cmp::Ordering::Equal => Row { head: ours.head && theirs.head, ..ours },
                std::cmp::Ordering::Greater => ours,
            };
            joined.max_op = ours.max_op.max(theirs.max_op);
            let joined = clamp(joined, self.fork(actor));
            if joined != self.rows.get(actor).copied() {
                self.set(actor, joined);
                moved.push(actor.clone());
            }
        }
        moved
    }

    /// Replaces everything that is known of the peer of `group`.
    pub fn replace(&mut self, group: &Group) {
        let range = Actor::new(group.peer, [0; SUFFIX])..=Actor::new(group.peer, [u8::MAX; SUFFIX]);
        let old: Vec<Actor> = self.rows.range(range.clone()).map(|(actor, _)| actor.clone()).collect();
        for actor in &old {
            self.set(actor, None);
        }
        let old: Vec<Actor> = self.forks.range(range).map(|(actor, _)| actor.clone()).collect();
        self.forks.retain(|actor, _| !old.contains(actor));
        self.extend(group);
    }

    /// Adds the rows of `group`.
    pub fn extend(&mut self, group: &Group) {
        for row in &group.rows {
            let actor = group.actor(row);
            self.set(&actor, Some(row.row).filter(|row| row.seq > 0));
            if let Some(fork) = row.fork {
                self.set_fork(&actor, fork);
            }
        }
    }

    /// The hash of each peer's group, ascending by the bytes of the peer ids.
    pub fn groups(&mut self) -> impl Iterator<Item = &(PeerId, Hash)> {
        for key in std::mem::take(&mut self.stale) {
            let peer = PeerId::from_bytes(&key).expect("an actor begins with a peer id");
            let group = self.group(peer);
            if group.rows.is_empty() {
                self.groups.remove(&key);
            } else {
                self.groups.insert(key, (peer, group.hash()));
            }
        }
        self.groups.values()
    }

    /// The hash of the clock.
    pub fn hash(&mut self) -> Hash {
        clock_hash(self.groups().map(|(peer, hash)| (peer, hash)))
    }
}

/// A clock some changes ahead of another, without a copy of it.
pub struct Ahead<'a> {
    base: &'a Clock,
    rows: BTreeMap<Actor, Row>,
    top: u32,
}

impl<'a> Ahead<'a> {
    /// Begins at `base`.
    pub fn of(base: &'a Clock) -> Self {
        Self { base, rows: BTreeMap::new(), top: base.top() }
    }

    /// Moves the author's row past its change.
    pub fn advance(&mut self, header: &Header) {
        if let Some(row) = clamp(row_after(header), self.base.fork(&header.actor)) {
            self.top = self.top.max(row.max_op);
            self.rows.insert(header.actor.clone(), row);
        }
    }
}

impl View for Ahead<'_> {
    fn row(&self, actor: &Actor) -> Option<&Row> {
        self.rows.get(actor).or_else(|| self.base.row(actor))
    }

    fn fork(&self, actor: &Actor) -> Option<Fork> {
        self.base.fork(actor)
    }

    fn top(&self) -> u32 {
        self.top
    }
}

fn row_after(header: &Header) -> Row {
    Row { seq: header.seq, max_op: header.max_op, tip: header.change_hash, head: true }
}

/// The row as a fork point leaves it; [`None`] when nothing is below that point.
fn clamp(row: Row, fork: Option<Fork>) -> Option<Row> {
    let Some(fork) = fork else { return Some(row) };
    let row = if row.seq.saturating_add(1) >= fork.s {
        Row { seq: fork.s.saturating_sub(1), max_op: fork.m, tip: NO_HASH, head: false }
    } else {
        Row { max_op: row.max_op.min(fork.m), ..row }
    };
    (row.seq > 0).then_some(row)
}
