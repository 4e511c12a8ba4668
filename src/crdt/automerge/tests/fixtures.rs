//! (test) Signed changes, and a merge to feed them to.
use bytes::Bytes;

use super::testing::{CLUSTER, EPOCH, actor, key, keypair, peer};
use crate::crdt::MapRows;
use crate::crdt::automerge::formats::change::{ChangeOp, Dot, Draft};
use crate::crdt::automerge::formats::clock::Dep;
use crate::crdt::automerge::formats::envelope::{Header, Signed, seal, verify};
use crate::crdt::automerge::formats::model::BUCKETS;
use crate::crdt::automerge::inspect::audit;
use crate::crdt::automerge::merge::Merge;
use crate::crdt::automerge::tables::pending::Pending;
use crate::crdt::automerge::tables::stage::Stage;
use crate::crdt::automerge::tables::state::State;
use crate::crdt::automerge::tables::view::View;
use crate::model::{Trust, UnixMillis};

/// The change of `draft`, signed by its author and checked.
pub fn signed(draft: &Draft) -> Signed {
    let n = (1..=u8::MAX).find(|n| peer(*n) == draft.actor.peer()).unwrap();
    let envelope = seal(draft, &keypair(n), EPOCH, CLUSTER);
    verify(Bytes::from(envelope.encode()), EPOCH, CLUSTER).unwrap()
}

/// A peer that trusts some, and a history to feed it.
pub struct World {
    pub merge: Merge,
    pub rows: MapRows,
}

impl World {
    pub fn trusting(peers: &[u8]) -> Self {
        let mut rows = MapRows::default();
        let state = State::open(EPOCH, &mut rows).unwrap();
        let trust = Trust::Only(peers.iter().map(|n| peer(*n)).collect());
        let merge = Merge::new(peer(1), trust, state, Stage::default(), Pending::new(8));
        Self { merge, rows }
    }

    pub fn receive(&mut self, change: &Signed) {
        self.merge.receive(change.clone(), false, &mut self.rows).unwrap();
    }

    pub fn seq(&self, n: u8) -> u32 {
        self.merge.state.clock.row(&actor(n, 1)).map_or(0, |row| row.seq)
    }

    pub fn count(&self, what: &str) -> u64 {
        self.merge.told.counts.get(what).copied().unwrap_or(0)
    }

    pub fn check(&mut self) {
        self.merge.state.flush(UnixMillis(0), &mut self.rows).unwrap();
        assert_eq!(audit(&self.rows).unwrap().faults, [""; 0]);
    }
}

pub fn put(n: u32, preds: &[(u32, u8)]) -> ChangeOp {
    let preds = preds.iter().map(|(counter, n)| Dot { counter: *counter, actor: actor(*n, 1) }).collect();
    ChangeOp { key: key(n), put: Some(n.to_le_bytes().to_vec()), preds }
}

/// The change after `prev` of peer `n`, with everything of `seen` as a dependency.
pub fn next(n: u8, prev: Option<&Signed>, seen: &[&Signed], ops: Vec<ChangeOp>) -> Signed {
    let mut deps: Vec<Dep> = seen.iter().map(|change| dep_on(change)).collect();
    deps.sort_by(|a, b| a.actor.cmp(&b.actor));
    let greatest = deps.iter().map(|dep| dep.max_op).chain(prev.map(|prev| prev.header.max_op)).max().unwrap_or(0);
    signed(&Draft {
        actor: actor(n, 1),
        seq: prev.map_or(0, |prev| prev.header.seq) + 1,
        start_op: greatest.max(BUCKETS) + 1,
        prev: prev.map(|prev| (prev.header.change_hash, prev.header.max_op)),
        deps,
        ops,
    })
}

pub fn dep_on(change: &Signed) -> Dep {
    let Header { actor, seq, max_op, change_hash, .. } = &change.header;
    Dep { actor: actor.clone(), seq: *seq, max_op: *max_op, hash: *change_hash }
}
