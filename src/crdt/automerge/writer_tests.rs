use super::*;
use crate::crdt::Table;
use crate::crdt::automerge::formats::change::{CHUNK_WRITE_MAX, OPS_MAX};
use crate::crdt::automerge::formats::clock::{COUNTER_MAX, Row};
use crate::crdt::automerge::formats::envelope::Envelope;
use crate::crdt::automerge::inspect::audit;
use crate::crdt::automerge::tests::fixtures::{World, put, signed};
use crate::crdt::automerge::tests::testing::{CLUSTER, EPOCH, actor, cid, key, keypair, peer};

fn author() -> Author {
    Author {
        keypair: keypair(1),
        actor: actor(1, 1),
        epoch: EPOCH,
        cluster_name: CLUSTER.to_owned(),
        counter_end: COUNTER_MAX,
        wall: UnixMillis(0),
    }
}

fn pinned(n: u32, name: &str) -> Op {
    let mut pin = Pin::recursive(cid(n));
    pin.name = name.to_owned();
    Op::Pin(Box::new(pin))
}

fn write(world: &mut World, author: &mut Author, ops: impl IntoIterator<Item = Op>) -> Turn {
    let mut turn = Turn::default();
    let wishes = (0..).map(Ticket).zip(ops).map(|(ticket, op)| (ticket, op, Seen::Any)).collect();
    author.write(wishes, &mut world.merge, &mut world.rows, &mut turn).unwrap();
    turn
}

fn changes(turn: &Turn) -> Vec<Signed> {
    let change = |sending: &Sending| {
        let Sending::Gossip { topic: 0, bytes } = sending else { panic!("a write sends changes alone") };
        envelope::verify(bytes.clone(), EPOCH, CLUSTER).unwrap()
    };
    turn.sends.iter().map(change).collect()
}

#[test]
fn many_writes_of_a_turn_are_few_changes() {
    let mut world = World::trusting(&[]);
    let turn = write(&mut world, &mut author(), (0..1_200).map(|n| pinned(n, "x")));
    let sizes: Vec<usize> = changes(&turn).iter().map(|change| change.ops.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 1_200);
    assert!(sizes.len() <= 4 && sizes.iter().all(|size| *size <= OPS_MAX), "{sizes:?}");
    assert_eq!(turn.answers.len(), 1_200);
    world.check();
}

#[test]
fn no_change_is_larger_than_gossip_carries() {
    let mut world = World::trusting(&[]);
    let turn = write(&mut world, &mut author(), (0..40).map(|n| pinned(n, &"x".repeat(16_000))));
    let chunk = |sending: &Sending| match sending {
        Sending::Gossip { bytes, .. } => Envelope::decode(bytes).unwrap().chunk.len(),
        Sending::Open { .. } | Sending::Frame { .. } | Sending::Close { .. } => 0,
    };
    assert!(turn.sends.iter().map(chunk).all(|size| size <= CHUNK_WRITE_MAX));
    assert_eq!(turn.answers.len(), 40);
    world.check();
}

/// A world in which `count` starts of peer 2 pinned one key without seeing each other.
fn contested(count: u8) -> World {
    let mut world = World::trusting(&[2]);
    for start in 0..count {
        for half in 0..3 {
            let mut suffix = [start; SUFFIX];
            suffix[0] = half;
            let actor = Actor::new(peer(2), suffix);
            let draft =
                Draft { actor, seq: 1, start_op: BUCKETS + 1, prev: None, deps: Vec::new(), ops: vec![put(1, &[])] };
            world.receive(&signed(&draft));
        }
    }
    world
}

#[test]
fn a_removal_of_more_entries_than_an_op_may_name_takes_several_changes() {
    let mut world = contested(200);
    assert_eq!(entries::load(&key(1), &world.rows).unwrap().len(), 600);
    let turn = write(&mut world, &mut author(), [Op::Unpin(cid(1))]);
    let changes = changes(&turn);
    assert_eq!(changes.iter().map(|change| change.ops[0].preds.len()).collect::<Vec<_>>(), [512, 88]);
    assert!(entries::load(&key(1), &world.rows).unwrap().is_empty());
    assert!(matches!(&turn.answers[..], [(Ticket(0), Ok(_))]));
    world.check();
}

#[test]
fn more_heads_than_a_change_may_name_stay_heads_and_are_covered_by_later_ones() {
    let mut world = contested(50);
    let mut author = author();
    for n in 0..3 {
        let turn = write(&mut world, &mut author, [pinned(100 + n, "x")]);
        assert!(changes(&turn)[0].deps.len() <= DEPS_MAX);
    }
    assert_eq!(world.merge.state.clock.heads().count(), 1);
    world.check();
}

#[test]
fn a_write_is_above_the_greatest_counter_even_if_its_head_is_covered() {
    let mut world = World::trusting(&[]);
    let high = Row { seq: 3, max_op: 9_000, tip: [1; 32], head: false };
    let low = Row { seq: 1, max_op: 5_000, tip: [2; 32], head: true };
    world.merge.state.clock.set(&actor(2, 1), Some(high));
    world.merge.state.clock.set(&actor(3, 1), Some(low));
    let turn = write(&mut world, &mut author(), [pinned(1, "x")]);
    assert_eq!(changes(&turn)[0].header.start_op, 9_001);
}

#[test]
fn an_author_that_saw_its_own_fork_goes_on_under_another_actor() {
    let mut world = World::trusting(&[]);
    let mut author = author();
    write(&mut world, &mut author, [pinned(1, "x")]);
    world.rows.put(Table::Forked, actor(1, 1).as_bytes(), &[0; 9]).unwrap();
    let turn = write(&mut world, &mut author, [pinned(2, "y")]);
    let header = &changes(&turn)[0].header;
    assert_eq!((header.actor.peer(), header.seq), (peer(1), 1));
    assert_ne!(header.actor, actor(1, 1));
}

#[test]
fn a_used_up_epoch_refuses_writes_by_name_and_writes_nothing() {
    let mut world = World::trusting(&[]);
    let row = Row { seq: 3, max_op: COUNTER_MAX - 3, tip: [1; 32], head: true };
    world.merge.state.clock.set(&actor(2, 1), Some(row));
    let turn = write(&mut world, &mut author(), [pinned(1, "x"), pinned(2, "y"), pinned(3, "z")]);
    assert!(turn.answers.iter().all(|(_, answer)| *answer == Err(WriteError::EpochFull)));
    assert_eq!((turn.answers.len(), turn.sends.len(), world.rows.len(Table::Pins)), (3, 0, 0));
    let turn = write(&mut world, &mut author(), [pinned(1, "x"), pinned(2, "y")]);
    assert_eq!(changes(&turn)[0].header.max_op, COUNTER_MAX - 1);
    assert_eq!(audit(&world.rows).unwrap().pins, 2);
}

#[test]
fn the_end_of_an_epoch_can_be_set_lower() {
    let (mut world, mut author) = (World::trusting(&[]), author());
    author.counter_end = BUCKETS + 3;
    assert!(write(&mut world, &mut author, [pinned(1, "x"), pinned(2, "x")]).answers.iter().all(|(_, a)| a.is_ok()));
    let turn = write(&mut world, &mut author, [pinned(3, "x")]);
    assert_eq!(turn.answers, [(Ticket(0), Err(WriteError::EpochFull))]);
    let text = WriteError::EpochFull.to_string();
    assert!(text.contains("state new-epoch"), "{text}");
    assert!(turn.sends.is_empty());
}

#[test]
fn an_envelope_with_all_there_can_be_in_it_is_what_gossip_carries() {
    let mut world = contested(200);
    let turn = write(&mut world, &mut author(), [pinned(1, &"x".repeat(16_000))]);
    let change = &changes(&turn)[0];
    assert!(change.deps.len() >= HEADS_MAX && change.ops[0].preds.len() > 300);
    assert!(change.bytes.len() <= 48 * 1024, "{}", change.bytes.len());
    write(&mut world, &mut author(), [Op::Unpin(cid(1))]);
    assert!(entries::load(&key(1), &world.rows).unwrap().is_empty(), "what a write leaves beside it goes later");
}

#[test]
fn a_key_whose_winner_is_no_pin_can_be_pinned_by_who_saw_none() {
    let mut world = World::trusting(&[2]);
    world.receive(&crate::crdt::automerge::tests::fixtures::next(2, None, &[], vec![put(1, &[])]));
    let mut turn = Turn::default();
    let wish = (Ticket(0), pinned(1, "x"), Seen::Winner(None));
    author().write(vec![wish], &mut world.merge, &mut world.rows, &mut turn).unwrap();
    assert!(matches!(&turn.answers[..], [(Ticket(0), Ok(_))]));
}

#[test]
fn two_images_of_one_process_part_for_good() {
    let next = |n| {
        let (mut world, mut author) = (World::trusting(&[]), author());
        write(&mut world, &mut author, [pinned(n, "x")]);
        world.rows.put(Table::Forked, actor(1, 1).as_bytes(), &[0; 9]).unwrap();
        write(&mut world, &mut author, [pinned(3, "y")]);
        author.actor
    };
    assert_ne!(next(1), next(2));
}
