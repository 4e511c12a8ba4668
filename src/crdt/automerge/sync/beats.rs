//! Heartbeats: when ours are due, and what others said last.
use std::collections::{BTreeMap, BTreeSet};

use crate::crdt::Now;
use crate::crdt::automerge::formats::clock::{Dep, Hash, NO_HASH};
use crate::crdt::automerge::formats::heartbeat::{HEADS_MAX, Heartbeat};
use crate::crdt::automerge::tables::state::State;
use crate::crdt::automerge::tables::view::{Clock, View};
use crate::crdt::automerge::writer::Author;
use crate::model::{PeerId, UnixMillis};

/// Fork points that a heartbeat names.
const FORKS_MAX: usize = 4;

/// Between two heartbeats, in milliseconds; a tenth of it is jitter, so that peers do not speak in step.
const PERIOD: u64 = 10_000;
const JITTER: u64 = 1_000;

/// Quiet after a change of the clock before it is told, in milliseconds: a burst is told once.
const QUIET: u64 = 1_000;

/// Peers whose last heartbeat is kept: more than a cluster has.
const HEARD_MAX: usize = 4096;

/// A peer that was silent for so long does not count as out of step, in milliseconds: three heartbeats.
const SILENT: u64 = 3 * PERIOD;

/// What a peer said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Tells the newer of two heartbeats: start and count.
    pub order: (u64, u64),
    /// Hash of its clock.
    pub clock_hash: Hash,
    /// Whether it may have what we lack.
    pub is_ahead: bool,
    at: u64,
}

/// Our own rhythm, and the others' words.
pub struct Beats {
    start: u64,
    count: u64,
    due: u64,
    quiet: Option<u64>,
    heard: BTreeMap<PeerId, Heard>,
    diverged: BTreeSet<PeerId>,
    behind_since: Option<UnixMillis>,
    trusted_at: Option<UnixMillis>,
}

impl Beats {
    /// Begins with a heartbeat that is due at once.
    pub const fn new(start: UnixMillis) -> Self {
        Self {
            start: start.0.cast_unsigned(),
            count: 0,
            due: 0,
            quiet: None,
            heard: BTreeMap::new(),
            diverged: BTreeSet::new(),
            behind_since: None,
            trusted_at: None,
        }
    }

    /// The clock moved: it is told after a second of quiet.
    pub const fn moved(&mut self, now: Now) {
        self.quiet = Some(now.mono + QUIET);
    }

    /// Somebody is there who may not have heard us: it is told at once.
    pub const fn hurry(&mut self) {
        self.due = 0;
    }

    /// When the next heartbeat is due, in milliseconds of the monotonic clock.
    pub fn due(&self) -> u64 {
        self.quiet.map_or(self.due, |quiet| quiet.min(self.due))
    }

    /// Returns whether our heartbeat is due.
    pub fn is_due(&self, now: Now) -> bool {
        now.mono >= self.due()
    }

    /// Our heartbeat of this state.
    pub fn own(&mut self, author: &Author, state: &mut State, now: Now) -> Heartbeat {
        self.count += 1;
        self.quiet = None;
        let own = author.actor.peer();
        let seed = blake3::hash(&[&own.to_bytes()[..], &self.count.to_le_bytes()].concat());
        let draw = u64::from_le_bytes(*seed.as_bytes().first_chunk().expect("a hash is longer than a number"));
        self.due = now.mono + PERIOD - JITTER + draw % (2 * JITTER);
        let mut heartbeat = Heartbeat {
            epoch: author.epoch,
            peer: own,
            start: self.start,
            count: self.count,
            clock_hash: state.clock_hash(),
            digest_hash: state.digest_told(),
            entries: state.counters.pins,
            newest: state.counters.newest,
            heads: self.heads(&state.clock),
            key: Vec::new(),
            signature: Vec::new(),
        };
        heartbeat.sign(&author.keypair, &author.cluster_name);
        heartbeat
    }

    /// The heads, and some of the fork points that we know, others each time: who does not know one asks us for its proof.
    fn heads(&self, clock: &Clock) -> Vec<Dep> {
        let forks: Vec<Dep> = clock
            .forks()
            .map(|(actor, fork)| Dep { actor: actor.clone(), seq: fork.s, max_op: fork.m, hash: NO_HASH })
            .collect();
        let first = usize::try_from(self.count).unwrap_or(0) * FORKS_MAX;
        let some = (0..forks.len().min(FORKS_MAX)).map(|n| forks[(first + n) % forks.len()].clone());
        let mut heads: Vec<Dep> = some.collect();
        heads.extend(clock.heads().take(HEADS_MAX - heads.len()));
        heads.sort_by_key(|head| std::cmp::Reverse(head.max_op));
        heads
    }

    /// Keeps what `heartbeat` says; [`None`] when a newer one was heard already.
    pub fn hear(&mut self, heartbeat: &Heartbeat, clock: &Clock, now: Now) -> Option<()> {
        let order = (heartbeat.start, heartbeat.count);
        if self.heard.get(&heartbeat.peer).is_some_and(|heard| heard.order >= order) {
            return None;
        }
        if self.heard.len() >= HEARD_MAX && !self.heard.contains_key(&heartbeat.peer) {
            let oldest = self.heard.iter().min_by_key(|(_, heard)| heard.at).map(|(peer, _)| *peer);
            oldest.map(|peer| self.heard.remove(&peer));
        }
        // Below a branch that was cut off there are changes that no head names.
        let is_ahead = clock.is_forked() || is_ahead(&heartbeat.heads, clock);
        let heard = Heard { order, clock_hash: heartbeat.clock_hash, is_ahead, at: now.mono };
        self.heard.insert(heartbeat.peer, heard);
        Some(())
    }

    /// Returns whether a trusted peer has our clock and another digest: the second time in a row at the earliest, because
    /// what heals on one side first is no news.
    pub fn diverges(&mut self, heartbeat: &Heartbeat, state: &mut State) -> bool {
        let has_our_clock = heartbeat.clock_hash == state.clock_hash();
        // While the keys of a join follow, nobody says a digest.
        let says_nothing = heartbeat.digest_hash == NO_HASH || state.joining.is_some();
        if !has_our_clock || says_nothing || heartbeat.digest_hash == state.digest_hash() {
            self.diverged.remove(&heartbeat.peer);
            return false;
        }
        self.diverged.len() < HEARD_MAX && !self.diverged.insert(heartbeat.peer)
    }

    /// A peer that is trusted was heard.
    pub const fn hear_trusted(&mut self, now: Now) {
        self.trusted_at = Some(now.wall);
    }

    /// When a trusted peer was heard last, as this start of ours knows.
    pub const fn trusted_at(&self) -> Option<UnixMillis> {
        self.trusted_at
    }

    /// Since when somebody has another clock than this one; [`None`] when nobody has.
    pub fn behind_since(&mut self, clock_hash: &Hash, now: Now) -> Option<UnixMillis> {
        let since = self.behind_since.unwrap_or(now.wall);
        self.behind_since = (!self.all_have(clock_hash)).then_some(since);
        self.behind_since
    }

    /// What `peer` said last.
    pub fn heard(&self, peer: &PeerId) -> Option<&Heard> {
        self.heard.get(peer)
    }

    /// Returns whether everybody that spoke lately has the clock of this hash.
    fn all_have(&self, clock_hash: &Hash) -> bool {
        let latest = self.heard.values().map(|heard| heard.at).max().unwrap_or(0);
        self.heard.values().all(|heard| heard.clock_hash == *clock_hash || heard.at + SILENT < latest)
    }
}

/// Returns whether the peer of these heads may have what we lack: its heads are its whole past, unless there are too many.
fn is_ahead(heads: &[Dep], clock: &Clock) -> bool {
    let known = |head: &Dep| {
        if head.hash == NO_HASH {
            return clock.fork(&head.actor).is_some_and(|fork| (fork.s, fork.m) <= (head.seq, head.max_op));
        }
        // What stands on a refused branch is of no use to us.
        if clock.fork(&head.actor).is_some_and(|fork| head.seq >= fork.s) {
            return true;
        }
        let row = clock.row(&head.actor);
        row.is_some_and(|row| row.seq > head.seq || (row.seq == head.seq && row.tip == head.hash))
    };
    heads.len() >= HEADS_MAX || !heads.iter().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crdt::MapRows;
    use crate::crdt::automerge::tests::testing::{EPOCH, peer};

    #[test]
    fn who_is_behind_says_since_when() {
        let state = State::open(EPOCH, &mut MapRows::default()).unwrap();
        let now = |seconds: u64| Now { mono: seconds * 1000, wall: UnixMillis(i64::try_from(seconds * 1000).unwrap()) };
        let (ours, theirs) = ([1; 32], [2; 32]);
        let mut beats = Beats::new(UnixMillis(0));
        assert_eq!(beats.behind_since(&ours, now(1)), None);
        let hear = |beats: &mut Beats, clock_hash: Hash, second: u64| {
            let (epoch, peer, key, signature) = (EPOCH, peer(2), Vec::new(), Vec::new());
            let (digest_hash, entries, newest, heads) = (NO_HASH, 0, UnixMillis(0), Vec::new());
            let heartbeat = Heartbeat {
                epoch,
                peer,
                start: 1,
                count: second,
                clock_hash,
                digest_hash,
                entries,
                newest,
                heads,
                key,
                signature,
            };
            beats.hear(&heartbeat, &state.clock, now(second)).unwrap();
        };
        hear(&mut beats, theirs, 2);
        assert_eq!(beats.behind_since(&ours, now(3)), Some(now(3).wall));
        assert_eq!(beats.behind_since(&ours, now(9)), Some(now(3).wall));
        hear(&mut beats, ours, 10);
        assert_eq!(beats.behind_since(&ours, now(10)), None);
        hear(&mut beats, theirs, 11);
        assert_eq!(beats.behind_since(&ours, now(11)), Some(now(11).wall));
    }
}
