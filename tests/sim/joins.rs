//! Peers that drop their log and join whole states: any instant, any distance, crashes in between.
use std::sync::atomic::{AtomicUsize, Ordering};

use ipfs_cluster::crdt::automerge::Limits;
use ipfs_cluster::crdt::{Op, Table};
use ipfs_cluster::model::Trust;
use rand::Rng;

use super::checks::{check_alerts, check_equal, check_honest, check_sound, joins};
use super::net::Net;
use super::storms::{Ill, Storm, ops, small};
use super::world::{cid, peer_id, pin};
use super::{each_seed, seeds};

/// Three to five peers that trust each other.
fn some(seed: u64) -> Net {
    Net::of(seed, 3 + usize::try_from(seed % 3).unwrap(), small(seed))
}

fn whole(net: &Net) {
    let all = net.peers.len();
    check_equal(net, 0..all);
    (0..all).for_each(|n| drop(check_sound(net, n, |_| true)));
}

#[test]
fn peers_that_drop_their_log_join_states_and_end_with_one_pinset() {
    each_seed(150, |seed| {
        let mut net = some(seed);
        let all = net.peers.len();
        Storm::of(&[Ill::Crash, Ill::Replay], all).run(&mut net);
        net.run_until_quiet();
        check_equal(&net, 0..all);
        check_honest(&net, 0..all);
    });
}

#[test]
fn restored_backups_heal_whatever_log_is_left() {
    each_seed(100, |seed| {
        let mut net = some(seed);
        let all = net.peers.len();
        Storm::of(&[Ill::Crash, Ill::Restore, Ill::Clock], all).run(&mut net);
        net.run_until_quiet();
        whole(&net);
    });
}

#[test]
fn images_of_one_process_fork_and_heal_with_one_alert_each() {
    let forks = AtomicUsize::new(0);
    each_seed(150, |seed| {
        let mut net = some(seed);
        let all = net.peers.len();
        Storm::of(&[Ill::Image, Ill::Replay], all).run(&mut net);
        net.run_until_quiet();
        whole(&net);
        check_alerts(&net);
        forks.fetch_add(net.summary(0).forks, Ordering::Relaxed);
    });
    assert!(forks.into_inner() > 0 || seeds(150).count() < 15, "an actor with two histories is proven to have them");
}

#[test]
fn a_follower_joins_from_a_follower_with_its_publisher_away() {
    each_seed(20, |seed| {
        let trusts = vec![Trust::Only([peer_id(0)].into()); 3];
        let mut net = Net::new(seed, trusts, Limits { log_bytes: 0, ..small(seed) });
        net.part(vec![0, 0, 1]);
        for n in 0..30 {
            net.write(0, vec![Op::Pin(Box::new(pin(n, seed)))]);
            net.run(500);
        }
        net.run(120_000);
        assert!(net.peers[1].rows.len(Table::Changes) < 30, "its log reaches nobody who is new");
        net.part(vec![1, 0, 0]);
        net.run(120_000);
        assert_eq!(net.pinset(2).len(), 30);
        assert_eq!(net.peers[2].counts["joins"], 1);
        net.run_until_quiet();
        check_equal(&net, 0..3);
    });
}

#[test]
fn two_partitions_that_both_dropped_their_log_meet_again() {
    each_seed(30, |seed| {
        let mut net = Net::of(seed, 4, Limits { log_bytes: 0, ..small(seed) });
        (0..20).for_each(|n| drop(net.write(0, vec![Op::Pin(Box::new(pin(n, 0)))])));
        net.run_until_quiet();
        net.part(vec![0, 0, 1, 1]);
        for n in 0..20 {
            net.write(0, vec![if n % 2 == 0 { Op::Unpin(cid(n)) } else { Op::Pin(Box::new(pin(n + 100, 0))) }]);
            net.write(2, vec![if n % 3 == 0 { Op::Unpin(cid(n)) } else { Op::Pin(Box::new(pin(n + 200, 0))) }]);
            net.run(500);
        }
        net.run(60_000);
        net.run_until_quiet();
        check_equal(&net, 0..4);
        check_honest(&net, 0..4);
        let kept = (0..20).filter(|n| n % 2 != 0 && n % 3 != 0).count();
        assert_eq!(net.pinset(3).len(), kept + 10 + 13);
        assert!(joins(&net) > 0);
    });
}

#[test]
fn several_peers_lend_one_snapshot_at_once() {
    let mut net = Net::of(5, 3, Limits { log_bytes: 0, frame_rows: 1, ..Limits::default() });
    net.part(vec![0, 0, 1]);
    for n in 0..300 {
        net.write(0, vec![Op::Pin(Box::new(pin(n, 1)))]);
        net.run(20);
    }
    net.run(60_000);
    net.heal();
    net.run(30_000);
    assert_eq!(net.pinset(2).len(), 300);
    let lent: Vec<usize> = (0..2).map(|n| net.lent_by.get(&n).copied().unwrap_or(0)).collect();
    assert!(lent.iter().all(|frames| *frames > 60), "{lent:?}");
    net.run_until_quiet();
    check_equal(&net, 0..3);
}

#[test]
fn a_writer_that_was_away_for_hours_brings_its_writes_and_loses_none() {
    each_seed(20, |seed| {
        let mut net = Net::of(seed, 3, Limits { log_bytes: 0, ..small(seed) });
        (0..10).for_each(|n| drop(net.write(2, vec![Op::Pin(Box::new(pin(n, 0)))])));
        net.run(30_000);
        net.links.away.insert(2);
        net.relink();
        for round in 0..6 {
            for n in 0..2 {
                let ops = ops(&mut net, 30);
                net.write(n, ops);
            }
            net.write(2, vec![Op::Pin(Box::new(pin(100 + round, 1))), Op::Unpin(cid(round))]);
            let millis = net.rng.random_range(0..1_800_000);
            net.run(millis);
        }
        net.run_until_quiet();
        check_equal(&net, 0..3);
        check_honest(&net, 0..3);
        let held = net.pinset(0);
        assert!((100..106).all(|n| held.contains(&pin(n, 1))), "what it wrote there is here");
    });
}
