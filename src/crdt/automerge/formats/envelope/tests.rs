use proptest::prelude::*;

use super::*;
use crate::crdt::automerge::formats::change::Dot;
use crate::crdt::automerge::tests::testing::{CLUSTER, EPOCH, actor, dep, draft, drafts, key, keypair, peer};

fn check(envelope: &Envelope) -> Result<Signed, Refused> {
    verify(envelope.encode().into(), EPOCH, CLUSTER)
}

/// The envelope with a signature of peer `author` under what its header says now.
pub fn signed_again(mut envelope: Envelope, author: u8) -> Envelope {
    envelope.header.signature = domain(CLUSTER).sign(&keypair(author), &envelope.header.fields());
    envelope
}

/// The envelope with the hash of the dependencies that it has, signed by peer `author`.
pub fn mended(mut envelope: Envelope, author: u8) -> Envelope {
    envelope.header.deps_hash = hash_of(&envelope.deps);
    signed_again(envelope, author)
}

/// Seals `draft`, lets `lie` change the header, and signs again.
fn lied(draft: &Draft, lie: impl FnOnce(&mut Envelope)) -> Result<Signed, Refused> {
    let mut envelope = seal(draft, &keypair(1), EPOCH, CLUSTER);
    lie(&mut envelope);
    check(&signed_again(envelope, 1))
}

fn changed(change: impl FnOnce(&mut Draft)) -> Result<Signed, Refused> {
    let mut draft = later();
    change(&mut draft);
    check(&seal(&draft, &keypair(1), EPOCH, CLUSTER))
}

/// A second change of peer 1 that has seen two others.
fn later() -> Draft {
    let mut deps = vec![dep(2, 3, 6_000), dep(3, 1, 5_000)];
    deps.sort_by(|a, b| a.actor.cmp(&b.actor));
    Draft { seq: 2, start_op: 6_001, prev: Some(([5; 32], 4_500)), deps, ..draft() }
}

#[expect(clippy::needless_pass_by_value, reason = "a result is asked once")]
fn malformed(result: Result<Signed, Refused>) -> bool {
    matches!(result, Err(Refused::Malformed(_)))
}

#[test]
fn a_sealed_change_is_admitted() {
    for draft in [draft(), later()] {
        let envelope = seal(&draft, &keypair(1), EPOCH, CLUSTER);
        let signed = check(&envelope).unwrap();
        assert_eq!((&signed.header, &signed.deps, &signed.ops), (&envelope.header, &draft.deps, &draft.ops));
        assert_eq!(reload(signed.bytes.clone()), Ok(signed));
        assert!((200..300).contains(&envelope.header.encode().len()));
    }
}

#[test]
fn another_epoch_version_or_cluster_is_kept_out() {
    let bytes = seal(&draft(), &keypair(1), EPOCH, CLUSTER).encode();
    assert!(matches!(verify(bytes.clone().into(), EPOCH + 1, CLUSTER), Err(Refused::Foreign(_))));
    assert!(malformed(verify(bytes.clone().into(), EPOCH, "another")));
    let newer = [&[VERSION + 1], &bytes[1..]].concat();
    assert!(matches!(verify(newer.into(), EPOCH, CLUSTER), Err(Refused::Foreign(_))));
}

#[test]
fn only_the_author_signs() {
    let forged = seal(&draft(), &keypair(2), EPOCH, CLUSTER);
    assert!(malformed(check(&forged)));
    assert!(
        malformed(lied(&draft(), |e| e.header.key = keypair(1).public().encode_protobuf())),
        "a key that none needs"
    );
}

#[test]
fn any_other_key_kind_signs_too() {
    let keypair = Keypair::generate_ecdsa();
    let draft = Draft { actor: Actor::new(keypair.public().to_peer_id(), [1; 8]), ..draft() };
    let mut envelope = seal(&draft, &keypair, EPOCH, CLUSTER);
    assert!(!envelope.header.key.is_empty());
    assert!(check(&envelope).is_ok());
    envelope.header.key = crate::crdt::automerge::tests::testing::keypair(1).public().encode_protobuf();
    assert!(malformed(check(&envelope)));
}

#[test]
fn a_header_says_what_the_chunk_says() {
    assert!(lied(&later(), |_| ()).is_ok());
    assert!(malformed(lied(&later(), |e| e.header.actor = actor(1, 9))));
    assert!(malformed(lied(&later(), |e| e.header.seq = 3)));
    assert!(malformed(lied(&later(), |e| e.header.seq = 0)));
    assert!(malformed(lied(&later(), |e| e.header.seq = 1)));
    assert!(malformed(lied(&later(), |e| e.header.start_op += 1)));
    assert!(malformed(lied(&later(), |e| e.header.max_op += 1)));
    assert!(malformed(lied(&later(), |e| e.header.max_op -= 1)));
    assert!(malformed(lied(&later(), |e| e.header.max_op = COUNTER_MAX)));
    assert!(malformed(lied(&later(), |e| e.header.prev_hash = [6; 32])));
    assert!(malformed(lied(&later(), |e| e.header.change_hash = [6; 32])));
    assert!(malformed(lied(&later(), |e| e.header.deps_hash = [6; 32])));
    assert!(malformed(lied(&later(), |e| e.deps.clear())));
    assert!(malformed(lied(&draft(), |e| e.header.prev_max_op = 1)));
    assert!(malformed(lied(&draft(), |e| e.header.prev_hash = [1; 32])));
}

#[test]
fn a_change_begins_right_above_what_it_has_seen() {
    assert!(changed(|_| ()).is_ok());
    assert!(malformed(changed(|draft| draft.start_op = 6_002)));
    assert!(malformed(changed(|draft| draft.start_op = 6_000)));
    assert!(malformed(changed(|draft| draft.prev = Some(([5; 32], 6_001)))));
    assert!(changed(|draft| (draft.prev, draft.start_op) = (Some(([5; 32], 6_001)), 6_002)).is_ok());
    assert!(changed(|draft| (draft.deps, draft.start_op) = (Vec::new(), 4_501)).is_ok());
    assert!(malformed(changed(|draft| draft.deps[0].max_op = u32::MAX)));
}

#[test]
fn dependencies_are_in_order_and_of_others() {
    assert!(malformed(changed(|draft| draft.deps.reverse())));
    assert!(malformed(changed(|draft| draft.deps.insert(1, draft.deps[0].clone()))));
    assert!(malformed(changed(|draft| draft.deps[0].seq = 0)));
    let own = |draft: &mut Draft| {
        draft.deps.push(Dep { actor: draft.actor.clone(), ..dep(1, 1, 4_500) });
        draft.deps.sort_by(|a, b| a.actor.cmp(&b.actor));
    };
    assert!(malformed(changed(own)));
    let many = |count: u8| {
        move |draft: &mut Draft| {
            draft.deps = (2..count + 2).map(|n| dep(n, 3, 6_000)).collect();
            draft.deps.sort_by(|a, b| a.actor.cmp(&b.actor));
        }
    };
    assert!(changed(many(63)).is_ok());
    assert!(malformed(changed(many(64))));
}

#[test]
fn no_op_replaces_what_its_author_has_yet_to_write() {
    let own = |counter| move |draft: &mut Draft| draft.ops[0].preds = vec![Dot { counter, actor: actor(1, 1) }];
    assert!(changed(own(4_500)).is_ok());
    assert!(malformed(changed(own(4_501))));
    let earlier_start = Dot { counter: 4_501, actor: actor(1, 2) };
    assert!(changed(|draft| draft.ops[0].preds = vec![earlier_start]).is_ok(), "another start is another actor");
}

#[test]
fn an_envelope_above_its_size_is_refused_unread() {
    assert!(malformed(verify(vec![VERSION; ENVELOPE_MAX + 1].into(), EPOCH, CLUSTER)));
    let large = ChangeOp { key: key(1), put: Some(vec![1; 16 * 1024]), preds: Vec::new() };
    let large = (1..4).map(|n| ChangeOp { key: key(n), ..large.clone() }).collect();
    let deps: Vec<_> = (2..65).map(|n| dep(n, 3, 6_000)).collect();
    let mut full = Draft { ops: large, deps, ..later() };
    full.deps.sort_by(|a, b| a.actor.cmp(&b.actor));
    let envelope = seal(&full, &keypair(1), EPOCH, CLUSTER);
    assert!(check(&envelope).is_ok());
    assert!(envelope.encode().len() + 16 * 1024 < ENVELOPE_MAX);
}

#[test]
fn a_header_alone_can_be_checked() {
    let header = seal(&later(), &keypair(1), EPOCH, CLUSTER).header;
    assert_eq!(Header::decode(&header.encode()), Ok(header.clone()));
    assert_eq!(header.verify(EPOCH, CLUSTER), Ok(()));
    assert!(Header { seq: 3, ..header.clone() }.verify(EPOCH, CLUSTER).is_err());
    assert!(Header { epoch: 1, ..header }.verify(EPOCH, CLUSTER).is_err());
    assert_eq!(peer(1), keypair(1).public().to_peer_id());
}

proptest! {
    #[test]
    fn an_envelope_reads_back(draft in drafts()) {
        let envelope = seal(&draft, &keypair(1), EPOCH, CLUSTER);
        prop_assert_eq!(Envelope::decode(&envelope.encode()), Ok(envelope.clone()));
        let signed = check(&envelope).unwrap();
        prop_assert_eq!(signed.ops, draft.ops);
    }
}
