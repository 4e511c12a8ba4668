use proptest::prelude::*;

use super::*;
use crate::crdt::automerge::formats::clock::{GroupRow, Row};
use crate::crdt::automerge::formats::envelope::seal;
use crate::crdt::automerge::tests::testing::{CLUSTER, EPOCH, actor, draft, keypair, peer};

fn group(n: u8) -> Group {
    let row = Row { seq: n.into(), max_op: 5_000, tip: [n; 32], head: true };
    Group { peer: peer(n), rows: vec![GroupRow { suffix: [n; 8], row, fork: None }] }
}

fn header() -> Header {
    seal(&draft(), &keypair(1), EPOCH, CLUSTER).header
}

fn hello(trust: Trust) -> Frame {
    let groups = vec![(peer(1), [3; 32]), (peer(2), [4; 32])];
    Frame::Hello(Hello { epoch: EPOCH, clock_hash: [1; 32], digest_hash: [2; 32], trust, groups })
}

/// One of each kind.
pub fn frames() -> Vec<Frame> {
    let attested = Attested { id: [1; 32], pins: 5, bytes: 600, attestation: vec![7; 300] };
    vec![
        hello(Trust::Everyone),
        hello(Trust::Only([peer(1), peer(3)].into())),
        hello(Trust::Only(BTreeSet::new())),
        Frame::Rows { groups: vec![group(1), group(2)], more: true },
        Frame::Rows { groups: Vec::new(), more: false },
        Frame::Proof(Box::new([header(), Header { seq: 2, ..header() }])),
        Frame::Changes(vec![Bytes::from_static(b"one"), Bytes::new(), Bytes::from_static(b"two")]),
        Frame::Reach { actors: vec![actor(1, 1), actor(2, 1)], attested: vec![attested] },
        Frame::Done { clock_hash: [9; 32] },
    ]
}

fn decode(bytes: Vec<u8>) -> Result<Frame, Refused> {
    Frame::decode(&bytes.into())
}

#[test]
fn every_frame_reads_back() {
    for frame in frames() {
        assert_eq!(decode(frame.encode()), Ok(frame));
    }
}

#[test]
fn a_frame_cut_short_or_with_more_is_refused() {
    for frame in frames() {
        let bytes = frame.encode();
        assert!((0..bytes.len()).all(|end| decode(bytes[..end].to_vec()).is_err()), "{frame:?}");
        assert!(decode([&bytes[..], &[0]].concat()).is_err(), "{frame:?}");
    }
}

#[test]
fn limits_come_first() {
    assert!(decode(vec![CHANGES; FRAME_MAX + 1]).is_err());
    let changes = |count| Frame::Changes(vec![Bytes::new(); count]).encode();
    assert!(decode(changes(CHANGES_MAX)).is_ok());
    assert!(decode(changes(CHANGES_MAX + 1)).is_err());
    let large = |size| Frame::Changes(vec![vec![0; size].into()]).encode();
    assert!(decode(large(ENVELOPE_MAX)).is_ok());
    assert!(decode(large(ENVELOPE_MAX + 1)).is_err());
    let reach = |actors, attested| {
        let one = Attested { id: [1; 32], pins: 5, bytes: 600, attestation: Vec::new() };
        decode(Frame::Reach { actors: vec![actor(1, 1); actors], attested: vec![one; attested] }.encode())
    };
    assert!(reach(REACH_MAX, ATTESTED_MAX).is_ok());
    assert!(reach(REACH_MAX + 1, 0).is_err());
    assert!(reach(0, ATTESTED_MAX + 1).is_err());
    let groups = |count| {
        let groups = vec![(peer(1), [0; 32]); count];
        let Frame::Hello(hello) = hello(Trust::Everyone) else { unreachable!("a hello") };
        decode(Frame::Hello(Hello { groups, ..hello }).encode())
    };
    assert!(groups(GROUPS_MAX).is_ok());
    assert!(groups(GROUPS_MAX + 1).is_err());
}

#[test]
fn a_sync_of_another_version_is_foreign() {
    let mut bytes = hello(Trust::Everyone).encode();
    bytes[1] += 1;
    assert!(matches!(decode(bytes), Err(Refused::Foreign(_))));
}

#[test]
fn envelopes_of_a_frame_are_not_copied() {
    let bytes = Bytes::from(Frame::Changes(vec![Bytes::from_static(b"envelope")]).encode());
    let Ok(Frame::Changes(envelopes)) = Frame::decode(&bytes) else { panic!("changes") };
    assert_eq!(envelopes[0].as_ptr(), bytes[3..].as_ptr());
}

proptest! {
    #[test]
    fn hostile_frames_never_panic(bytes: Vec<u8>, at in 0..9usize, position: usize, byte: u8) {
        let _ = decode(bytes);
        let mut changed = frames()[at].encode();
        let position = position % changed.len();
        changed[position] = byte;
        if let Ok(frame) = decode(changed) {
            prop_assert_eq!(decode(frame.encode()), Ok(frame));
        }
    }
}
