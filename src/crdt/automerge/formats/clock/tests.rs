use proptest::prelude::*;

use super::*;
use crate::crdt::automerge::tests::testing::{actor, peer};

fn rows() -> impl Strategy<Value = Row> {
    (1..u32::MAX, 0..COUNTER_MAX, any::<Hash>(), any::<bool>()).prop_map(|(seq, max_op, tip, head)| Row {
        seq,
        max_op,
        tip,
        head,
    })
}

fn group_row(suffix: [u8; SUFFIX], row: Row, fork: Option<(bool, u32)>) -> GroupRow {
    let fork = fork.map(|(at_it, more)| Fork {
        s: if at_it { row.seq + 1 } else { row.seq.saturating_add(2) },
        m: row.max_op.saturating_add(more).min(COUNTER_MAX - 1),
    });
    let tip = if has_tip(row.seq, fork) { row.tip } else { NO_HASH };
    GroupRow { suffix, row: Row { tip, ..row }, fork }
}

fn groups() -> impl Strategy<Value = Group> {
    let row = (rows(), proptest::option::of((any::<bool>(), 0..9u32)));
    (1..9u8, proptest::collection::btree_map(any::<[u8; SUFFIX]>(), row, 0..6)).prop_map(|(n, rows)| Group {
        peer: peer(n),
        rows: rows.into_iter().map(|(suffix, (row, fork))| group_row(suffix, row, fork)).collect(),
    })
}

fn read_group(bytes: &[u8]) -> Result<Group, Refused> {
    let mut reader = Reader::new(bytes);
    let group = Group::read(&mut reader)?;
    reader.end()?;
    Ok(group)
}

fn written(group: &Group) -> Vec<u8> {
    let mut bytes = Vec::new();
    group.write(&mut bytes);
    bytes
}

#[test]
fn an_actor_is_a_peer_id_and_eight_bytes() {
    let one = actor(1, 9);
    assert_eq!(one.as_bytes().len(), 46);
    assert_eq!((one.peer(), one.suffix()), (peer(1), [9; 8]));
    assert_eq!(Actor::from_bytes(one.as_bytes()), Some(one.clone()));
    assert_eq!(Actor::from_bytes(&one.as_bytes()[..45]), None);
    assert_eq!(Actor::from_bytes(&[0; 8]), None);
    assert_eq!(Actor::from_bytes(&[7; 65]), None);
    assert_eq!(Actor::from_bytes(b"\0"), None, "the genesis is nobody's");
    let loose = [&[0x80, 0][..], &one.as_bytes()[1..]].concat();
    assert_eq!(Actor::from_bytes(&loose), None, "a peer id that is not in its shortest form");
}

#[test]
fn actors_of_one_peer_follow_each_other() {
    let mut actors: Vec<_> = (1..9).flat_map(|n| [actor(n, 1), actor(n, 200)]).collect();
    actors.sort();
    assert!(actors.chunks(2).all(|pair| pair[0].peer() == pair[1].peer()));
}

#[test]
fn a_row_at_its_fork_point_has_no_tip() {
    let row = Row { seq: 4, max_op: 9_000, tip: [7; 32], head: false };
    let bytes = |fork| {
        let mut out = Vec::new();
        GroupRow { suffix: [0; 8], row, fork }.write(&mut out);
        out.len()
    };
    assert_eq!(bytes(None), 8 + 1 + 2 + 1 + 32);
    assert_eq!(bytes(Some(Fork { s: 6, m: 9_000 })), 8 + 1 + 2 + 1 + 3 + 32);
    assert_eq!(bytes(Some(Fork { s: 5, m: 9_000 })), 8 + 1 + 2 + 1 + 3);
}

#[test]
fn a_fork_at_the_first_seq_leaves_the_fork_alone() {
    let row = GroupRow { suffix: [1; 8], row: Row::default(), fork: Some(Fork { s: 1, m: 0 }) };
    let group = Group { peer: peer(1), rows: vec![row] };
    assert_eq!(read_group(&written(&group)), Ok(group));
}

#[test]
fn rows_out_of_range_are_refused() {
    let refused = |row, fork| {
        let group = Group { peer: peer(1), rows: vec![GroupRow { suffix: [1; 8], row, fork }] };
        read_group(&written(&group)).is_err()
    };
    let row = Row { seq: 4, max_op: 9_000, tip: [7; 32], head: false };
    assert!(!refused(row, None));
    assert!(refused(Row { seq: 0, ..row }, None), "nothing applied and no fork");
    assert!(refused(Row { max_op: COUNTER_MAX, ..row }, None));
    assert!(refused(row, Some(Fork { s: 4, m: 9_000 })), "applied at its fork");
    assert!(refused(row, Some(Fork { s: 9, m: 8_999 })), "a counter above the fork's");
    let twice = GroupRow { suffix: [1; 8], row, fork: None };
    let group = Group { peer: peer(1), rows: vec![twice, twice] };
    assert!(read_group(&written(&group)).is_err(), "one start twice");
    let mut claims = Vec::new();
    put_peer(&mut claims, &peer(1));
    put_v(&mut claims, u64::MAX);
    assert!(read_group(&claims).is_err());
}

#[test]
fn a_clock_hash_depends_on_every_group() {
    let (a, b) = (peer(1), peer(2));
    let (x, y) = ([1; 32], [2; 32]);
    assert_ne!(clock_hash([(&a, &x), (&b, &y)]), clock_hash([(&a, &y), (&b, &x)]));
    assert_ne!(clock_hash([(&a, &x)]), clock_hash([]));
}

proptest! {
    #[test]
    fn a_row_reads_back(row in rows()) {
        prop_assert_eq!(Row::decode(&row.encode()), Some(row));
    }

    #[test]
    fn a_group_reads_back(group in groups()) {
        prop_assert_eq!(read_group(&written(&group)), Ok(group.clone()));
        prop_assert!(group.rows.iter().all(|row| group.actor(row).suffix() == row.suffix));
    }

    #[test]
    fn hostile_bytes_never_panic(group in groups(), at: usize, byte: u8, bytes: Vec<u8>) {
        let mut changed = written(&group);
        let at = at % changed.len();
        changed[at] = byte;
        let _ = (Row::decode(&bytes), read_group(&bytes), Actor::from_bytes(&bytes), Row::decode(&changed));
        if let Ok(read) = read_group(&changed) {
            prop_assert_eq!(written(&read), changed, "one spelling");
        }
    }
}

#[test]
fn a_fork_before_the_first_change_is_no_row() {
    let mut bytes = Vec::new();
    put_peer(&mut bytes, &peer(1));
    bytes.push(1);
    bytes.extend_from_slice(&[7; SUFFIX]);
    bytes.extend_from_slice(&[5, 1, FORKED, 0, 1]);
    bytes.extend_from_slice(&[0; 32]);
    assert!(read_group(&bytes).is_err());
}
