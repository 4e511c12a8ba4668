//! Storms of everything that is nobody's fault: links of one direction, clocks that are off, disks that fail and fill up.
use super::checks::{check_equal, check_honest};
use super::net::Net;
use super::storms::{Ill, Storm, small};
use super::{daemon, each_seed};

fn storm(seed: u64, ills: &[Ill]) -> Net {
    let all = 2 + usize::try_from(seed % 4).unwrap();
    let mut net = Net::of(seed, all, if seed.is_multiple_of(5) { daemon() } else { small(seed) });
    Storm::of(ills, all).run(&mut net);
    net.run_until_quiet();
    check_equal(&net, 0..all);
    check_honest(&net, 0..all);
    net
}

#[test]
fn links_of_one_direction_hold_nobody_up_for_good() {
    each_seed(80, |seed| drop(storm(seed, &[Ill::Link])));
}

#[test]
fn a_disk_that_fails_at_any_row_loses_its_turn_and_nothing_else() {
    each_seed(100, |seed| drop(storm(seed, &[Ill::Disk, Ill::Crash])));
}

#[test]
fn clocks_that_are_off_and_peers_that_are_away_change_nothing() {
    each_seed(60, |seed| drop(storm(seed, &[Ill::Clock, Ill::Away, Ill::Crash])));
}

#[test]
fn all_at_once() {
    let ills = [Ill::Crash, Ill::Link, Ill::Clock, Ill::Disk, Ill::Away, Ill::Replay];
    each_seed(80, |seed| drop(storm(seed, &ills)));
}

#[test]
fn a_seed_run_twice_is_one_run() {
    let ills = [Ill::Crash, Ill::Link, Ill::Clock, Ill::Disk, Ill::Away, Ill::Replay];
    each_seed(4, |seed| assert_eq!(storm(seed, &ills).trace(), storm(seed, &ills).trace()));
}
