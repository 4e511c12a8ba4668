//! (test) Envelopes that no honest author sends: lies in every field, changed bytes, and bombs.
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::legacy::{Key as LegacyKey, ObjectId, OpId, OpType};
use automerge::{ActorId, Change, ChangeHash, ExpandedChange, ScalarValue};
use rand::rngs::StdRng;
use rand::seq::{IndexedMutRandom, IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use super::testing::{CLUSTER, EPOCH, actor, key, keypair};
use crate::crdt::Refused;
use crate::crdt::automerge::formats::change::{ChangeOp, Dot, Draft, tests::encoded_again};
use crate::crdt::automerge::formats::clock::{Actor, COUNTER_MAX, Dep, Hash, NO_HASH};
use crate::crdt::automerge::formats::codec::{put_sized, put_v};
use crate::crdt::automerge::formats::envelope::{Envelope, Signed, seal, tests::signed_again, verify};
use crate::crdt::automerge::formats::model::{BUCKETS, GENESIS, GENESIS_ACTOR};

/// Inputs of one case, which builds on one history.
const CASE_INPUTS: u64 = 50;

/// Keys that the history of a case is about.
const KEYS: u32 = 6;

/// Authors of a case, each with two starts or more.
const AUTHORS: u8 = 4;

/// One history that honest and lying authors write together.
pub struct Case {
    rng: StdRng,
    /// What was admitted, one change for each (actor, seq) and each on the one before: no forks.
    pub admitted: Vec<Signed>,
    /// Why inputs were refused.
    pub refused: BTreeSet<String>,
    tips: BTreeMap<Actor, Tip>,
    /// Actors with a change that is not ready: another one of theirs might be a fork.
    burnt: BTreeSet<Actor>,
    dots: Vec<(u32, Dot)>,
}

#[derive(Clone, Copy)]
struct Tip {
    seq: u32,
    max_op: u32,
    hash: Hash,
}

impl Case {
    pub fn run(seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        let (admitted, refused) = (Vec::new(), BTreeSet::new());
        let (tips, burnt, dots) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        let mut case = Self { rng, admitted, refused, tips, burnt, dots };
        for _ in 0..CASE_INPUTS {
            if let Some((author, bytes)) = case.input() {
                case.check(author, bytes);
            }
        }
        case
    }

    /// The next input; none when the library itself does not encode the lie.
    fn input(&mut self) -> Option<(u8, Vec<u8>)> {
        let author = self.rng.random_range(1..=AUTHORS);
        let mut draft = self.draft(author);
        let kind = self.rng.random_range(0..100);
        for _ in 0..if (10..50).contains(&kind) { self.rng.random_range(1..3) } else { 0 } {
            self.lie_in_draft(&mut draft);
        }
        let sealed = catch_unwind(AssertUnwindSafe(|| seal(&draft, &keypair(author), EPOCH, CLUSTER)));
        let mut envelope = sealed.ok()?;
        match kind {
            ..50 => return Some((author, envelope.encode())),
            50..60 => self.lie_in_header(&mut envelope),
            60..75 => self.lie_in_ops(&mut envelope)?,
            75..85 => self.change_bytes_of_chunk(&mut envelope),
            85..93 => self.bomb(&mut envelope),
            _ => return Some((author, self.changed(envelope.encode()))),
        }
        Some((author, signed_again(envelope, author).encode()))
    }

    fn check(&mut self, author: u8, bytes: Vec<u8>) {
        let signed = match verify(bytes.into(), EPOCH, CLUSTER) {
            Ok(signed) => signed,
            Err(Refused::Panicked) => panic!("the library panicked"),
            Err(refused @ (Refused::Malformed(_) | Refused::Foreign(_))) => {
                self.refused.insert(refused.to_string());
                return;
            }
        };
        assert_eq!(signed.header.actor.peer(), keypair(author).public().to_peer_id());
        let chunk = Envelope::decode(&signed.bytes).unwrap().chunk;
        let library = Change::from_bytes(chunk).unwrap();
        assert_eq!((library.hash().0, library.len()), (signed.header.change_hash, signed.ops.len()));
        assert_eq!(library.decode().operations.len(), signed.ops.len());
        self.keep(signed);
    }

    /// Goes on from `signed` when it is ready, and never takes a fork.
    fn keep(&mut self, signed: Signed) {
        let header = &signed.header;
        let own = self.tips.get(&header.actor).copied().unwrap_or(Tip { seq: 0, max_op: 0, hash: NO_HASH });
        let is_next = header.seq == own.seq + 1;
        if self.burnt.contains(&header.actor) || header.seq <= own.seq || (is_next && header.prev_hash != own.hash) {
            return;
        }
        if is_next && header.prev_max_op == own.max_op && self.has_seen(&signed) {
            self.advance(&signed);
        } else {
            self.burnt.insert(header.actor.clone());
        }
        self.admitted.push(signed);
    }

    /// Rules 7 and 8.
    fn has_seen(&self, signed: &Signed) -> bool {
        let dep_is_met =
            |dep: &Dep| self.tips.get(&dep.actor).is_some_and(|tip| tip.seq >= dep.seq && tip.max_op >= dep.max_op);
        let pred_is_met = |dot: &Dot| self.tips.get(&dot.actor).is_some_and(|tip| tip.max_op >= dot.counter);
        signed.deps.iter().all(dep_is_met) && signed.ops.iter().flat_map(|op| &op.preds).all(pred_is_met)
    }

    fn advance(&mut self, signed: &Signed) {
        let header = &signed.header;
        let tip = Tip { seq: header.seq, max_op: header.max_op, hash: header.change_hash };
        self.tips.insert(header.actor.clone(), tip);
        let numbers: BTreeMap<_, _> = (0..KEYS).map(|n| (key(n), n)).collect();
        for (op, counter) in signed.ops.iter().zip(header.start_op..) {
            let Some(number) = numbers.get(&op.key).filter(|_| op.put.is_some()) else { continue };
            self.dots.push((*number, Dot { counter, actor: header.actor.clone() }));
        }
    }

    /// What an honest author might write next.
    fn draft(&mut self, author: u8) -> Draft {
        let first = self.rng.random_range(1..3);
        let actor =
            (first..=u8::MAX).map(|start| actor(author, start)).find(|actor| !self.burnt.contains(actor)).unwrap();
        let tip = self.tips.get(&actor).copied();
        let dep = |(actor, tip): (&Actor, &Tip)| Dep {
            actor: actor.clone(),
            seq: tip.seq,
            max_op: tip.max_op,
            hash: tip.hash,
        };
        let mut deps: Vec<_> = self.tips.iter().filter(|(other, _)| **other != actor).map(dep).collect();
        deps.retain(|_| self.rng.random_bool(0.7));
        let mut ops: Vec<_> = (0..KEYS).collect();
        ops.shuffle(&mut self.rng);
        ops.truncate(self.rng.random_range(1..4));
        let own = tip.map_or(0, |tip| tip.max_op);
        let ops = ops.into_iter().map(|n| self.op(n, &actor, own)).collect();
        let prev = tip.map(|tip| (tip.hash, tip.max_op));
        let mut draft = Draft { actor, seq: tip.map_or(0, |tip| tip.seq) + 1, start_op: 0, prev, deps, ops };
        begin_above(&mut draft);
        draft
    }

    fn op(&mut self, n: u32, author: &Actor, own: u32) -> ChangeOp {
        let of_key =
            self.dots.iter().filter(|(number, dot)| *number == n && (dot.actor != *author || dot.counter <= own));
        let mut preds: Vec<_> = of_key.map(|(_, dot)| dot.clone()).collect();
        preds.retain(|_| self.rng.random_bool(0.6));
        preds.sort_by(|a, b| b.cmp(a));
        let record = vec![self.rng.random(); self.rng.random_range(0..30)];
        let put = (preds.is_empty() || self.rng.random_bool(0.6)).then_some(record);
        ChangeOp { key: key(n), put, preds }
    }

    fn lie_in_draft(&mut self, draft: &mut Draft) {
        match self.rng.random_range(0..5) {
            0 => self.lie_in_numbers(draft),
            1 => self.lie_in_deps(draft),
            2 => self.lie_in_ops_of(draft),
            _ => self.lie_in_preds(draft),
        }
        if self.rng.random_bool(0.6) {
            begin_above(draft);
        }
    }

    fn lie_in_numbers(&mut self, draft: &mut Draft) {
        let number = self.number();
        match self.rng.random_range(0..6) {
            0 => draft.seq = number,
            1 => draft.seq = draft.seq.wrapping_add(1),
            2 => draft.start_op = number,
            3 => draft.prev = draft.prev.map_or(Some(([9; 32], number)), |(hash, _)| Some((hash, number))),
            4 => draft.prev = None,
            _ => draft.actor = Actor::new(draft.actor.peer(), [self.rng.random_range(1..9); 8]),
        }
    }

    fn lie_in_deps(&mut self, draft: &mut Draft) {
        let number = self.number();
        let strange = Dep { actor: actor(9, 9), seq: 1, max_op: number, hash: [9; 32] };
        let Some(dep) = draft.deps.choose_mut(&mut self.rng) else { return draft.deps.push(strange) };
        match self.rng.random_range(0..8) {
            0 => dep.max_op = number,
            1 => dep.max_op = dep.max_op.saturating_sub(1),
            2 => dep.seq = number,
            3 => dep.hash = self.rng.random(),
            4 => draft.deps.reverse(),
            5 => draft.deps.push(strange),
            6 => draft.deps = vec![strange; self.rng.random_range(2..70)],
            _ => dep.actor = draft.actor.clone(),
        }
    }

    fn lie_in_ops_of(&mut self, draft: &mut Draft) {
        let Some(op) = draft.ops.first().cloned() else { return };
        match self.rng.random_range(0..7) {
            0 => draft.ops.clear(),
            1 => draft.ops.push(op),
            2 => {
                draft.ops =
                    (0..self.rng.random_range(490..510)).map(|n| ChangeOp { key: key(n), ..op.clone() }).collect();
            }
            3 => draft.ops[0].put = Some(vec![1; self.rng.random_range(16_000..17_000)]),
            4 => {
                draft.ops =
                    (0..5).map(|n| ChangeOp { key: key(n), put: Some(vec![1; 16_000]), preds: Vec::new() }).collect();
            }
            5 => draft.ops[0] = ChangeOp { put: None, preds: Vec::new(), ..op },
            _ => draft.ops[0].key = key(self.rng.random_range(0..50)),
        }
    }

    fn lie_in_preds(&mut self, draft: &mut Draft) {
        let number = self.number();
        let any = self.dots.choose(&mut self.rng).map(|(_, dot)| dot.clone());
        let mut dot = any.unwrap_or(Dot { counter: number, actor: actor(2, 1) });
        let Some(op) = draft.ops.choose_mut(&mut self.rng) else { return };
        match self.rng.random_range(0..6) {
            0 => dot.counter = number,
            1 => dot.counter = dot.counter.wrapping_add(1),
            2 => dot = Dot { counter: number, actor: draft.actor.clone() },
            3 => op.preds.push(dot.clone()),
            4 => {
                op.preds = (1..self.rng.random_range(500..530))
                    .map(|n| Dot { counter: n, actor: dot.actor.clone() })
                    .collect();
            }
            _ => dot.actor = actor(9, 9),
        }
        op.preds.push(dot);
        op.preds.sort_by(|a, b| b.cmp(a));
    }

    /// A number where checks are wrong by one, or any.
    fn number(&mut self) -> u32 {
        let greatest = self.tips.values().map(|tip| tip.max_op).max().unwrap_or(BUCKETS);
        let near =
            [0, 1, BUCKETS, BUCKETS + 1, greatest, greatest + 1, greatest + 9, COUNTER_MAX - 1, COUNTER_MAX, u32::MAX];
        *[near[self.rng.random_range(0..near.len())], self.rng.random(), greatest + 2].choose(&mut self.rng).unwrap()
    }

    fn lie_in_header(&mut self, envelope: &mut Envelope) {
        let number = self.number();
        let header = &mut envelope.header;
        match self.rng.random_range(0..10) {
            0 => header.epoch ^= 1,
            1 => header.seq = number,
            2 => header.start_op = number,
            3 => header.max_op = number,
            4 => header.prev_max_op = number,
            5 => header.prev_hash = self.rng.random(),
            6 => header.change_hash = self.rng.random(),
            7 => header.deps_hash = self.rng.random(),
            8 => header.key = keypair(1).public().encode_protobuf(),
            _ => header.actor = actor(self.rng.random_range(1..=AUTHORS), 1),
        }
    }

    /// Lets the library encode ops and fields that ours never has.
    fn lie_in_ops(&mut self, envelope: &mut Envelope) -> Option<()> {
        let mut change = Change::from_bytes(std::mem::take(&mut envelope.chunk)).unwrap().decode();
        self.lie_in_expanded(&mut change);
        let change = catch_unwind(AssertUnwindSafe(|| Change::from(change))).ok()?;
        envelope.header.change_hash = change.hash().0;
        let ops = u32::try_from(change.len()).unwrap();
        envelope.header.max_op = envelope.header.start_op.wrapping_add(ops).wrapping_sub(1);
        envelope.chunk = change.raw_bytes().to_vec();
        Some(())
    }

    fn lie_in_expanded(&mut self, change: &mut ExpandedChange) {
        let number = u64::from(self.number());
        let op = change.operations.choose_mut(&mut self.rng).unwrap();
        match self.rng.random_range(0..16) {
            0 => op.insert = true,
            1 => op.obj = ObjectId::Root,
            2 => op.obj = ObjectId::Id(OpId(number, ActorId::from(GENESIS_ACTOR))),
            3 => op.obj = ObjectId::Id(OpId(number, change.actor_id.clone())),
            4 => op.key = LegacyKey::Map(["", "r", "x", "é", "rAAAA"][self.rng.random_range(0..5)].into()),
            5 => op.key = LegacyKey::head(),
            6 => op.action = OpType::Make(automerge::ObjType::Text),
            7 => op.action = OpType::Increment(self.rng.random()),
            8 => op.action = OpType::MarkEnd(true),
            9 => op.action = OpType::Put(self.scalar()),
            10 => op.pred = vec![OpId(number, ActorId::from([7; 3]))].into(),
            11 => op.pred = vec![OpId(number, ActorId::from(GENESIS_ACTOR))].into(),
            12 => change.time = self.rng.random(),
            13 => change.message = Some("x".repeat(self.rng.random_range(1..300))),
            14 => change.extra_bytes = vec![1; self.rng.random_range(1..300)],
            _ => change.deps = vec![ChangeHash(self.rng.random()); self.rng.random_range(0..70)],
        }
    }

    fn scalar(&mut self) -> ScalarValue {
        match self.rng.random_range(0..6) {
            0 => ScalarValue::Null,
            1 => ScalarValue::Uint(self.rng.random()),
            2 => ScalarValue::counter(self.rng.random()),
            3 => ScalarValue::F64(f64::NAN),
            4 => ScalarValue::Str("text".into()),
            _ => ScalarValue::Unknown { type_code: 12, bytes: vec![1] },
        }
    }

    fn change_bytes_of_chunk(&mut self, envelope: &mut Envelope) {
        // Magic, checksum, kind and length are made anew, so that what is behind them is read.
        let body = envelope.chunk.iter().copied().skip(if envelope.chunk.len() > 138 { 11 } else { 10 }).collect();
        let body = self.changed(body);
        self.replace_chunk(envelope, &body);
    }

    fn changed(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.rng.random_range(1..4) {
            let at = self.rng.random_range(0..bytes.len().max(1));
            match self.rng.random_range(0..6) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at.min(bytes.len()), self.rng.random()),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 => bytes.extend_from_within(at.min(bytes.len())..),
                _ if at < bytes.len() => {
                    bytes[at] = bytes[at].wrapping_add([1, 0xff, 0x80, self.rng.random()][self.rng.random_range(0..4)]);
                }
                _ => (),
            }
        }
        bytes
    }

    fn replace_chunk(&mut self, envelope: &mut Envelope, body: &[u8]) {
        let mut chunk = vec![0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, 1];
        put_sized(&mut chunk, body);
        envelope.header.change_hash = self.rng.random();
        envelope.chunk = chunk;
        if let Some((canonical, hash)) = encoded_again(&envelope.chunk) {
            envelope.header.change_hash = hash;
            if canonical[8..] == envelope.chunk[8..] {
                envelope.chunk = canonical;
            }
        }
    }

    /// Columns that claim to hold far more than they are.
    fn bomb(&mut self, envelope: &mut Envelope) {
        let mut body = vec![1];
        body.extend_from_slice(&GENESIS);
        envelope.header.actor.write(&mut body);
        put_v(&mut body, envelope.header.seq.into());
        put_v(&mut body, envelope.header.start_op.into());
        body.extend_from_slice(&[0, 0]);
        let others = if self.rng.random_bool(0.9) { 1 } else { self.rng.random() };
        put_v(&mut body, others);
        put_sized(&mut body, GENESIS_ACTOR);
        let columns: Vec<_> =
            [0x01, 0x02, 0x15, 0x34, 0x42, 0x56, 0x57, 0x70, 0x71, 0x73].map(|id| (id, self.column())).into();
        put_v(&mut body, columns.len() as u64);
        for (id, data) in &columns {
            put_v(&mut body, *id);
            put_v(&mut body, if self.rng.random_bool(0.98) { data.len() as u64 } else { self.rng.random() });
        }
        for (_, data) in &columns {
            body.extend_from_slice(data);
        }
        self.replace_chunk(envelope, &body);
    }

    fn column(&mut self) -> Vec<u8> {
        let run: i64 = *[1, 3, 500, 501, 512, 4096, 1 << 20, 1 << 40, i64::MAX, i64::MIN, -1, -500, 0]
            .choose(&mut self.rng)
            .unwrap();
        let mut out = Vec::new();
        for _ in 0..self.rng.random_range(0..4) {
            put_signed(&mut out, run);
            put_v(&mut out, *[0, 1, 7, 0x17, 512, u64::MAX].choose(&mut self.rng).unwrap());
        }
        out
    }
}

fn put_signed(out: &mut Vec<u8>, mut n: i64) {
    loop {
        let byte = u8::try_from(n & 0x7f).unwrap();
        n >>= 7;
        if (n == 0 && byte & 0x40 == 0) || (n == -1 && byte & 0x40 != 0) {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}

/// Rule 4, from what the draft claims to have seen.
fn begin_above(draft: &mut Draft) {
    let seen = draft.deps.iter().map(|dep| dep.max_op).chain(draft.prev.map(|prev| prev.1)).fold(BUCKETS, u32::max);
    draft.start_op = seen.saturating_add(1);
}

#[path = "hostile_tests.rs"]
mod tests;
