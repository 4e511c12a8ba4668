use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::model::Cid;
use crate::monitor::Score;
use crate::monitor::testing::{at, cid, peer};

/// Peers 1.. with a region and free space each.
fn candidates(peers: &[(&str, i64)]) -> Vec<Candidate> {
    let scores = |region: &str, free: i64| {
        let tag = Score { value: region.into(), weight: 0, partitionable: true };
        vec![tag, Score { value: free.to_string(), weight: free, partitionable: false }]
    };
    (1..).zip(peers).map(|(n, (region, free))| Candidate::of(peer(n), scores(region, *free))).collect()
}

fn measure(last: &str) -> Measure {
    Measure::of(&["tag:region".into(), last.into()]).unwrap()
}

fn plan(peers: &[(&str, i64)]) -> Plan {
    Plan::new(measure("freespace"), &candidates(peers), &Promises::default(), at(0))
}

fn pin(n: u64, holders: &[u8], min: u32) -> Pin {
    Pin {
        replication: Replication::Between { min, max: min + 1 },
        allocations: holders.iter().map(|n| peer(*n)).collect(),
        ..Pin::recursive(cid(n))
    }
}

/// Moves a pin as often as the plan wants.
fn settle(plan: &mut Plan, pin: &mut Pin, bytes: u64) -> Vec<Move> {
    let mut moves = Vec::new();
    while let Some(next) = plan.next(pin, bytes).filter(|_| plan.affords(bytes)) {
        assert!(moves.len() < 100, "it has an end");
        plan.made(&next, bytes);
        let place = pin.allocations.iter().position(|peer| *peer == next.from).unwrap();
        assert!(!pin.allocations.contains(&next.to));
        pin.allocations[place] = next.to;
        moves.push(next);
    }
    moves
}

/// One run over pins of these sizes, crowded ones first, as the cluster makes it; returns the moves.
fn run(plan: &mut Plan, pins: &mut [(Pin, u64)]) -> Vec<(Cid, Move)> {
    let mut moves = Vec::new();
    let passes = if plan.has_tags() { vec![Some(true), Some(false)] } else { vec![None] };
    for pass in passes {
        for (pin, bytes) in &mut *pins {
            if pass.is_none_or(|crowded| plan.is_crowded(pin) == crowded) {
                let cid = pin.cid;
                moves.extend(settle(plan, pin, *bytes).into_iter().map(|next| (cid, next)));
            }
        }
    }
    moves
}

/// What peers 1.. have.
fn rooms(plan: &Plan) -> Vec<i128> {
    (1..).map_while(|n| plan.seats.get(&peer(n))).map(|seat| seat.room).collect()
}

fn spread(rooms: &[i128]) -> i128 {
    rooms.iter().max().unwrap_or(&0) - rooms.iter().min().unwrap_or(&0)
}

#[test]
fn peers_are_balanced_by_what_the_allocator_compares() {
    let of = |names: &[&str]| Measure::of(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(of(&["tag:region", "freespace"]).unwrap().name(), "freespace");
    assert_eq!(of(&["reposize"]).unwrap().unit, Unit::Bytes);
    assert_eq!(of(&["pinqueue", "numpin"]).map(|m| (m.level, m.unit)), Some((1, Unit::Pins)));
    assert_eq!(of(&["tag:region", "pinqueue"]), None);
}

#[test]
fn copies_go_to_a_new_peer_until_all_have_the_same() {
    let mut plan = plan(&[("a", 100), ("a", 100), ("a", 400)]);
    assert_eq!(plan.givers().len(), 2);
    let mut pins: Vec<(Pin, u64)> = (0..100).map(|n| (pin(n, &[1, 2], 2), 10)).collect();
    assert_eq!(run(&mut plan, &mut pins).len(), 20);
    assert_eq!(rooms(&plan), [200, 200, 200]);
    assert!(plan.givers().is_empty());
}

#[test]
fn what_is_nearly_even_stays() {
    let pins = |plan: &mut Plan| run(plan, &mut [(pin(1, &[1], 1), 1)]).len();
    assert_eq!(pins(&mut plan(&[("a", 980), ("a", 1_020)])), 0);
    assert_eq!(pins(&mut plan(&[("a", 970), ("a", 1_030)])), 1);
}

#[test]
fn a_copy_that_is_too_large_for_either_side_stays() {
    let moved = |bytes| run(&mut plan(&[("a", 0), ("a", 200)]), &mut [(pin(1, &[1], 1), bytes)]).len();
    assert_eq!((moved(100), moved(101)), (1, 0));
}

#[test]
fn the_fullest_holder_gives_and_the_emptiest_peer_takes() {
    let plan = plan(&[("a", 50), ("a", 10), ("a", 300), ("a", 400)]);
    assert_eq!(plan.next(&pin(1, &[1, 2], 2), 1), Some(Move { from: peer(2), to: peer(4) }));
    assert_eq!(plan.next(&pin(1, &[1, 2, 4], 2), 1), Some(Move { from: peer(2), to: peer(3) }));
    assert_eq!(plan.next(&pin(1, &[3, 4], 2), 1), None, "they have room");
}

#[test]
fn pins_that_are_not_of_its_kind_stay() {
    let plan = plan(&[("a", 0), ("a", 400)]);
    let well = pin(1, &[1], 1);
    assert!(plan.next(&well, 1).is_some());
    assert_eq!(plan.next(&well.clone().replicated(Replication::Everywhere), 1), None);
    assert_eq!(plan.next(&Pin { kind: PinType::Shard, ..well }, 1), None);
    assert_eq!(plan.next(&pin(1, &[1, 9], 2), 1), None, "peer 9 is not there: repair comes first");
    assert!(plan.next(&pin(1, &[1, 9], 1), 1).is_some());
}

#[test]
fn a_crowded_pin_is_spread_and_no_pin_is_crowded_by_a_move() {
    let plan = plan(&[("a", 0), ("a", 10), ("b", 400), ("a", 500)]);
    let (crowded, spread) = (pin(1, &[1, 2], 2), pin(2, &[1, 3], 2));
    assert!(plan.has_tags() && plan.is_crowded(&crowded) && !plan.is_crowded(&spread));
    assert_eq!(
        plan.next(&crowded, 1),
        Some(Move { from: peer(1), to: peer(3) }),
        "4 has more room, in the same region"
    );
    assert_eq!(plan.next(&spread, 1), Some(Move { from: peer(1), to: peer(4) }));
    assert_eq!(plan.next(&pin(3, &[3, 1, 4], 2), 1), None, "two in a are better than three");
}

#[test]
fn no_more_bytes_move_than_may() {
    let moved = |max| {
        let mut pins: Vec<(Pin, u64)> = (0..100).map(|n| (pin(n, &[1], 1), 10)).collect();
        run(&mut plan(&[("a", 0), ("a", 1_000)]).within(max), &mut pins).len()
    };
    assert_eq!((moved(None), moved(Some(99)), moved(Some(9)), moved(Some(0))), (49, 9, 0, 0));
}

#[test]
fn pins_are_counted_where_the_metric_counts_them() {
    let counts = candidates(&[("a", -100), ("a", 0)]);
    let mut plan = Plan::new(measure("numpin"), &counts, &Promises::default(), at(0));
    let mut pins: Vec<(Pin, u64)> = (0..100).map(|n| (pin(n, &[1], 1), 1 << 40)).collect();
    assert_eq!(run(&mut plan, &mut pins).len(), 49, "until they are within a twentieth of the mean, and no further");
}

#[test]
fn what_was_promised_counts_until_it_has_come_or_a_day_is_over() {
    let (said, mut promises) = ([("a", 0), ("a", 400)], Promises::default());
    let planned = |said: &[(&str, i64)], promises: &Promises, now| {
        Plan::new(measure("freespace"), &candidates(said), promises, at(now))
    };
    let mut first = planned(&said, &promises, 0);
    run(&mut first, &mut [(pin(1, &[1], 1), 200)]);
    for n in [1, 2] {
        first.promise(&peer(n), &mut promises, at(0));
    }
    let rooms = |said: &[(&str, i64)], now| rooms(&planned(said, &promises, now));
    assert_eq!(rooms(&said, 1), [200, 200], "nobody says so yet");
    assert_eq!(rooms(&[("a", 0), ("a", 300)], 1), [200, 200], "half of it has come");
    assert_eq!(rooms(&[("a", 250), ("a", 150)], 1), [250, 150], "more went on than was promised");
    assert_eq!(rooms(&said, 86_400), [0, 400]);
}

proptest! {
    #[test]
    fn a_run_brings_peers_together_and_the_next_one_finds_nothing(
        peers in proptest::collection::vec((0..3_usize, -50..2_000_i64), 1..9),
        pins in proptest::collection::vec((proptest::collection::vec(1..10_u8, 1..5), 1..4_u32, 0..300_u64), 0..120),
    ) {
        let peers: Vec<(&str, i64)> = peers.iter().map(|(region, free)| (["a", "b", "c"][*region], *free)).collect();
        let mut pins: Vec<(Pin, u64)> = (0..).zip(&pins).map(|(n, (holders, min, bytes))| {
            let distinct: BTreeSet<u8> = holders.iter().copied().collect();
            (pin(n, &distinct.into_iter().collect::<Vec<_>>(), *min), *bytes)
        }).collect();
        let (before, mut first) = (pins.clone(), plan(&peers));
        let (began, sum) = (rooms(&first), rooms(&first).iter().sum::<i128>());
        let moves = run(&mut first, &mut pins);
        prop_assert!(spread(&rooms(&first)) <= spread(&began), "the spread does not grow");
        prop_assert!(spread(&rooms(&first)) < spread(&began) || moves.is_empty() || began.len() > 2);
        prop_assert_eq!(rooms(&first).iter().sum::<i128>(), sum);
        for ((old, _), (new, _)) in before.iter().zip(&pins) {
            let here = |pin: &Pin| pin.allocations.iter().filter(|peer| first.seats.contains_key(peer)).count();
            prop_assert_eq!((old.allocations.len(), here(old)), (new.allocations.len(), here(new)), "as many copies");
            let distinct: BTreeSet<&PeerId> = new.allocations.iter().collect();
            prop_assert_eq!(distinct.len(), new.allocations.len());
            prop_assert!(first.crowding(new.allocations.iter()) <= first.crowding(old.allocations.iter()));
        }
        let said: Vec<(&str, i64)> =
            peers.iter().zip(rooms(&first)).map(|((tag, _), room)| (*tag, i64::try_from(room).unwrap())).collect();
        prop_assert_eq!(run(&mut plan(&said), &mut pins), vec![], "a second run has nothing to do");
    }
}
