use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::model::{Pin, Replication};
use crate::monitor::testing::{at, cid, peer};

const GRACE: Duration = Duration::from_mins(5);

/// Peers 1.. whose last sign of life ended at these seconds, seen by peer 9 at `now`.
fn census(lives: &[i64], leaving: &[u8], now: i64) -> Census {
    let lives = (1..).zip(lives).map(|(n, until)| (peer(n), at(*until)));
    let leaving = leaving.iter().map(|n| peer(*n)).collect();
    Census::of(peer(9), lives, &leaving, (at(0), GRACE, at(now)))
}

fn pin(holders: &[u8], min: u32) -> Pin {
    Pin {
        replication: Replication::Between { min, max: min + 1 },
        allocations: holders.iter().map(|n| peer(*n)).collect(),
        ..Pin::recursive(cid(1))
    }
}

#[test]
fn a_peer_is_missed_for_the_grace_and_then_gone() {
    let standings = |now| (1..=3).map(|n| census(&[1000, 400, 100], &[], now).standing(&peer(n))).collect::<Vec<_>>();
    assert_eq!(standings(390), [Standing::Here, Standing::Here, Standing::Missed]);
    assert_eq!(standings(400), [Standing::Here, Standing::Here, Standing::Gone]);
    assert_eq!(standings(699), [Standing::Here, Standing::Missed, Standing::Gone]);
    assert_eq!(standings(700), [Standing::Here, Standing::Gone, Standing::Gone]);
}

#[test]
fn who_was_never_heard_is_gone_once_this_peer_has_listened() {
    assert_eq!(census(&[], &[], 299).standing(&peer(7)), Standing::Missed);
    assert_eq!(census(&[], &[], 300).standing(&peer(7)), Standing::Gone);
    assert_eq!(census(&[], &[], 300).standing(&peer(9)), Standing::Here);
}

#[test]
fn a_clock_that_jumps_makes_nobody_gone() {
    let mut listening = Listening::new(at(0), 0);
    assert_eq!(listening.since(at(400), 400_100), at(0));
    assert_eq!(listening.since(at(4_000), 401_000), at(4_000), "the machine slept for an hour");
    assert_eq!(listening.since(at(4_100), 501_000), at(4_000));
    assert_eq!(listening.since(at(100), 502_000), at(100), "the clock was set back");
    // All that were heard before the sleep have expired since.
    let lives = [(peer(1), at(420)), (peer(2), at(410))];
    let standing = |now| Census::of(peer(9), lives, &BTreeSet::new(), (at(4_000), GRACE, at(now))).standing(&peer(1));
    assert_eq!(
        (standing(4_001), standing(4_299), standing(4_300)),
        (Standing::Missed, Standing::Missed, Standing::Gone)
    );
}

#[test]
fn a_pin_is_short_when_those_that_count_are_fewer_than_its_minimum() {
    let census = census(&[1000, 1000, 0], &[], 500);
    assert!(!census.is_short(&pin(&[1, 2, 3], 2)), "one of three is gone, two are enough");
    assert!(census.is_short(&pin(&[1, 2, 3], 3)));
    assert!(!census.is_short(&Pin { replication: Replication::Everywhere, ..pin(&[3], 1) }));
    assert_eq!(census.holders(&pin(&[3, 2, 1], 3)), [peer(2), peer(1)]);
}

#[test]
fn a_peer_that_leaves_counts_no_more_though_it_speaks() {
    let census = census(&[1000, 1000], &[2], 10);
    assert_eq!(census.standing(&peer(2)), Standing::Gone);
    assert!(census.is_short(&pin(&[1, 2], 2)));
    assert!(census.is_short(&pin(&[1, 2], 1)), "what it holds is to move, also where the others are enough");
    assert!(!census.is_short(&pin(&[1], 1)));
    assert_eq!(census.holders(&pin(&[2, 1], 1)), [peer(1)]);
    assert!(!census.is_short(&Pin { replication: Replication::Everywhere, ..pin(&[], 1) }));
}

#[test]
fn with_a_grace_for_ever_only_those_that_leave_are_gone() {
    let lives = [(peer(1), at(0)), (peer(2), at(0)), (peer(3), at(1_000_000))];
    let census = Census::of(peer(9), lives, &[peer(3)].into(), (at(0), Duration::MAX, at(900_000)));
    assert_eq!([1, 2, 3, 4].map(|n| census.standing(&peer(n)) == Standing::Gone), [false, false, true, false]);
    assert!(!census.is_short(&pin(&[1, 2], 2)) && census.is_short(&pin(&[1, 3], 2)));
}

#[test]
fn a_peer_that_leaves_moves_what_it_alone_holds() {
    let (lives, leaving) = ([1000; 3], [2].map(peer).into());
    let turn = |own: u8, holders: &[u8]| {
        let lives = (1..).zip(lives).map(|(n, until)| (peer(n), at(until)));
        let census = Census::of(peer(own), lives, &leaving, (at(0), GRACE, at(500)));
        census.turn(&peer(own), &pin(holders, 1), |_| true)
    };
    assert_eq!(turn(2, &[2]), 0);
    assert!([1, 3].into_iter().all(|other| turn(other, &[2]) > 0));
}

#[test]
fn holders_come_first_in_repairing_and_everyone_has_another_turn() {
    let lives = [1000; 5];
    let turns = |holders: &[u8]| {
        let pin = pin(holders, 3);
        let mut turns: Vec<(usize, u8)> = (1..=5)
            .map(|own| {
                let lives = (1..).zip(lives).map(|(n, until)| (peer(n), at(until)));
                let census = Census::of(peer(own), lives, &BTreeSet::new(), (at(0), GRACE, at(500)));
                (census.turn(&peer(own), &pin, |_| true), own)
            })
            .collect();
        turns.sort_unstable();
        turns
    };
    let order = turns(&[2, 4, 8]);
    assert_eq!(order.iter().map(|(turn, _)| *turn).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let mut first: Vec<u8> = order[..2].iter().map(|(_, own)| *own).collect();
    first.sort_unstable();
    assert_eq!(first, [2, 4]);
    assert_eq!(turns(&[7, 8]).iter().map(|(turn, _)| *turn).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn an_untrusted_peer_is_not_waited_for() {
    let census = census(&[1000; 5], &[], 500);
    assert_eq!(census.turn(&peer(9), &pin(&[1, 2], 3), |_| false), 0);
}

#[test]
fn a_round_is_due_after_the_start_when_a_peer_is_gone_and_when_something_is_left() {
    let mut rounds = Rounds::default();
    assert!(!rounds.is_due(&census(&[0], &[], 299), at(299)));
    let first = census(&[1000, 1000], &[], 300);
    assert!(rounds.is_due(&first, at(300)));
    rounds.end(&first, 0, at(301));
    assert!(!rounds.is_due(&census(&[9000, 9000], &[], 8000), at(8000)), "nothing is left and nobody is gone");

    let gone = census(&[9000, 1000], &[], 1300);
    assert!(rounds.is_due(&gone, at(1300)));
    assert_eq!(rounds.patience(&gone), 0);
    rounds.end(&gone, 3, at(1310));
    assert!(!rounds.is_due(&census(&[9000, 1000], &[], 4000), at(4000)));
    assert!(rounds.is_due(&census(&[9000, 1000, 9000], &[], 1320), at(1320)), "a new member may help");
    let later = census(&[9000, 1000], &[], 4910);
    assert!(rounds.is_due(&later, at(4910)));
    assert_eq!(rounds.patience(&later), 1);
    rounds.end(&later, 0, at(4911));
    assert!(!rounds.is_due(&census(&[90_000, 1000], &[], 20_000), at(20_000)));
}

#[test]
fn a_peer_that_says_that_it_leaves_is_not_waited_for() {
    let mut rounds = Rounds::default();
    let leaving = census(&[1000, 1000], &[2], 10);
    assert!(rounds.is_due(&leaving, at(10)));
    rounds.end(&leaving, 0, at(11));
    assert!(!rounds.is_due(&census(&[1000, 1000], &[2], 12), at(12)));
    let awake = census(&[1000, 1000], &[], 300);
    assert!(rounds.is_due(&awake, at(300)), "who else is gone could not be known then");
}

#[test]
fn rounds_go_on_while_a_peer_leaves_ever_more_rarely_and_others_step_in() {
    let mut rounds = Rounds::default();
    let lives = [90_000, 90_000];
    rounds.end(&census(&lives, &[], 400), 0, at(400));
    let mut ends = vec![];
    for now in 401..12_000 {
        let leaving = census(&lives, &[2], now);
        if rounds.is_due(&leaving, at(now)) {
            ends.push((now, rounds.patience(&leaving)));
            rounds.end(&leaving, 0, at(now));
        }
    }
    let expected = [(401, 0), (461, 1), (581, 2), (821, 3), (1301, 4), (2261, 5), (4181, 6), (7781, 7), (11_381, 8)];
    assert_eq!(ends, expected);
}

#[test]
fn who_leaves_or_dies_again_is_a_round_again() {
    let mut rounds = Rounds::default();
    for (leaving, now) in [(2, 400), (2, 500)] {
        assert!(rounds.is_due(&census(&[9000, 9000], &[leaving], now), at(now)), "{now}");
        rounds.end(&census(&[9000, 9000], &[leaving], now), 0, at(now));
        assert!(!rounds.is_due(&census(&[9000, 9000], &[], now + 10), at(now + 10)), "it is back");
    }
    assert!(rounds.is_due(&census(&[9000, 1000], &[], 1400), at(1400)));
}

#[test]
fn a_peer_that_says_now_this_and_now_that_does_not_cost_a_scan_each_time() {
    let mut rounds = Rounds::default();
    let mut scans = 0;
    for now in 400..500 {
        let leaving: &[u8] = if now % 2 == 0 { &[2] } else { &[] };
        let census = census(&[9000, 9000], leaving, now);
        if rounds.is_due(&census, at(now)) {
            scans += 1;
            rounds.end(&census, 0, at(now));
        }
    }
    assert!((2..=10).contains(&scans), "{scans}");
}

#[test]
fn bytes_are_paid_one_after_another() {
    let mut brake = Brake::new(1_000_000);
    assert_eq!(brake.wait(5), Duration::ZERO);
    brake.pay(500_000, 5);
    brake.pay(500_000, 5);
    assert_eq!(brake.wait(5), Duration::from_secs(1));
    assert_eq!(brake.wait(2_000), Duration::ZERO);
    brake.pay(1, 10_000);
    assert!(brake.wait(10_000) < Duration::from_millis(1));
    let mut free = Brake::new(0);
    free.pay(u64::MAX, 1);
    assert_eq!(free.wait(1), Duration::ZERO);
}
