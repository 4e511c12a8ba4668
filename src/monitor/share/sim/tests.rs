//! What holds of all that. That nobody exceeds its budget is asserted of each follower at each beat.
//!
//! `SHARE_PINS=20000` is the long form of the storms, with 500 followers in each; it takes some minutes with
//! `--profile fuzz`.
use super::world::{Args, World};

const SMALL: Args = Args { seed: 1, nodes: 60, pins: 1_500, skew: 1_000.0, load: 0.88, leaving: 10 };

/// Some leave and come back: every pin has its copies when all is quiet, and while they come back at every moment. With
/// some away the copies fill 88 % of the budgets.
fn storm(args: Args) {
    let long = std::env::var("SHARE_PINS").ok().and_then(|pins| pins.parse().ok());
    let mut world = World::new(long.map_or(args, |pins| Args { nodes: 500, pins, skew: 1_000.0, ..args }));
    world.settle(|_| {});
    assert_eq!(world.lacking(), 0, "at first");
    world.leave();
    assert!(world.lacking() > world.pins.len() / 10, "there is something to do");
    world.settle(|_| {});
    assert_eq!(world.lacking(), 0, "with them away");
    assert!(world.used() < 0.89, "{} is more than what was asked for", world.used());
    world.come_back();
    world.settle(|world| assert_eq!(world.lacking(), 0, "while they come back"));
    assert!(world.used() < 0.89, "{}: others let go of what they hold again", world.used());
}

#[test]
fn nine_of_ten_leave_of_five_hundred_and_come_back() {
    storm(Args { nodes: 500, pins: 1_000, skew: 100.0, leaving: 90, ..SMALL });
}

#[test]
fn one_in_ten_leaves_and_comes_back() {
    storm(Args { seed: 2, ..SMALL });
}

#[test]
fn half_of_all_leave_and_come_back() {
    storm(Args { seed: 3, leaving: 50, ..SMALL });
}

#[test]
fn where_there_is_too_little_room_it_is_used_and_all_is_well_when_there_is_enough() {
    let mut world = World::new(Args { seed: 4, leaving: 50, load: 1.7, ..SMALL });
    world.settle(|_| {});
    assert_eq!(world.lacking(), 0);
    world.leave();
    world.settle(|_| {});
    assert!(world.lacking() > 0 && world.used() > 0.92, "{} lack a copy, {} is used", world.lacking(), world.used());
    world.come_back();
    world.settle(|_| {});
    assert_eq!(world.lacking(), 0);
}

#[test]
fn who_leaves_costs_less_than_twice_what_it_held() {
    for seed in [6, 7] {
        let mut world = World::new(Args { seed, leaving: 0, load: 0.85, ..SMALL });
        world.settle(|_| {});
        let mean = world.nodes.iter().map(|node| node.purse.budget()).sum::<u64>() / 60;
        let one = (0..60).min_by_key(|n| world.nodes[*n].purse.budget().abs_diff(mean)).unwrap();
        let (gone, before) = (world.nodes[one].purse.held(), world.fetched());
        world.leave_one(one);
        world.settle(|_| {});
        assert_eq!(world.lacking(), 0);
        let moved = world.fetched() - before;
        assert!(moved >= gone && moved < gone * 2, "{moved} for {gone}");
    }
}
