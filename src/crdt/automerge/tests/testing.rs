//! (test) Peers, keys and drafts that tests are made of.
use std::sync::atomic::{AtomicU64, Ordering};

use automerge::Change;
use libp2p::identity::Keypair;
use proptest::prelude::*;

use crate::crdt::automerge::formats::change::{ChangeOp, Dot, Draft};
use crate::crdt::automerge::formats::clock::{Actor, Dep};
use crate::crdt::automerge::formats::model::genesis;
use crate::crdt::automerge::formats::model::{BUCKETS, Key};
use crate::crdt::automerge::tables::{entries, state};
use crate::crdt::automerge::{EngineArgs, Limits, open};
use crate::crdt::{Engine, Input, MapRows, Now, Sending, Table, Turn};
use crate::model::{Cid, PeerId, Trust, UnixMillis};

pub const EPOCH: u32 = 7;
pub const CLUSTER: &str = "test cluster";

/// The key of peer number `n`.
pub fn keypair(n: u8) -> Keypair {
    Keypair::ed25519_from_bytes([n; 32]).unwrap()
}

pub fn peer(n: u8) -> PeerId {
    keypair(n).public().to_peer_id()
}

/// A start of peer number `n`.
pub fn actor(n: u8, start: u8) -> Actor {
    Actor::new(peer(n), [start; 8])
}

pub fn cid(n: u32) -> Cid {
    let digest = blake3::hash(&n.to_le_bytes());
    Cid::new_v1(0x55, cid::multihash::Multihash::wrap(0x12, digest.as_bytes()).unwrap())
}

pub fn key(n: u32) -> Key {
    Key::of(&cid(n))
}

pub fn dep(n: u8, seq: u32, max_op: u32) -> Dep {
    Dep { actor: actor(n, 1), seq, max_op, hash: *blake3::hash(&[n]).as_bytes() }
}

/// A first change of peer 1 that puts one record.
pub fn draft() -> Draft {
    let op = ChangeOp { key: key(0), put: Some(b"record".to_vec()), preds: Vec::new() };
    Draft { actor: actor(1, 1), seq: 1, start_op: BUCKETS + 1, prev: None, deps: Vec::new(), ops: vec![op] }
}

/// The change that every document begins with.
pub fn genesis() -> Change {
    Change::try_from(&genesis::chunk()[..]).unwrap()
}

fn dots(max_op: u32) -> impl Strategy<Value = Vec<Dot>> {
    let dot = (1..max_op, 1..4u8, 1..4u8).prop_map(|(counter, n, start)| Dot { counter, actor: actor(n, start) });
    proptest::collection::btree_set(dot, 0..6).prop_map(|dots| dots.into_iter().rev().collect())
}

/// Drafts of peer 1 that rule 5 admits.
pub fn drafts() -> impl Strategy<Value = Draft> {
    let prev = proptest::option::of((any::<[u8; 32]>(), BUCKETS + 1..9_000));
    let deps = proptest::collection::btree_map(2..9u8, (1..5u32, BUCKETS + 1..9_000), 0..5);
    let puts = proptest::option::weighted(0.8, proptest::collection::vec(any::<u8>(), 0..40));
    let ops = proptest::collection::btree_map(0..400u32, (puts, dots(BUCKETS)), 1..9);
    (prev, deps, ops, 2..5u32).prop_map(|(prev, deps, ops, seq)| {
        let deps: std::collections::BTreeMap<_, _> =
            deps.into_iter().map(|(n, (seq, max_op))| (actor(n, 1), dep(n, seq, max_op))).collect();
        let deps: Vec<Dep> = deps.into_values().collect();
        let seen = deps.iter().map(|dep| dep.max_op).chain(prev.map(|prev| prev.1)).fold(BUCKETS, u32::max);
        let op = |(n, (put, preds))| ChangeOp { key: key(n), put, preds };
        let mut ops: Vec<_> = ops.into_iter().map(op).collect();
        let own = prev.map_or(0, |prev| prev.1);
        for op in &mut ops {
            op.preds.retain(|dot| dot.actor != actor(1, 1) || dot.counter <= own);
            op.put = op.put.take().or_else(|| op.preds.is_empty().then(Vec::new));
        }
        Draft { actor: actor(1, 1), seq: prev.map_or(1, |_| seq), start_op: seen + 1, prev, deps, ops }
    })
}

/// What a key holds: (counter, actor, record), winner first.
pub type Entries = Vec<(u32, Actor, Vec<u8>)>;

/// A peer's engine on rows in memory, which trusts everyone.
pub struct Replica {
    pub rows: MapRows,
    engine: Box<dyn Engine>,
    number: u8,
    clock: u64,
}

impl Replica {
    /// The start `start` of peer `number`, on `rows`.
    pub fn open(number: u8, start: u8, mut rows: MapRows) -> Self {
        let args = EngineArgs {
            keypair: keypair(number),
            epoch: EPOCH,
            cluster_name: CLUSTER.to_owned(),
            trust: Trust::Everyone,
            actor_suffix: [start; 8],
            started: UnixMillis(i64::from(start)),
            limits: Limits::default(),
        };
        let engine = open(args, &mut rows).unwrap();
        Self { rows, engine, number, clock: 0 }
    }

    /// The same peer after a crash: what was not in rows is gone.
    pub fn restarted(self, start: u8) -> Self {
        Self::open(self.number, start, self.rows)
    }

    /// Takes `inputs` as one turn.
    pub fn turn(&mut self, inputs: Vec<Input>) -> Turn {
        self.clock += 1;
        let now = Now { wall: UnixMillis(1_700_000_000_000), mono: self.clock };
        self.engine.turn(inputs, now, &mut self.rows).unwrap()
    }

    /// Takes envelopes from gossip in one turn, those that pass the check.
    pub fn hear<'a>(&mut self, envelopes: impl IntoIterator<Item = &'a bytes::Bytes>) {
        let check = self.engine.check();
        let checked = envelopes.into_iter().filter_map(|bytes| check.gossip(0, bytes).ok());
        let inputs = checked.map(|item| Input::Checked { from: peer(9), item }).collect();
        self.turn(inputs);
    }

    pub fn entries(&self, key: &Key) -> Entries {
        let entries = entries::load(key, &self.rows).unwrap().into_iter();
        entries.map(|e| (e.counter, state::actor_of(e.number, &self.rows).unwrap(), e.record)).collect()
    }

    /// Every key with its entries.
    pub fn state(&self) -> std::collections::BTreeMap<Key, Entries> {
        let keys = self.rows.rows(Table::Pins).map(|(key, _)| Key::parse(std::str::from_utf8(key).unwrap()).unwrap());
        keys.map(|key| (key.clone(), self.entries(&key))).collect()
    }

    /// The last change applied of each actor.
    pub fn seqs(&self) -> std::collections::BTreeMap<Actor, u32> {
        let clock = state::load_clock(&self.rows).unwrap();
        clock.rows().map(|(actor, row)| (actor.clone(), row.seq)).collect()
    }

    pub fn summary(&self) -> crate::crdt::Summary {
        self.engine.summary()
    }
}

/// The changes that a turn publishes.
pub fn published(turn: Turn) -> Vec<bytes::Bytes> {
    let change = |sending| match sending {
        Sending::Gossip { topic: 0, bytes } => Some(bytes),
        Sending::Gossip { .. } | Sending::Open { .. } | Sending::Frame { .. } | Sending::Close { .. } => None,
    };
    turn.sends.into_iter().filter_map(change).collect()
}

/// Runs `run` for each number below `cases`, on all processors.
pub fn in_parallel(cases: u64, run: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    let work = || {
        while let Some(case) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|case| *case < cases) {
            run(case);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(work);
        }
    });
}
