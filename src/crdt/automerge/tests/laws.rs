//! (test) The laws of join: in any order, in any grouping, once or twice, and by keys with work in between it is one state,
//! which is the one that the log makes (rule 11, section 5).
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::fixtures::{next, put};
use super::testing::{CLUSTER, EPOCH, actor, cid, keypair, peer};
use crate::crdt::automerge::formats::change::ChangeOp;
use crate::crdt::automerge::formats::clock::{COUNTER_MAX, Hash, NO_HASH};
use crate::crdt::automerge::formats::envelope::{Header, Signed};
use crate::crdt::automerge::formats::snapshot::manifest::{Core, FrameInfo, Manifest};
use crate::crdt::automerge::inspect::audit;
use crate::crdt::automerge::merge::Merge;
use crate::crdt::automerge::snapshot::survey::{Copying, Found};
use crate::crdt::automerge::tables::join::{self, Believed};
use crate::crdt::automerge::tables::pending::Pending;
use crate::crdt::automerge::tables::stage::Stage;
use crate::crdt::automerge::tables::state::State;
use crate::crdt::automerge::tables::{entries, fork, log, shelf};
use crate::crdt::automerge::writer::Author;
use crate::crdt::{MapRows, Op, ReadRows, Seen, Survey, Table, Ticket, Turn};
use crate::model::{Pin, Trust, UnixMillis};

/// Runs of each law; `SEEDS=n` for more.
fn seeds(default: u64) -> u64 {
    std::env::var("SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

const KEYS: u32 = 7;

/// A peer without a network.
struct Replica {
    merge: Merge,
    rows: MapRows,
    author: u8,
    trust: Trust,
}

/// A live entry: counter, actor, record.
type Live = (u32, Vec<u8>, Vec<u8>);

/// What two equal states have alike.
#[derive(Debug, PartialEq, Eq)]
struct Seal {
    clock: Hash,
    digest: Hash,
    pins: u64,
    entries: Vec<(Vec<u8>, Vec<Live>)>,
    tombstones: Vec<Vec<u8>>,
}

/// A whole state on its way.
struct Snapshot {
    core: Core,
    frames: Vec<Vec<u8>>,
    digest_hash: Hash,
    proofs: Vec<[Header; 2]>,
}

impl Replica {
    fn new(n: u8) -> Self {
        let mut rows = MapRows::default();
        let state = State::open(EPOCH, &mut rows).unwrap();
        let merge = Merge::new(peer(n), Trust::Everyone, state, Stage::default(), Pending::new(4096));
        Self { merge, rows, author: n, trust: Trust::Everyone }
    }

    /// The same disk in another peer.
    fn copy(&mut self) -> Self {
        self.flush();
        let mut rows = self.rows.clone();
        let state = State::open(EPOCH, &mut rows).unwrap();
        let merge = Merge::new(peer(self.author), self.trust.clone(), state, Stage::default(), Pending::new(4096));
        Self { merge, rows, author: self.author, trust: self.trust.clone() }
    }

    fn flush(&mut self) {
        self.merge.settle(&mut self.rows).unwrap();
        self.merge.state.flush(UnixMillis(0), &mut self.rows).unwrap();
    }

    /// Writes some ops; returns the changes.
    fn write(&mut self, rng: &mut SmallRng) -> Vec<Signed> {
        let mut author = Author {
            keypair: keypair(self.author),
            actor: actor(self.author, 1),
            epoch: EPOCH,
            cluster_name: CLUSTER.to_owned(),
            counter_end: COUNTER_MAX,
            wall: UnixMillis(0),
        };
        let mut wishes = Vec::new();
        for ticket in 0..rng.random_range(1..4) {
            let n = rng.random_range(0..KEYS);
            let mut pin = Pin::recursive(cid(n));
            pin.name = rng.random_range(0..1_000).to_string();
            let op = if rng.random_bool(0.6) { Op::Pin(Box::new(pin)) } else { Op::Unpin(cid(n)) };
            wishes.push((Ticket(ticket), op, Seen::Any));
        }
        let (mut turn, before) = (Turn::default(), self.merge.state.counters.applied);
        author.write(wishes, &mut self.merge, &mut self.rows, &mut turn).unwrap();
        self.flush();
        self.log().into_iter().filter(|(at, _)| *at > before).map(|(_, change)| change).collect()
    }

    /// Its log, in the order in which it was applied.
    fn log(&self) -> Vec<(u64, Signed)> {
        let mut changes = Vec::new();
        let mut read = |at: &[u8], key: &[u8]| {
            let (number, seq) = log::parse(key).unwrap();
            let logged = log::read(number, seq, &self.rows).unwrap().unwrap();
            changes.push((u64::from_be_bytes(at.try_into().unwrap()), logged.signed().unwrap()));
            ControlFlow::Continue(())
        };
        self.rows.scan(Table::Applied, b""..b"", &mut read).unwrap();
        changes
    }

    fn receive(&mut self, changes: impl IntoIterator<Item = Signed>) {
        for change in changes {
            self.merge.receive(change, true, &mut self.rows).unwrap();
        }
        self.flush();
    }

    fn pull(&mut self, other: &Self) {
        self.receive(other.log().into_iter().map(|(_, change)| change));
    }

    fn snapshot(&mut self, frame_rows: usize) -> Snapshot {
        self.flush();
        let groups = self.merge.state.clock.all_groups();
        let core = Core { epoch: EPOCH, groups, ..Core::default() };
        let copying = Copying { generation: 1, actors: core.actors(), frame_rows };
        let (mut infos, mut frames, mut end): (Vec<FrameInfo>, Vec<Vec<u8>>, _) = (Vec::new(), Vec::new(), None);
        let mut give = |part: crate::crdt::Part| {
            match *part.body.downcast::<Found>().unwrap() {
                Found::Frame { info, packed, .. } => {
                    infos.push(info);
                    frames.push(packed);
                }
                Found::End { pins, tombstones, digest_hash, .. } => end = Some((pins, tombstones, digest_hash)),
            }
            ControlFlow::Continue(())
        };
        Box::new(copying).run(&self.rows, &mut give).unwrap();
        let (pins, tombstones, digest_hash) = end.unwrap();
        assert_eq!(digest_hash, self.merge.state.digest_hash(), "what is counted anew is what was counted");
        let proofs = self.rows.rows(Table::Forked).map(|(_, row)| fork::proof(row).unwrap()).collect();
        Snapshot { core: Core { pins, tombstones, frames: infos, ..core }, frames, digest_hash, proofs }
    }

    /// Joins a snapshot by so many keys at a time, with `between` after each step.
    fn join(&mut self, theirs: &Snapshot, keys: usize, mut between: impl FnMut(&mut Self)) {
        for [a, b] in theirs.proofs.clone() {
            self.merge.check_fork(a, b, &mut self.rows).unwrap();
        }
        let (core, digest_hash) = (theirs.core.clone(), theirs.digest_hash);
        let manifest = Manifest { core: core.clone(), ..Manifest::default() };
        let generation = self.merge.state.shelf.begin_incoming(&manifest, &mut self.rows).unwrap();
        for (place, packed) in (0..).zip(&theirs.frames) {
            shelf::put_frame(generation, place, packed, &mut self.rows).unwrap();
        }
        let (tips, proofs) = (BTreeMap::new(), Vec::new());
        let believed = Believed { generation, core, digest_hash, tips, proofs, is_repair: false };
        join::begin(believed, &mut self.merge.state, &mut self.rows).unwrap();
        loop {
            between(self);
            if join::step(keys, &mut self.merge.state, &mut self.rows).unwrap().is_some() {
                break;
            }
        }
        self.merge.judge_again();
        self.flush();
        assert_eq!(audit(&self.rows).unwrap().faults, [""; 0]);
    }

    fn joined(&mut self, other: &mut Self, rng: &mut SmallRng) -> Self {
        let (theirs, mut copy) = (other.snapshot(rng.random_range(1..4)), self.copy());
        copy.join(&theirs, rng.random_range(1..9), |_| ());
        copy
    }

    fn seal(&mut self) -> Seal {
        self.flush();
        let state = &mut self.merge.state;
        let live = |(key, row): (&[u8], &[u8])| {
            let entry = |entry: entries::Entry| {
                (entry.counter, state.numbers.actor(entry.number).unwrap().as_bytes().to_vec(), entry.record)
            };
            (key.to_vec(), entries::decode(row).unwrap().into_iter().map(entry).collect())
        };
        let entries = self.rows.rows(Table::Pins).map(live).collect();
        let tombstones = self.rows.rows(Table::Tombstones).map(|(key, _)| key.to_vec()).collect();
        let pins = state.counters.pins;
        Seal { clock: state.clock_hash(), digest: state.digest_hash(), pins, entries, tombstones }
    }
}

/// In each step one of them writes, and may hear another one by log.
fn talk(all: &mut [Replica; 3], steps: usize, rng: &mut SmallRng) {
    for _ in 0..steps {
        let (i, j) = (rng.random_range(0..3), rng.random_range(0..3));
        all[i].write(rng);
        if i != j && rng.random_bool(0.4) {
            let changes: Vec<Signed> = all[j].log().into_iter().map(|(_, change)| change).collect();
            all[i].receive(changes);
        }
    }
}

/// Three peers that wrote and heard each other by log.
fn history(rng: &mut SmallRng) -> [Replica; 3] {
    let mut all = [1, 2, 3].map(Replica::new);
    let steps = rng.random_range(3..30);
    talk(&mut all, steps, rng);
    all
}

/// Three peers that all know of a fork, each of which saw one branch and what some others wrote on top of it.
fn forked_history(rng: &mut SmallRng) -> [Replica; 3] {
    let first = next(9, None, &[], vec![put(0, &[])]);
    // Key 3 has two records of one id.
    let record = |n: u32| ChangeOp { put: Some(n.to_le_bytes().to_vec()), ..put(3, &[]) };
    let twins = [1, 2].map(|n| next(9, Some(&first), &[], vec![put(n, &[]), record(n)]));
    let mut all = [1, 2, 3].map(Replica::new);
    for replica in &mut all {
        replica.receive([first.clone()]);
        if rng.random_bool(0.8) {
            let twin = twins[rng.random_range(0..2)].clone();
            replica.receive([twin]);
        }
        for _ in 0..rng.random_range(0..3) {
            replica.write(rng);
        }
    }
    for replica in &mut all {
        let [a, b] = twins.clone().map(|twin| twin.header);
        replica.merge.check_fork(a, b, &mut replica.rows).unwrap();
        replica.flush();
    }
    let steps = rng.random_range(0..20);
    talk(&mut all, steps, rng);
    all
}

fn laws(seed: u64, [a, b, c]: &mut [Replica; 3], rng: &mut SmallRng) {
    let (mut ab, mut ba, mut bc) = (a.joined(b, rng), b.joined(a, rng), b.joined(c, rng));
    assert_eq!(ab.seal(), ba.seal(), "seed {seed}: commutative");
    assert_eq!(ab.joined(c, rng).seal(), a.joined(&mut bc, rng).seal(), "seed {seed}: associative");
    assert_eq!(a.copy().joined(a, rng).seal(), a.seal(), "seed {seed}: idempotent");
    assert_eq!(ab.joined(b, rng).seal(), ab.seal(), "seed {seed}: twice is once");
    assert_eq!(a.joined(&mut ab, rng).seal(), ab.seal(), "seed {seed}: a state takes in what has it");
}

#[test]
fn join_is_commutative_associative_idempotent_and_what_the_log_makes() {
    for seed in 0..seeds(150) {
        let rng = &mut SmallRng::seed_from_u64(seed);
        let mut all = history(rng);
        laws(seed, &mut all, rng);
        let [mut a, mut b, _] = all;
        let mut by_log = a.copy();
        by_log.pull(&b);
        assert_eq!(by_log.seal(), a.joined(&mut b, rng).seal(), "seed {seed}: join is log merge");
    }
}

#[test]
fn the_laws_hold_for_states_with_a_fork_that_all_know() {
    for seed in 0..seeds(150) {
        let rng = &mut SmallRng::seed_from_u64(seed);
        let mut all = forked_history(rng);
        laws(seed, &mut all, rng);
    }
}

#[test]
fn a_fork_that_one_side_alone_knows_holds_for_both_and_no_branch_is_lost() {
    let rng = &mut SmallRng::seed_from_u64(0);
    let [one, two] = [1, 2].map(|n| next(9, None, &[], vec![put(n, &[])]));
    let [mut knows, mut other] = [1, 2].map(Replica::new);
    knows.receive([one, two.clone()]);
    other.receive([two]);
    let mut joined = knows.joined(&mut other, rng);
    assert_eq!(joined.seal().entries.len(), 2, "a clock says nothing of what is above a fork point");
    assert_eq!(joined.seal(), other.joined(&mut knows, rng).seal());
}

#[test]
fn a_join_by_keys_with_work_in_between_is_a_join_in_one_step() {
    for seed in 0..seeds(150) {
        let rng = &mut SmallRng::seed_from_u64(seed);
        let [mut p, mut q, mut r] = history(rng);
        let theirs = q.snapshot(rng.random_range(1..4));
        let mut whole = p.copy();
        whole.join(&theirs, 1_000, |_| ());
        p.join(&theirs, rng.random_range(1..3), |p| {
            let changes = match rng.random_range(0..4) {
                0 => p.write(rng),
                1 => q.write(rng),
                2 => r.write(rng),
                // Old ones too.
                _ => r.log().into_iter().chain(q.log()).map(|(_, change)| change).collect(),
            };
            p.receive(changes.clone());
            whole.receive(changes);
            assert!(p.merge.state.joining.is_some());
            assert_eq!(p.merge.state.digest_told(), NO_HASH, "nobody has the digest of half a join");
        });
        assert_eq!(p.seal(), whole.seal(), "seed {seed}");
    }
}

#[test]
fn a_join_goes_on_after_a_crash_at_any_step() {
    for seed in 0..seeds(80) {
        let rng = &mut SmallRng::seed_from_u64(seed);
        let [mut p, mut q, _] = history(rng);
        let theirs = q.snapshot(rng.random_range(1..4));
        let mut whole = p.copy();
        whole.join(&theirs, 1_000, |_| ());
        p.join(&theirs, 1, |p| {
            if rng.random_bool(0.5) {
                // What is committed is all that there is.
                *p = p.copy();
            }
            let changes = p.write(rng);
            whole.receive(changes);
        });
        assert_eq!(p.seal(), whole.seal(), "seed {seed}");
    }
}

#[test]
fn a_proof_that_comes_during_a_join_is_in_force_when_it_ends() {
    let [one, two] = [1, 2].map(|n| next(9, None, &[], vec![put(n, &[]), put(n + 2, &[])]));
    let prove = |replica: &mut Replica| {
        let [one, two] = [&one, &two].map(|change| change.header.clone());
        replica.merge.check_fork(one, two, &mut replica.rows).unwrap();
    };
    let [mut p, mut q] = [1, 2].map(Replica::new);
    p.receive([one.clone()]);
    q.receive([two.clone()]);
    let theirs = q.snapshot(1);
    let mut whole = p.copy();
    whole.join(&theirs, 1_000, |_| ());
    prove(&mut whole);
    p.join(&theirs, 1, |p| {
        prove(p);
        *p = p.copy();
    });
    assert_eq!(p.merge.state.clock.forks().count(), 0, "all keys are judged alike");
    p.merge.enforce_forks(&mut p.rows).unwrap();
    assert_eq!(p.seal(), whole.seal());
}
