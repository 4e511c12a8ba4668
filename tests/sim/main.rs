//! Simulation: engines under a foul network end with one pinset, which is a function of the changes.
//!
//! `SEEDS=n` runs more of them, `SEED=n` one.
#![expect(clippy::unwrap_used, reason = "what cannot be here fails the test")]

mod joins;
mod net;
mod world;

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use ipfs_cluster::crdt::automerge::{Limits, audit};
use ipfs_cluster::crdt::{Op, Table};
use ipfs_cluster::model::Trust;
use net::Net;
use rand::Rng;
use world::{Weather, cid, pin};

/// The bounds of the daemon.
fn daemon() -> Limits {
    Limits::default()
}

/// Little memory.
fn pending(pending_max: usize) -> Limits {
    Limits { pending_max, ..Limits::default() }
}

fn seeds(default: u64) -> Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(default),
    }
}

/// Runs `run` for every seed on two threads, and names the seed that fails.
fn each_seed(default: u64, run: impl Fn(u64) + Sync) {
    let seeds = seeds(default);
    let half = |odd: u64| {
        for seed in seeds.clone().filter(|seed| seed % 2 == odd) {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed)));
            assert!(result.is_ok(), "SEED={seed} fails");
        }
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(|| half(0)), scope.spawn(|| half(1))];
        for thread in threads {
            thread.join().expect("a seed failed, its number is above");
        }
    });
}

fn ops(net: &mut Net, keys: u32) -> Vec<Op> {
    let count = net.rng.random_range(1..=4);
    let op = |net: &mut Net| {
        let key = net.rng.random_range(0..keys);
        if net.rng.random_bool(0.6) {
            Op::Pin(Box::new(pin(key, net.rng.random_range(0..1000))))
        } else {
            Op::Unpin(cid(key))
        }
    };
    (0..count).map(|_| op(net)).collect()
}

/// Writes, cuts, crashes and waits at random.
fn storm(net: &mut Net) {
    net.weather = Weather::FOUL;
    let (peers, keys) = (net.peers.len(), net.rng.random_range(1..12));
    for _ in 0..net.rng.random_range(10..40) {
        let n = net.rng.random_range(0..peers);
        match net.rng.random_range(0..100) {
            0..60 => {
                let ops = ops(net, keys);
                net.write(n, ops);
            }
            60..75 => {
                let parts = (0..peers).map(|_| net.rng.random_range(0..2)).collect();
                net.part(parts);
            }
            75..80 => net.crash(n),
            _ => {
                let millis = net.rng.random_range(0..3_000);
                net.run(millis);
            }
        }
    }
}

fn log(net: &Net, n: usize) -> BTreeSet<Bytes> {
    net.peers[n].rows.rows(Table::Changes).map(|(_, row)| Bytes::copy_from_slice(&row[8..])).collect()
}

/// The invariants that hold at each peer by itself.
fn check_each(net: &Net) {
    for (n, peer) in net.peers.iter().enumerate() {
        let audit = audit(&peer.rows).unwrap();
        assert_eq!(audit.faults, [""; 0], "peer {n}");
        assert_eq!(audit.pins, peer.engine.summary().entries);
        assert!(audit.is_whole);
        assert!(peer.notices.is_empty(), "honest peers fork nowhere: {:?}", peer.notices);
        let log = log(net, n);
        assert!(peer.published.is_subset(&log), "peer {n} lost what it published");
    }
}

/// What holds between peers that trust alike.
fn check_equal(net: &Net) {
    check_each(net);
    let first = net.peers[0].engine.summary();
    for (n, peer) in net.peers.iter().enumerate() {
        let summary = peer.engine.summary();
        assert_eq!(summary, first, "peer {n} differs");
        assert!(summary.in_sync);
        assert_eq!((summary.pending, summary.staged), (0, 0));
        assert_eq!(net.pinset(n), net.pinset(0));
        let log = log(net, n);
        for other in &net.peers {
            assert!(other.published.is_subset(&log), "acknowledged and lost");
        }
    }
}

fn converges(seed: u64, limits: Limits) -> Net {
    let mut net = Net::of(seed, 3 + usize::try_from(seed % 3).unwrap(), limits);
    storm(&mut net);
    net.run_until_quiet();
    check_equal(&net);
    net
}

#[test]
fn peers_end_with_one_pinset() {
    each_seed(500, |seed| drop(converges(seed, daemon())));
}

#[test]
fn peers_with_little_memory_end_with_one_pinset() {
    each_seed(100, |seed| drop(converges(seed, pending(8))));
    each_seed(50, |seed| drop(converges(seed, pending(0))));
}

#[test]
fn a_seed_run_twice_is_one_run() {
    each_seed(10, |seed| assert_eq!(converges(seed, daemon()).trace(), converges(seed, daemon()).trace()));
}

#[test]
fn three_trust_lists_go_quiet_and_stay_so() {
    each_seed(50, |seed| {
        let ids: Vec<_> = (0..4).map(|n| world::keypair(n).public().to_peer_id()).collect();
        let lists = [vec![0, 1, 2, 3], vec![1, 2], vec![2]];
        let only = |n: usize| Trust::Only(lists[n % 3].iter().map(|peer| ids[*peer]).collect());
        let mut net =
            Net::new(seed, (0..4).map(only).collect(), pending([0, 8, 4096][usize::try_from(seed % 3).unwrap()]));
        storm(&mut net);
        net.run_until_quiet();
        check_each(&net);
        for n in 0..4 {
            let log = log(&net, n);
            for trusted in &lists[n % 3] {
                assert!(net.peers[*trusted].published.is_subset(&log), "{n} lacks what it trusts of {trusted}");
            }
        }
        let before = (net.frames, net.syncs);
        net.run(60_000);
        assert_eq!(before, (net.frames, net.syncs), "quiet ends by itself");
    });
}

#[test]
fn concurrent_pin_again_and_unpin_end_pinned() {
    each_seed(10, |seed| {
        let mut net = Net::of(seed, 3, daemon());
        net.write(0, vec![Op::Pin(Box::new(pin(1, 1)))]);
        net.run_until_quiet();
        net.part(vec![0, 1, 2]);
        net.write(0, vec![Op::Unpin(cid(1))]);
        net.write(1, vec![Op::Pin(Box::new(pin(1, 2)))]);
        net.write(2, vec![Op::Unpin(cid(1))]);
        net.run_until_quiet();
        check_equal(&net);
        assert_eq!(net.pinset(2), [pin(1, 2)]);
    });
}

#[test]
fn a_peer_that_missed_everything_catches_up_by_sync_alone() {
    let mut net = Net::of(7, 3, daemon());
    net.part(vec![0, 0, 1]);
    for n in 0..600 {
        net.write(0, vec![Op::Pin(Box::new(pin(n, 0)))]);
    }
    net.run(100);
    assert_eq!(net.pinset(2), []);
    net.heal();
    net.run(900);
    assert!(net.frames >= 2, "a sync of several frames");
    assert_eq!(net.pinset(2).len(), 600, "a new connection tells at once what is lacked");
    net.run_until_quiet();
    check_equal(&net);
}

#[test]
fn a_restored_backup_loses_nothing_that_others_hold() {
    each_seed(20, |seed| {
        let mut net = Net::of(seed, 3, daemon());
        net.write(0, vec![Op::Pin(Box::new(pin(1, 1)))]);
        let backup = net.peers[0].rows.clone();
        net.write(0, vec![Op::Pin(Box::new(pin(2, 1))), Op::Unpin(cid(1))]);
        net.run_until_quiet();
        net.restore(0, backup);
        net.write(0, vec![Op::Pin(Box::new(pin(3, 1)))]);
        net.run_until_quiet();
        check_equal(&net);
        assert_eq!(net.pinset(0).len(), 2);
    });
}
