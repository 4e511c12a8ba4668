use super::*;
use crate::crdt::ReadRows;
use crate::crdt::automerge::formats::change::Draft;
use crate::crdt::automerge::formats::clock::COUNTER_MAX;
use crate::crdt::automerge::formats::model::BUCKETS;
use crate::crdt::automerge::tables::{entries, fork};
use crate::crdt::automerge::tests::fixtures::{World, dep_on, next, put, signed};
use crate::crdt::automerge::tests::testing::{actor, key, peer};

#[test]
fn a_change_waits_for_the_one_before_it_and_for_what_it_has_seen() {
    let first = next(2, None, &[], vec![put(1, &[])]);
    let second = next(2, Some(&first), &[], vec![put(2, &[])]);
    let third = next(3, None, &[&second], vec![put(3, &[])]);
    let mut world = World::trusting(&[2, 3]);
    world.receive(&third);
    world.receive(&second);
    assert_eq!((world.seq(2), world.seq(3), world.merge.pending.len()), (0, 0, 2));
    world.receive(&first);
    assert_eq!((world.seq(2), world.seq(3), world.merge.pending.len()), (2, 1, 0));
    world.check();
}

#[test]
fn a_change_waits_for_the_entries_it_replaces_even_without_a_dependency() {
    let first = next(2, None, &[], vec![put(1, &[])]);
    let second = next(3, None, &[], vec![put(1, &[(BUCKETS + 1, 2)])]);
    let mut world = World::trusting(&[2, 3]);
    world.receive(&second);
    assert_eq!(world.seq(3), 0);
    world.receive(&first);
    assert_eq!(world.seq(3), 1);
    world.check();
    assert_eq!(entries::load(&key(1), &world.rows).unwrap().len(), 1);
}

#[test]
fn a_put_replaces_its_authors_earlier_entry_even_unnamed_and_no_other() {
    let first = next(2, None, &[], vec![put(1, &[]), put(2, &[])]);
    let second = next(2, Some(&first), &[], vec![put(1, &[(BUCKETS + 2, 2)])]);
    let mut world = World::trusting(&[2]);
    world.receive(&first);
    world.receive(&second);
    let counters =
        |n| entries::load(&key(n), &world.rows).unwrap().iter().map(|entry| entry.counter).collect::<Vec<_>>();
    assert_eq!(counters(1), [BUCKETS + 3]);
    assert_eq!(counters(2), [BUCKETS + 2], "a predecessor of another key has no effect");
    world.check();
}

#[test]
fn a_dependency_that_claims_too_much_waits_and_one_that_claims_too_little_does_not() {
    let first = next(2, None, &[], vec![put(1, &[]), put(2, &[])]);
    let claims = |max_op: u32| {
        let dep = Dep { max_op, ..dep_on(&first) };
        let ops = vec![put(3, &[])];
        signed(&Draft { actor: actor(3, 1), seq: 1, start_op: max_op + 1, prev: None, deps: vec![dep], ops })
    };
    let mut world = World::trusting(&[2, 3]);
    world.receive(&first);
    world.receive(&claims(COUNTER_MAX - 3));
    assert_eq!((world.seq(3), world.merge.state.clock.top()), (0, BUCKETS + 2));
    let mut other = World::trusting(&[2, 3]);
    other.receive(&first);
    other.receive(&claims(BUCKETS + 1));
    assert_eq!((other.seq(3), other.merge.pending.len()), (1, 0));
    world.receive(&claims(BUCKETS + 1));
    assert_eq!((world.seq(3), world.merge.pending.len()), (0, 0));
    assert_eq!(world.merge.told.notices, [Notice::Fork { peer: peer(3), seq: 1 }], "it signed two of one seq");
}

#[test]
fn the_authors_own_chain_is_exact() {
    let first = next(2, None, &[], vec![put(1, &[])]);
    let mut world = World::trusting(&[2]);
    world.receive(&first);
    let draft = |prev| Draft {
        actor: actor(2, 1),
        seq: 2,
        start_op: BUCKETS + 9,
        prev: Some(prev),
        deps: Vec::new(),
        ops: vec![put(2, &[])],
    };
    let clock = &world.merge.state.clock;
    let other_counter = signed(&draft((first.header.change_hash, BUCKETS + 8)));
    assert_eq!(ready(&other_counter, clock), Ready::Never);
    let other_hash = signed(&draft(([9; 32], BUCKETS + 8)));
    assert_eq!(ready(&other_hash, clock), Ready::Broken);
    assert_eq!(ready(&first, clock), Ready::Known);
}

#[test]
fn an_untrusted_change_has_no_effect_until_a_trusted_one_stands_above_it() {
    let first = next(2, None, &[], vec![put(1, &[])]);
    let second = next(2, Some(&first), &[], vec![put(2, &[])]);
    let trusted = next(3, None, &[&second], vec![put(3, &[])]);
    for order in [[&first, &second, &trusted], [&trusted, &second, &first], [&second, &trusted, &first]] {
        let mut world = World::trusting(&[3]);
        for change in order {
            assert_eq!((world.seq(2), world.seq(3)), (0, 0));
            world.receive(change);
        }
        assert_eq!((world.seq(2), world.seq(3)), (2, 1));
        assert_eq!((world.merge.pending.len(), world.merge.stage.len(), world.rows.len(Table::Stage)), (0, 0, 0));
        world.check();
    }
}

#[test]
fn a_replaced_entry_vouches_for_its_change() {
    let first = next(2, None, &[], vec![put(1, &[])]);
    let trusted = next(3, None, &[], vec![put(1, &[(BUCKETS + 1, 2)])]);
    let mut world = World::trusting(&[3]);
    world.receive(&first);
    world.receive(&trusted);
    assert_eq!((world.seq(2), world.seq(3)), (1, 1));
}

#[test]
fn what_a_trusted_peer_attests_to_hold_counts() {
    let first = next(2, None, &[], vec![put(1, &[])]);
    let second = next(2, Some(&first), &[], vec![put(2, &[])]);
    let mut world = World::trusting(&[3]);
    world.receive(&first);
    world.receive(&second);
    assert_eq!(world.seq(2), 0);
    world.merge.attest(&[dep_on(&second)], &mut world.rows).unwrap();
    assert_eq!((world.seq(2), world.merge.stage.len()), (2, 0));
    let mut early = World::trusting(&[3]);
    early.merge.attest(&[dep_on(&second)], &mut early.rows).unwrap();
    early.receive(&second);
    early.receive(&first);
    assert_eq!(early.seq(2), 2, "also when the attestation came first");
}

#[test]
fn a_new_trust_list_judges_what_waits_again() {
    let first = next(2, None, &[], vec![put(1, &[])]);
    let lost = next(3, None, &[], vec![put(4, &[])]);
    let waits = next(3, Some(&lost), &[], vec![put(3, &[])]);
    let mut world = World::trusting(&[3]);
    world.receive(&first);
    world.receive(&waits);
    assert_eq!((world.merge.stage.len(), world.merge.pending.len()), (1, 1));
    world.merge.retrust(Trust::Only([peer(2)].into()));
    world.merge.settle(&mut world.rows).unwrap();
    assert_eq!((world.seq(2), world.merge.stage.len(), world.merge.pending.len()), (1, 1, 0));
}

#[test]
fn two_changes_of_one_seq_are_a_proof_that_is_told_once_and_cuts_their_actor_off() {
    let first = next(2, None, &[], vec![put(1, &[])]);
    let twin = next(2, None, &[], vec![put(2, &[])]);
    let mut world = World::trusting(&[2]);
    world.receive(&first);
    world.receive(&twin);
    world.receive(&twin);
    assert_eq!(world.merge.told.notices, [Notice::Fork { peer: peer(2), seq: 1 }]);
    let row = world.rows.get(Table::Forked, actor(2, 1).as_bytes()).unwrap().unwrap();
    assert!(fork::is_in_force(&row));
    assert_eq!(fork::proof(&row), Some([first.header.clone(), twin.header.clone()]));
    assert_eq!((world.rows.len(Table::Changes), world.merge.state.counters.log_bytes), (0, 0), "its log goes");
    let on_top = next(2, Some(&first), &[], vec![put(3, &[])]);
    world.receive(&on_top);
    assert_eq!(world.seq(2), 0, "no branch goes on");
    assert_eq!(entries::load(&key(1), &world.rows).unwrap().len(), 1, "what was pinned stays pinned");
    let older_twin = next(2, Some(&twin), &[], vec![put(4, &[])]);
    world.receive(&older_twin);
    assert_eq!(world.merge.told.notices.len(), 1);
    world.check();
}

#[test]
fn of_two_forks_of_an_actor_the_earlier_is_in_force_whichever_is_proven_first() {
    let [first, early] = [1, 2].map(|n| next(2, None, &[], vec![put(n, &[])]));
    let [second, late] = [3, 4].map(|n| next(2, Some(&first), &[], vec![put(n, &[])]));
    let proofs = [(&first, &early), (&second, &late)];
    for order in [proofs, [proofs[1], proofs[0]]] {
        let mut world = World::trusting(&[2]);
        world.receive(&first);
        world.receive(&second);
        for (a, b) in order {
            world.merge.check_fork(a.header.clone(), b.header.clone(), &mut world.rows).unwrap();
        }
        assert_eq!(world.merge.state.clock.fork(&actor(2, 1)), Some(Fork { s: 1, m: 0 }));
        assert_eq!(world.merge.told.notices.len(), 1, "one alert an actor");
        let row = world.rows.get(Table::Forked, actor(2, 1).as_bytes()).unwrap().unwrap();
        assert_eq!(fork::proof(&row), Some([first.header.clone(), early.header.clone()]));
        world.check();
    }
}

#[test]
fn a_change_on_another_history_than_our_tip_proves_the_fork() {
    let first = next(2, None, &[], vec![put(1, &[])]);
    let twin = next(2, None, &[], vec![put(2, &[])]);
    let on_twin = next(2, Some(&twin), &[], vec![put(3, &[])]);
    let mut world = World::trusting(&[2]);
    world.receive(&first);
    world.receive(&on_twin);
    assert_eq!(world.seq(2), 0);
    assert_eq!(world.merge.told.notices, [Notice::Fork { peer: peer(2), seq: 1 }]);
}

#[test]
fn a_join_brings_the_headers_that_prove_forks_of_what_it_raised() {
    let first = next(2, None, &[], vec![put(1, &[])]);
    let [second, twin] = [2, 3].map(|n| next(2, Some(&first), &[], vec![put(n, &[])]));
    let (mut world, mut other) = (World::trusting(&[2]), World::trusting(&[2]));
    world.receive(&first);
    other.receive(&first);
    other.receive(&second);
    let tips = BTreeMap::from([(actor(2, 1), second.header.clone())]);
    world.merge.state.join_clock(&other.merge.state.clock, &tips);
    world.receive(&twin);
    assert_eq!(world.merge.told.notices, [Notice::Fork { peer: peer(2), seq: 2 }]);
    let mut without = World::trusting(&[2]);
    without.receive(&first);
    without.merge.state.join_clock(&other.merge.state.clock, &BTreeMap::new());
    assert_eq!(
        without.merge.state.tip(&actor(2, 1), &without.rows).unwrap(),
        None,
        "an old one is not that of the tip"
    );
}

#[test]
fn a_full_waiting_room_drops_the_newest_and_goes_on() {
    let changes: Vec<Signed> = (0..12).fold(Vec::new(), |mut all: Vec<Signed>, n| {
        all.push(next(2, all.last(), &[], vec![put(n, &[])]));
        all
    });
    let mut world = World::trusting(&[2]);
    for change in &changes[1..] {
        world.receive(change);
    }
    assert_eq!((world.merge.pending.len(), world.count("pending_dropped")), (8, 3));
    world.receive(&changes[0]);
    assert_eq!((world.seq(2), world.merge.pending.len()), (9, 0));
    for change in &changes {
        world.receive(change);
    }
    assert_eq!(world.seq(2), 12);
    world.check();
}

#[test]
fn a_full_waiting_room_does_not_part_a_trusted_change_from_its_staged_past() {
    let staged = next(2, None, &[], vec![put(1, &[])]);
    let trusted = next(3, None, &[&staged], vec![put(2, &[])]);
    let mut last = next(4, None, &[], vec![put(3, &[])]);
    let mut world = World::trusting(&[3, 4]);
    world.receive(&staged);
    for n in 0..8 {
        last = next(4, Some(&last), &[], vec![put(n, &[])]);
        world.receive(&last);
    }
    assert_eq!((world.merge.pending.len(), world.merge.stage.len()), (8, 1), "no more fits, and nobody has the first");
    world.receive(&trusted);
    assert_eq!((world.seq(2), world.seq(3)), (1, 1), "or it would come again for ever");
    assert_eq!((world.count("pending_dropped"), world.merge.pending.len()), (0, 8));
    world.check();
}

/// A world in which peer 2 forked at its second change.
fn forked() -> (World, Signed, Signed) {
    let first = next(2, None, &[], vec![put(1, &[])]);
    let refused = next(2, Some(&first), &[], vec![put(2, &[])]);
    let mut world = World::trusting(&[2, 3]);
    world.receive(&first);
    world.merge.state.clock.set_fork(&actor(2, 1), Fork { s: 2, m: BUCKETS + 1 });
    (world, first, refused)
}

#[test]
fn a_fork_in_force_ends_its_actor_and_what_stands_on_it_does_not_wait() {
    let (mut world, _, refused) = forked();
    let row = *world.merge.state.clock.row(&actor(2, 1)).unwrap();
    assert_eq!((row.seq, row.tip, row.head), (1, NO_HASH, false));
    assert_eq!(ready(&refused, &world.merge.state.clock), Ready::Never);
    let on_top = next(3, None, &[&refused], vec![put(2, &[(refused.header.max_op, 2)])]);
    world.receive(&on_top);
    assert_eq!(world.seq(3), 1);
    assert_eq!(world.rows.len(Table::Tombstones), 1, "the clock cannot say that it is removed");
}

#[test]
fn a_dependency_on_a_refused_branch_cannot_burn_the_op_space() {
    let (world, _, refused) = forked();
    let claims = |max_op: u32| {
        let dep = Dep { max_op, ..dep_on(&refused) };
        let ops = vec![put(3, &[])];
        signed(&Draft { actor: actor(3, 1), seq: 1, start_op: max_op + 1, prev: None, deps: vec![dep], ops })
    };
    let clock = &world.merge.state.clock;
    let top = clock.top();
    assert_eq!(ready(&claims(top + 65_536), clock), Ready::Yes);
    assert_eq!(
        ready(&claims(top + 65_537), clock),
        Ready::Wait(Need { actor: actor(2, 1), seq: 2, max_op: top + 65_537 })
    );
}

#[test]
fn a_strangers_fork_has_no_effect_and_is_counted() {
    let first = next(2, None, &[], vec![put(1, &[])]);
    let twin = next(2, None, &[], vec![put(2, &[])]);
    let mut world = World::trusting(&[3]);
    world.receive(&first);
    world.receive(&twin);
    world.merge.check_fork(first.header, twin.header, &mut world.rows).unwrap();
    assert_eq!((world.rows.len(Table::Forked), world.count("forks_of_strangers")), (0, 2));
    assert_eq!(world.merge.told.notices, []);
}

/// Rows that count how often STAGE is read.
#[derive(Default)]
struct Counted {
    rows: crate::crdt::MapRows,
    stage: std::cell::Cell<usize>,
}

impl ReadRows for Counted {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError> {
        self.stage.set(self.stage.get() + usize::from(table == Table::Stage));
        self.rows.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        range: std::ops::Range<&[u8]>,
        visit: crate::crdt::Visit<'_>,
    ) -> Result<(), RowsError> {
        self.rows.scan(table, range, visit)
    }

    fn scan_back(
        &self,
        table: Table,
        range: std::ops::Range<&[u8]>,
        visit: crate::crdt::Visit<'_>,
    ) -> Result<(), RowsError> {
        self.rows.scan_back(table, range, visit)
    }
}

impl Rows for Counted {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), RowsError> {
        self.rows.put(table, key, value)
    }

    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), RowsError> {
        self.rows.remove(table, key)
    }
}

#[test]
fn a_long_past_is_read_when_it_is_whole_and_not_before() {
    // Two strangers who see each other, and a trusted author above both.
    let (mut left, mut right): (Vec<Signed>, Vec<Signed>) = (Vec::new(), Vec::new());
    for n in 0..40 {
        let seen: Vec<&Signed> = right.last().into_iter().collect();
        let change = next(2, left.last(), &seen, vec![put(n, &[])]);
        left.push(change);
        let change = next(4, right.last(), &[&left[left.len() - 1]], vec![put(n, &[])]);
        right.push(change);
    }
    let trusted = next(3, None, &[&left[39], &right[39]], vec![put(99, &[])]);
    let past: Vec<Signed> = left.into_iter().zip(right).flat_map(|(left, right)| [left, right]).collect();
    for backward in [false, true] {
        let (mut world, mut rows) = (World::trusting(&[3]), Counted::default());
        world.merge.receive(trusted.clone(), false, &mut rows).unwrap();
        let order: Vec<&Signed> = if backward { past.iter().rev().collect() } else { past.iter().collect() };
        for change in order {
            assert_eq!(world.seq(3), 0);
            world.merge.receive(change.clone(), false, &mut rows).unwrap();
        }
        assert_eq!((world.seq(2), world.seq(4), world.seq(3)), (40, 40, 1));
        assert!(rows.stage.get() < 300, "{}", rows.stage.get());
    }
}
