//! Peers that drop their log and join whole states: any instant, any distance, crashes in between.
use ipfs_cluster::crdt::automerge::{Limits, audit_against};
use ipfs_cluster::crdt::{Notice, Op, Table};
use ipfs_cluster::model::Trust;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::net::Net;
use super::world::{self, Weather, cid, pin};
use super::{each_seed, ops};

/// Small enough that a run of some dozen changes meets every bound.
fn small(seed: u64) -> Limits {
    let mut rng = SmallRng::seed_from_u64(!seed);
    Limits {
        pending_max: [0, 8, 4096][rng.random_range(0..3)],
        log_bytes: [0, 600, 3_000][rng.random_range(0..3)],
        frame_rows: rng.random_range(1..4),
        join_keys: rng.random_range(1..6),
        ..Limits::default()
    }
}

/// What may happen beside writing, cutting and waiting.
#[derive(Clone, Copy, Default)]
struct Storm {
    crashes: bool,
    restores: bool,
    images: bool,
}

fn storm(net: &mut Net, storm: Storm) {
    net.weather = Weather::FOUL;
    if !storm.crashes {
        net.weather.crash = 0.0;
    }
    let (peers, keys) = (net.peers.len(), net.rng.random_range(1..30));
    let mut backups = Vec::new();
    for _ in 0..net.rng.random_range(20..80) {
        let n = net.rng.random_range(0..peers);
        match net.rng.random_range(0..100) {
            0..55 => {
                let ops = ops(net, keys);
                net.write(n, ops);
            }
            55..70 => {
                let parts = (0..peers).map(|_| net.rng.random_range(0..2)).collect();
                net.part(parts);
            }
            70..75 if storm.crashes => net.crash(n),
            75..80 if storm.restores || storm.images => backups.push((n, net.image(n))),
            80..83 if !backups.is_empty() => {
                let at = net.rng.random_range(0..backups.len());
                let (n, image) = backups.swap_remove(at);
                if storm.images {
                    net.wake(n, image);
                } else {
                    net.restore(n, image.rows);
                }
            }
            _ => {
                let millis = net.rng.random_range(0..15_000);
                net.run(millis);
            }
        }
    }
}

/// What holds at the end between peers that trust alike.
fn check_equal(net: &Net) {
    let first = net.peers[0].engine.summary();
    for (n, peer) in net.peers.iter().enumerate() {
        let summary = peer.engine.summary();
        assert_eq!(summary.clock_hash, first.clock_hash, "peer {n} has another clock");
        assert_eq!(summary.digest_hash, first.digest_hash, "peer {n} has another digest");
        assert_eq!(summary.entries, first.entries);
        assert!(!summary.joining, "peer {n}");
        assert_eq!(net.pinset(n), net.pinset(0));
        assert_eq!(peer.rows.len(Table::Joined), 0, "peer {n} left marks of a join");
    }
}

fn check_sound(net: &Net) {
    let changes: Vec<_> = net.changes.iter().cloned().collect();
    for (n, peer) in net.peers.iter().enumerate() {
        let audit = audit_against(&changes, &peer.rows).unwrap();
        assert_eq!(audit.faults, [""; 0], "peer {n}");
    }
}

fn joins(net: &Net) -> u64 {
    net.peers.iter().map(|peer| peer.counts.get("joins").copied().unwrap_or(0)).sum()
}

#[test]
fn peers_that_drop_their_log_join_states_and_end_with_one_pinset() {
    each_seed(300, |seed| {
        let mut net = Net::of(seed, 3 + usize::try_from(seed % 3).unwrap(), small(seed));
        storm(&mut net, Storm { crashes: true, ..Storm::default() });
        net.run_until_quiet();
        check_equal(&net);
        check_sound(&net);
        for peer in &net.peers {
            let odd: Vec<_> = peer.notices.iter().filter(|notice| !matches!(notice, Notice::Joined { .. })).collect();
            assert!(odd.is_empty(), "honest peers do nothing odd: {odd:?}");
            // What a restored disk lost for all others may be waited for ever; nothing is lost here.
            let summary = peer.engine.summary();
            assert_eq!((summary.pending, summary.staged), (0, 0));
        }
    });
}

#[test]
fn restored_backups_heal_whatever_log_is_left() {
    each_seed(200, |seed| {
        let mut net = Net::of(seed, 3 + usize::try_from(seed % 3).unwrap(), small(seed));
        storm(&mut net, Storm { crashes: true, restores: true, ..Storm::default() });
        net.run_until_quiet();
        check_equal(&net);
        check_sound(&net);
    });
}

#[test]
fn images_of_one_process_fork_and_heal_with_one_alert_each() {
    each_seed(200, |seed| {
        let mut net = Net::of(seed, 3 + usize::try_from(seed % 3).unwrap(), small(seed));
        storm(&mut net, Storm { images: true, ..Storm::default() });
        net.run_until_quiet();
        check_equal(&net);
    });
}

#[test]
fn a_peer_that_lends_what_is_no_snapshot_costs_a_download_and_no_more() {
    each_seed(100, |seed| {
        let limits = Limits { log_bytes: 0, ..small(seed) };
        let mut net = Net::of(seed, 4, limits);
        net.part(vec![0, 0, 0, 1]);
        for _ in 0..20 {
            let ops = ops(&mut net, 40);
            net.write(0, ops);
            net.run(200);
        }
        net.run(30_000);
        net.liars.insert(1);
        net.run_until_quiet();
        check_equal(&net);
        check_sound(&net);
        assert!(joins(&net) > 0, "the log reaches nobody");
    });
}

#[test]
fn a_follower_joins_from_a_follower_with_its_publisher_away() {
    each_seed(50, |seed| {
        let publisher = world::keypair(0).public().to_peer_id();
        let trusts = vec![Trust::Only([publisher].into()); 3];
        let mut net = Net::new(seed, trusts, Limits { log_bytes: 0, ..small(seed) });
        net.part(vec![0, 0, 1]);
        for n in 0..30 {
            net.write(0, vec![Op::Pin(Box::new(pin(n, seed)))]);
            net.run(500);
        }
        net.run(120_000);
        assert_eq!(net.peers[1].rows.len(Table::Changes), 0, "its log is gone");
        net.part(vec![1, 0, 0]);
        net.run(120_000);
        assert_eq!(net.pinset(2).len(), 30);
        assert_eq!(net.peers[2].counts["joins"], 1);
        net.run_until_quiet();
        check_equal(&net);
    });
}

#[test]
fn two_partitions_that_both_dropped_their_log_meet_again() {
    each_seed(100, |seed| {
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
        check_equal(&net);
        check_sound(&net);
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
    check_equal(&net);
}
