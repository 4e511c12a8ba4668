use std::sync::Mutex;

use automerge::transaction::Transactable;
use automerge::{AutoCommit, ObjType, ROOT, ReadDoc};

use super::*;
use crate::crdt::automerge::formats::digest::Digest;
use crate::crdt::automerge::formats::model::Key;
use crate::crdt::automerge::tests::testing::{Entries, Replica, in_parallel};
use crate::crdt::{MapRows, Table};

/// A peer that hears `changes` in any order, some twice, in turns of any size.
fn heard(changes: &[Signed], rng: &mut StdRng) -> Replica {
    let mut replica = Replica::open(200, 1, MapRows::default());
    let mut order: Vec<_> = changes.iter().chain(changes.iter().take(3)).map(|change| &change.bytes).collect();
    order.shuffle(rng);
    for turn in order.chunks(rng.random_range(1..9)) {
        replica.hear(turn.iter().copied());
    }
    replica
}

fn agree(seed: u64, case: &Case) -> Replica {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut first = Replica::open(200, 1, MapRows::default());
    first.hear(case.admitted.iter().map(|change| &change.bytes));
    for _ in 0..2 {
        let other = heard(&case.admitted, &mut rng);
        assert_eq!(other.state(), first.state(), "seed {seed}");
        let (a, b) = (other.summary(), first.summary());
        assert_eq!((a.clock_hash, a.digest_hash, a.pending), (b.clock_hash, b.digest_hash, b.pending), "seed {seed}");
    }
    first
}

/// The changes that `replica` applied.
fn applied<'a>(replica: &Replica, case: &'a Case) -> Vec<&'a Signed> {
    let seqs = replica.seqs();
    let is_applied = |change: &&Signed| seqs.get(&change.header.actor).is_some_and(|seq| *seq >= change.header.seq);
    case.admitted.iter().filter(is_applied).collect()
}

/// What a set of changes means, with no order in it: put, named by no op of the key, no later put of the same actor.
fn model(changes: &[&Signed]) -> BTreeMap<Key, Entries> {
    let ops = || {
        changes.iter().flat_map(|change| {
            let header = &change.header;
            (header.start_op..).zip(&change.ops).map(move |(counter, op)| (counter, &header.actor, op))
        })
    };
    let named: BTreeSet<_> =
        ops().flat_map(|(_, _, op)| op.preds.iter().map(move |dot| (&op.key, dot.counter, &dot.actor))).collect();
    let mut last = BTreeMap::new();
    for (counter, actor, op) in ops().filter(|(_, _, op)| op.put.is_some()) {
        let greatest = last.entry((&op.key, actor)).or_insert(counter);
        *greatest = counter.max(*greatest);
    }
    let mut state: BTreeMap<Key, Entries> = BTreeMap::new();
    for (counter, actor, op) in ops() {
        let Some(record) = &op.put else { continue };
        if !named.contains(&(&op.key, counter, actor)) && last[&(&op.key, actor)] == counter {
            state.entry(op.key.clone()).or_default().push((counter, actor.clone(), record.clone()));
        }
    }
    for entries in state.values_mut() {
        entries.sort_by(|a, b| b.cmp(a));
    }
    state
}

/// What no set of admitted lies may break.
fn hold(seed: u64, replica: &Replica, applied: &[&Signed]) {
    let state = replica.state();
    assert_eq!(state, model(applied), "seed {seed}: the state is a function of the set");
    let mut digest = Digest::default();
    for (key, entries) in &state {
        for (counter, actor, record) in entries {
            digest.add_entry(key, &Dot { counter: *counter, actor: actor.clone() }, record);
        }
    }
    assert_eq!(replica.summary().digest_hash, digest.hash(), "seed {seed}: the digest is that of the state");
    let ops: usize = applied.iter().map(|change| change.ops.len()).sum();
    let greatest = applied.iter().map(|change| change.header.max_op).max().unwrap_or(BUCKETS);
    assert!(greatest as usize <= BUCKETS as usize + ops, "seed {seed}: no lie burns counters");
    let mut max_ops = BTreeMap::new();
    let mut in_order = applied.to_vec();
    in_order.sort_by_key(|change| change.header.seq);
    for change in in_order {
        let before = max_ops.insert(&change.header.actor, change.header.max_op);
        assert!(before.is_none_or(|before| before < change.header.start_op), "seed {seed}: counters of an actor grow");
    }
    assert_eq!(replica.rows.len(Table::Forked), 0, "seed {seed}: no fork was sent");
}

/// The document that holds the winners saves and loads.
fn export(replica: &Replica) {
    let mut document = AutoCommit::new();
    let state = replica.state();
    for (key, entries) in &state {
        let bucket = format!("{:03x}", key.bucket());
        let map = match document.get(ROOT, &bucket).unwrap() {
            Some((_, map)) => map,
            None => document.put_object(ROOT, &bucket, ObjType::Map).unwrap(),
        };
        document.put(map, key.as_str(), ScalarValue::Bytes(entries[0].2.clone())).unwrap();
    }
    let loaded = AutoCommit::load(&document.save()).unwrap();
    for (key, entries) in &state {
        let (_, map) = loaded.get(ROOT, format!("{:03x}", key.bucket())).unwrap().unwrap();
        let (value, _) = loaded.get(map, key.as_str()).unwrap().unwrap();
        assert_eq!(value.as_bytes(), Some(&entries[0].2[..]));
    }
}

#[test]
fn no_input_panics_and_what_is_admitted_gives_one_state_in_any_order() {
    let inputs = std::env::var("HOSTILE").map_or(50_000, |n| n.parse().unwrap());
    let cases = inputs / CASE_INPUTS;
    let seen = Mutex::new((0, 0, BTreeSet::new()));
    in_parallel(cases, |seed| {
        let case = Case::run(seed);
        let replica = agree(seed, &case);
        let applied = applied(&replica, &case);
        hold(seed, &replica, &applied);
        export(&replica);
        let mut seen = seen.lock().unwrap();
        seen.0 += case.admitted.len() as u64;
        seen.1 += applied.len() as u64;
        seen.2.extend(case.refused);
    });
    let (admitted, applied, refused) = seen.into_inner().unwrap();
    assert!(admitted > 8 * cases && applied > 6 * cases, "{admitted} admitted and {applied} applied in {cases} cases");
    assert!(refused.len() >= 38 || cases < 1000, "every check refuses something: {refused:#?}");
}
