use automerge::ReadDoc;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::crdt::automerge::tests::testing::{actor, draft, drafts, genesis, key};

/// What the library makes of the chunk's ops, and its hash, when they can be read.
pub fn encoded_again(bytes: &[u8]) -> Option<(Vec<u8>, Hash)> {
    let (front, columns) = Front::read(bytes).ok()?;
    let ops = front.ops(&columns).ok()?;
    Some(chunk(&front.actor, front.seq, front.start_op, &front.deps, &ops))
}

/// Drafts of peer 1, the same ones each time.
pub fn samples() -> Vec<Draft> {
    let mut runner = TestRunner::deterministic();
    let drafts = drafts();
    let some = (0..12).map(|_| drafts.new_tree(&mut runner).unwrap().current());
    let many = (0..40).map(|n| ChangeOp { put: Some(vec![7; n as usize]), ..op(n, dots(n % 5, 3)) }).collect();
    some.chain([draft(), Draft { ops: many, ..draft() }]).collect()
}

/// Encodes a lie: `lie` changes what the library is asked to encode.
fn lied(lie: impl FnOnce(&mut ExpandedChange)) -> Result<Decoded, Refused> {
    let (bytes, _) = encode(&draft());
    let mut expanded = Change::from_bytes(bytes).unwrap().decode();
    lie(&mut expanded);
    decode(Change::from(expanded).raw_bytes())
}

fn drafted(change: impl FnOnce(&mut Draft)) -> Result<Decoded, Refused> {
    let mut draft = draft();
    change(&mut draft);
    decode(&encode(&draft).0)
}

fn dots(count: u32, actors: u8) -> Vec<Dot> {
    let starts = (0..).flat_map(|start| (2..2 + actors).map(move |n| actor(n, start)));
    let mut dots: Vec<_> = (0..count).zip(starts).map(|(n, actor)| Dot { counter: 4097 + n, actor }).collect();
    dots.sort_by(|a, b| b.cmp(a));
    dots
}

fn op(n: u32, preds: Vec<Dot>) -> ChangeOp {
    ChangeOp { key: key(n), put: Some(vec![7; 60]), preds }
}

#[test]
fn a_chunk_is_what_automerge_takes() {
    let (bytes, hash) = encode(&draft());
    let change = Change::from_bytes(bytes).unwrap();
    assert_eq!(change.hash().0, hash);
    let mut document = automerge::Automerge::new();
    document.apply_changes([genesis(), change]).unwrap();
    let bucket = format!("{:03x}", key(0).bucket());
    let (_, bucket) = document.get(automerge::ROOT, bucket).unwrap().unwrap();
    let (value, _) = document.get(bucket, key(0).as_str()).unwrap().unwrap();
    assert_eq!(value.into_scalar().unwrap(), ScalarValue::Bytes(b"record".to_vec()));
}

#[test]
fn a_first_change_names_the_genesis() {
    let decoded = drafted(|_| ()).unwrap();
    assert_eq!(decoded.deps, [GENESIS]);
    assert_eq!((decoded.seq, decoded.start_op, decoded.ops), (1, 4097, draft().ops));
}

#[test]
fn what_no_author_writes_is_refused() {
    assert!(lied(|_| ()).is_ok());
    assert!(lied(|c| c.time = 1).is_err());
    assert!(lied(|c| c.message = Some("hello".into())).is_err());
    assert!(lied(|c| c.extra_bytes = vec![1]).is_err());
    assert!(lied(|c| c.seq = 0).is_err());
    assert!(lied(|c| c.seq = u64::MAX).is_err());
    assert!(lied(|c| c.start_op = NonZeroU64::new(4096).unwrap()).is_err());
    assert!(lied(|c| c.start_op = NonZeroU64::new(u64::from(COUNTER_MAX)).unwrap()).is_err());
    assert!(lied(|c| c.start_op = NonZeroU64::new(u64::from(COUNTER_MAX) - 1).unwrap()).is_ok());
    assert!(lied(|c| c.actor_id = ActorId::from(b"somebody")).is_err());
    assert!(lied(|c| c.actor_id = ActorId::from(GENESIS_ACTOR)).is_err());
    assert!(lied(|c| c.deps = vec![ChangeHash([1; 32]); 65]).is_err());
    assert!(lied(|c| c.operations.clear()).is_err());
}

#[test]
fn ops_of_any_other_shape_are_refused() {
    let lie = |lie: fn(&mut Op)| lied(move |change| change.operations.iter_mut().for_each(lie));
    let genesis = |n| ObjectId::Id(OpId(n, ActorId::from(GENESIS_ACTOR)));
    let bucket = u64::from(key(0).bucket());
    assert!(lied(|c| c.operations[0].obj = genesis(bucket + 1)).is_ok());
    assert!(lied(|c| c.operations[0].obj = genesis(bucket + 2)).is_err());
    assert!(lied(|c| c.operations[0].obj = ObjectId::Id(OpId(bucket + 1, c.actor_id.clone()))).is_err());
    assert!(lie(|op| op.obj = ObjectId::Root).is_err());
    assert!(lie(|op| op.insert = true).is_err());
    assert!(lie(|op| op.key = LegacyKey::Map("rAAAA".into())).is_err());
    assert!(lie(|op| op.key = LegacyKey::head()).is_err());
    assert!(lie(|op| op.action = OpType::Delete).is_err(), "a removal of nothing");
    assert!(lie(|op| op.action = OpType::Make(automerge::ObjType::Map)).is_err());
    assert!(lie(|op| op.action = OpType::Increment(1)).is_err());
    assert!(lie(|op| op.action = OpType::Put(ScalarValue::Str("text".into()))).is_err());
    assert!(lie(|op| op.action = OpType::Put(ScalarValue::Null)).is_err());
    assert!(lie(|op| op.action = OpType::Put(ScalarValue::Bytes(vec![0; MAX_RECORD]))).is_ok());
    assert!(lie(|op| op.action = OpType::Put(ScalarValue::Bytes(vec![0; MAX_RECORD + 1]))).is_err());
}

#[test]
fn predecessors_are_ids_of_actors() {
    let with = |preds: Vec<OpId>| lied(move |change| change.operations[0].pred = preds.into());
    let somebody = || ActorId::from(actor(2, 1).as_bytes());
    assert!(with(vec![OpId(5000, somebody())]).is_ok());
    assert!(with(vec![OpId(0, somebody())]).is_err());
    assert!(with(vec![OpId(u64::from(COUNTER_MAX), somebody())]).is_err());
    assert!(with(vec![OpId(5000, somebody()), OpId(5000, somebody())]).is_err(), "one twice");
    assert!(with(vec![OpId(1, ActorId::from(GENESIS_ACTOR))]).is_err());
    assert!(with(vec![OpId(1, ActorId::from([9; 70]))]).is_err());
}

#[test]
fn limits_hold_at_both_sides() {
    let ops = |count: u32| move |draft: &mut Draft| draft.ops = (0..count).map(|n| op(n, Vec::new())).collect();
    assert_eq!(drafted(ops(500)).unwrap().ops.len(), OPS_MAX);
    assert!(drafted(ops(501)).is_err());
    assert!(drafted(|draft| draft.ops = vec![op(1, dots(512, 3))]).is_ok());
    assert!(drafted(|draft| draft.ops = vec![op(1, dots(513, 3))]).is_err());
    let spread = |count: u32| move |draft: &mut Draft| draft.ops = (0..count).map(|n| op(n, dots(512, 3))).collect();
    assert!(drafted(spread(8)).is_ok());
    assert!(drafted(spread(9)).is_err(), "more predecessors than a change may have");
    assert!(drafted(|draft| draft.ops = vec![op(1, Vec::new()), op(1, Vec::new())]).is_err(), "one key twice");
    let large = |count: u32| {
        move |draft: &mut Draft| {
            draft.ops = (0..count).map(|n| ChangeOp { put: Some(vec![0; MAX_RECORD]), ..op(n, Vec::new()) }).collect();
        }
    };
    assert!(drafted(large(3)).is_ok());
    assert!(drafted(large(4)).is_err(), "above 64 KiB");
}

#[test]
fn only_the_canonical_bytes_are_read() {
    let (bytes, _) = encode(&draft());
    let change = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        decode(&bytes)
    };
    assert!(change(4, bytes[4] ^ 1).is_err(), "the checksum");
    assert!(change(8, 2).is_err(), "a deflated change");
    assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
    assert!((0..bytes.len()).all(|end| decode(&bytes[..end]).is_err()));
}

#[test]
fn a_full_budget_is_a_chunk_that_gossip_carries() {
    let mut budget = Budget::default();
    let wide: Vec<_> =
        (0..2u8).flat_map(|n| (0..100).map(move |start| Dot { counter: 9, actor: actor(n + 2, start) })).collect();
    let ops: Vec<_> = (0..=500)
        .map(|n| op(n, if n == 0 { wide.clone() } else { dots(3, 3) }))
        .take_while(|op| budget.take(op))
        .collect();
    assert!(ops.len() > 50, "{}", ops.len());
    let (bytes, _) = encode(&Draft { ops, ..draft() });
    assert!((CHUNK_FILL * 3 / 4..=CHUNK_FILL).contains(&bytes.len()), "{}", bytes.len());
}

#[test]
fn the_largest_op_fits_a_chunk_that_gossip_carries() {
    let preds: Vec<_> = (0..3u8)
        .flat_map(|n| {
            (0..171u8).map(move |start| Dot {
                counter: COUNTER_MAX - 1 - u32::from(start) * 9_999,
                actor: actor(n + 2, start),
            })
        })
        .take(preds_room(MAX_RECORD))
        .collect();
    assert!(preds.len() > 300 && preds_room(0) == PREDS_MAX);
    let op = ChangeOp { put: Some(vec![1; MAX_RECORD]), ..op(0, preds) };
    let mut budget = Budget::default();
    assert!(budget.take(&op));
    let deps = (1..64).map(|n| Dep { actor: actor(n, 2), seq: 1, max_op: 5000, hash: [n; 32] }).collect();
    let (bytes, _) = encode(&Draft { ops: vec![op], deps, prev: Some(([77; 32], 9)), ..draft() });
    assert!(bytes.len() <= CHUNK_WRITE_MAX, "{}", bytes.len());
    assert!(decode(&bytes).is_ok());
}

proptest! {
    #[test]
    fn a_draft_reads_back(draft in drafts()) {
        let (bytes, hash) = encode(&draft);
        let decoded = decode(&bytes).unwrap();
        prop_assert_eq!(&decoded.ops, &draft.ops);
        prop_assert_eq!((&decoded.actor, decoded.seq, decoded.start_op), (&draft.actor, draft.seq, draft.start_op));
        prop_assert_eq!(decoded.hash, hash);
        prop_assert_eq!(decoded.deps, hashes(draft.prev.as_ref().map(|prev| &prev.0), &draft.deps));
    }

    #[test]
    fn we_read_what_the_library_reads(draft in drafts()) {
        let (bytes, _) = encode(&draft);
        let expanded = Change::from_bytes(bytes.clone()).unwrap().decode();
        let ours = decode(&bytes).unwrap();
        prop_assert_eq!(ours.ops.iter().map(operation).collect::<Vec<_>>(), expanded.operations);
    }

    #[test]
    fn a_budget_keeps_its_promise(drafts in proptest::collection::vec(drafts(), 1..30)) {
        let mut budget = Budget::default();
        let ops = (0..).zip(drafts.into_iter().flat_map(|draft| draft.ops));
        let ops = ops.map(|(n, op)| ChangeOp { key: key(n), ..op }).take_while(|op| budget.take(op)).collect();
        let (bytes, _) = encode(&Draft { ops, ..draft() });
        prop_assert!(bytes.len() <= budget.bytes + FRONT_BYTES);
    }
}
