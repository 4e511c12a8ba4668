//! (test) The waiting rooms, the fork rows and the clock in memory.
use super::fixtures::{World, next, put, signed};
use super::testing::{actor, peer};
use crate::crdt::automerge::formats::change::{ChangeOp, Dot};
use crate::crdt::automerge::formats::clock::{Actor, Fork, NO_HASH, Row};
use crate::crdt::automerge::formats::envelope::Signed;
use crate::crdt::automerge::tables::fork;
use crate::crdt::automerge::tables::pending::{PENDING_AUTHOR_MAX, PENDING_BYTES_MAX, Pending, id};
use crate::crdt::automerge::tables::stage::Stage;
use crate::crdt::automerge::tables::view::{Ahead, Clock, Need, View};
use crate::crdt::{MapRows, Rows, Table};

fn chain(n: u8, length: usize) -> Vec<Signed> {
    (0..length).fold(Vec::new(), |mut all: Vec<Signed>, _| {
        all.push(next(n, all.last(), &[], vec![put(1, &[])]));
        all
    })
}

fn lacking(n: u8) -> Need {
    Need { actor: actor(n, 1), seq: 1, max_op: 0 }
}

#[test]
fn one_author_cannot_fill_the_waiting_room() {
    let mut pending = Pending::new(4096);
    let changes = chain(2, PENDING_AUTHOR_MAX + 2);
    let kept = changes.iter().filter(|change| pending.insert((*change).clone(), lacking(3))).count();
    assert_eq!((kept, pending.len()), (PENDING_AUTHOR_MAX, PENDING_AUTHOR_MAX));
    assert!(pending.insert(next(4, None, &[], vec![put(1, &[])]), lacking(3)));
    assert!(pending.remove(&id(&changes[0])).is_some());
    assert!(pending.insert(changes[PENDING_AUTHOR_MAX].clone(), lacking(3)));
}

#[test]
fn who_waits_is_found_by_what_it_lacks() {
    let mut pending = Pending::new(8);
    let changes = chain(2, 3);
    pending.insert(changes[1].clone(), lacking(3));
    pending.insert(changes[2].clone(), lacking(4));
    pending.insert(changes[1].clone(), lacking(4));
    assert_eq!(pending.waiting_for(&actor(3, 1), |_| true), []);
    assert_eq!(pending.waiting_for(&actor(4, 1), |_| true), [id(&changes[1]), id(&changes[2])]);
    assert_eq!(pending.waiting_for(&actor(4, 1), |lacks| lacks.seq > 1), []);
    assert_eq!(pending.len(), 2);
}

#[test]
fn a_change_weighs_what_its_predecessors_take_in_memory() {
    let preds: Vec<Dot> = (1..=512).rev().map(|counter| Dot { counter, actor: actor(3, 1) }).collect();
    let ops = (0..8).map(|n| ChangeOp { key: super::testing::key(n), put: None, preds: preds.clone() });
    let change = next(2, None, &[], ops.collect());
    assert!(change.bytes.len() < 4_096 && change.weight() > 8 * 512 * 16);
    let at = |seq: u32| Signed {
        header: crate::crdt::automerge::formats::envelope::Header { seq, ..change.header.clone() },
        ..change.clone()
    };
    let mut pending = Pending::new(4096);
    let kept = (1..250).filter(|seq| pending.insert(at(*seq), lacking(3))).count();
    assert_eq!(kept, PENDING_BYTES_MAX / change.weight());
}

#[test]
fn the_stage_is_read_back_at_opening_and_empties_as_changes_are_applied() {
    let (mut stage, mut rows) = (Stage::default(), MapRows::default());
    let changes = chain(2, 5);
    for change in &changes[1..] {
        assert!(stage.insert(change, &mut rows).unwrap());
    }
    let mut stage = Stage::open(&rows).unwrap();
    assert_eq!((stage.len(), rows.len(Table::Stage)), (4, 4));
    assert_eq!(stage.get(&actor(2, 1), 3, &rows).unwrap().as_ref(), Some(&changes[2]));
    stage.drop_through(&actor(2, 1), 3, &mut rows).unwrap();
    assert_eq!(stage.ids().collect::<Vec<_>>(), [(actor(2, 1), 4), (actor(2, 1), 5)]);
    assert_eq!(rows.len(Table::Stage), 2);
    stage.drop_through(&actor(2, 1), 9, &mut rows).unwrap();
    assert!(stage.is_empty() && rows.len(Table::Stage) == 0);
}

#[test]
fn the_stage_has_room_for_a_quarter_an_author() {
    let (mut stage, mut rows) = (Stage::default(), MapRows::default());
    let record = crate::crdt::automerge::formats::change::ChangeOp { put: Some(vec![7; 16_000]), ..put(1, &[]) };
    let ops = vec![
        record.clone(),
        crate::crdt::automerge::formats::change::ChangeOp { key: super::testing::key(2), ..record },
    ];
    let change = next(2, None, &[], ops);
    let at = |n: u32| Signed {
        header: crate::crdt::automerge::formats::envelope::Header { seq: n + 1, ..change.header.clone() },
        ..change.clone()
    };
    let kept = (0..600).filter(|n| stage.insert(&at(*n), &mut rows).unwrap()).count();
    assert_eq!(kept, 16 * 1024 * 1024 / change.bytes.len());
    assert!(stage.insert(&next(3, None, &[], vec![put(1, &[])]), &mut rows).unwrap());
}

#[test]
fn only_headers_that_no_honest_author_signs_are_a_proof() {
    let first = next(2, None, &[], vec![put(1, &[]), put(2, &[])]);
    let twin = next(2, None, &[], vec![put(3, &[])]);
    let second = next(2, Some(&first), &[], vec![put(1, &[])]);
    let third = next(2, Some(&second), &[], vec![put(1, &[])]);
    let other = next(3, None, &[], vec![put(1, &[])]);
    let proven = |a: &Signed, b: &Signed| fork::proven(&a.header, &b.header);
    assert_eq!(proven(&first, &twin), Some(Fork { s: 1, m: 0 }));
    assert_eq!(proven(&second, &twin), Some(Fork { s: 1, m: 0 }));
    let second_twin = next(2, Some(&first), &[], vec![put(9, &[])]);
    assert_eq!(proven(&second_twin, &second), Some(Fork { s: 2, m: first.header.max_op }));
    let on_twin = next(2, Some(&twin), &[], vec![put(9, &[])]);
    for (a, b) in [(&on_twin, &second), (&second, &on_twin)] {
        assert_eq!(proven(a, b), Some(Fork { s: 2, m: twin.header.max_op }), "the smaller of what they begin above");
    }
    for (a, b) in [(&first, &first), (&first, &second), (&second, &third), (&twin, &third), (&first, &other)] {
        assert_eq!(proven(a, b), None);
    }
}

#[test]
fn a_row_of_a_fork_reads_back_and_a_damaged_one_is_known() {
    let (first, twin) = (next(2, None, &[], vec![put(1, &[])]), next(2, None, &[], vec![put(3, &[])]));
    let proof = [first.header, twin.header];
    let row = fork::row(Fork { s: 1, m: 0 }, false, &proof);
    assert_eq!((fork::is_in_force(&row), fork::point(&row)), (false, Some(Fork { s: 1, m: 0 })));
    assert_eq!(fork::proof(&row), Some(proof));
    let forced = [&[1][..], &row[1..]].concat();
    assert_eq!((fork::is_in_force(&forced), fork::point(&forced)), (true, Some(Fork { s: 1, m: 0 })));
    assert_eq!((fork::point(&[2; 9]), fork::point(&row[..8]), fork::proof(&row[..40])), (None, None, None));
}

#[test]
fn a_clock_ahead_is_the_clock_after_the_same_changes() {
    let changes = chain(2, 3);
    let mut clock = Clock::default();
    let base = clock.clone();
    let mut ahead = Ahead::of(&base);
    for change in &changes {
        ahead.advance(&change.header);
        clock.advance(change);
    }
    assert_eq!((ahead.row(&actor(2, 1)), ahead.top()), (clock.row(&actor(2, 1)), clock.top()));
}

#[test]
fn the_hash_of_the_clock_follows_every_row() {
    let mut clock = Clock::default();
    let row = |seq| Row { seq, max_op: 5_000, tip: [1; 32], head: true };
    let mut hashes = vec![clock.hash()];
    clock.set(&actor(2, 1), Some(row(1)));
    hashes.push(clock.hash());
    clock.set(&actor(3, 1), Some(row(1)));
    hashes.push(clock.hash());
    clock.set(&actor(2, 1), Some(row(2)));
    hashes.push(clock.hash());
    clock.set_fork(&actor(4, 1), Fork { s: 1, m: 0 });
    hashes.push(clock.hash());
    let last = hashes.len();
    assert_eq!(hashes.iter().collect::<std::collections::BTreeSet<_>>().len(), last);
    clock.set_fork(&actor(2, 1), Fork { s: 2, m: 4_990 });
    let forked = *clock.row(&actor(2, 1)).unwrap();
    assert_eq!(forked, Row { seq: 1, max_op: 4_990, tip: NO_HASH, head: false });
    let (group, mut other) = (clock.group(peer(2)), Clock::default());
    other.set(&Actor::new(peer(2), [9; 8]), Some(row(7)));
    other.replace(&group);
    assert_eq!(other.group(peer(2)), group);
    clock.set(&actor(3, 1), None);
    assert_eq!(clock.groups().count(), 2);
}

#[test]
fn a_state_read_back_is_the_state() {
    let mut world = World::trusting(&[2]);
    for change in chain(2, 3) {
        world.receive(&change);
    }
    world.check();
    world.rows.put(Table::Forked, actor(5, 1).as_bytes(), &[1, 2, 0, 0, 0, 9, 0, 0, 0]).unwrap();
    world.merge.state.clock.set_fork(&actor(5, 1), Fork { s: 2, m: 9 });
    let mut again = crate::crdt::automerge::tables::state::State::open(super::testing::EPOCH, &mut world.rows).unwrap();
    assert_eq!(again.clock.hash(), world.merge.state.clock.hash());
    assert_eq!((again.digest_hash(), again.counters), (world.merge.state.digest_hash(), world.merge.state.counters));
    let twin = signed(&super::testing::draft());
    assert_eq!(again.numbers.find(&twin.header.actor), None);
}
