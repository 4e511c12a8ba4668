//! Simulation: engines under a foul network end with one pinset, which is a function of the changes.
//!
//! `SEEDS=n` spreads so many over all storms instead of a thousand, `SEED=n` runs one of each, `TRACE=1` tells it step by
//! step; `scripts/sim` does both.
#![expect(clippy::unwrap_used, reason = "what cannot be here fails the test")]

mod checks;
mod disk;
mod foul;
mod joins;
mod liars;
mod net;
mod storms;
mod trusts;
mod wire;
mod world;

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use ipfs_cluster::crdt::automerge::Limits;
use ipfs_cluster::crdt::automerge::inspect::audit;
use ipfs_cluster::crdt::{Op, Summary, Table};
use net::Net;
use storms::{Ill, Storm};
use world::{cid, pin};

/// The seeds of all storms together, unless `SEEDS` says another number.
const ALL: u64 = 1_000;

/// The bounds of the daemon.
fn daemon() -> Limits {
    Limits::default()
}

/// Little memory.
fn pending(pending_max: usize) -> Limits {
    Limits { pending_max, ..Limits::default() }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Whether one seed is looked at, so that nothing can be said of many.
fn is_one_seed() -> bool {
    number("SEED").is_some()
}

/// The seeds of a storm that runs `share` of [`ALL`].
fn seeds(share: u64) -> Range<u64> {
    match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..(share * number("SEEDS").unwrap_or(ALL)).div_ceil(ALL),
    }
}

/// Runs `run` for every seed on two threads, and names the seed that fails.
fn each_seed(share: u64, run: impl Fn(u64) + Sync) {
    let seeds = seeds(share);
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

/// Writes, cuts, crashes and waits at random, the log kept whole.
fn storm(net: &mut Net) {
    let writers = net.peers.len();
    Storm { steps: 10..40, keys: 12, wait: 3_000, ..Storm::of(&[Ill::Crash], writers) }.run(net);
}

fn log(net: &Net, n: usize) -> BTreeSet<Bytes> {
    net.peers[n].rows.rows(Table::Changes).map(|(_, row)| Bytes::copy_from_slice(&row[8..])).collect()
}

/// What holds between peers that trust alike and keep their log.
fn check_equal(net: &Net) {
    let first = net.summary(0);
    for (n, peer) in net.peers.iter().enumerate() {
        let audit = audit(&peer.rows).unwrap();
        assert_eq!(audit.faults, [""; 0], "peer {n}");
        assert!(audit.is_whole);
        assert!(peer.notices.is_empty(), "honest peers fork nowhere: {:?}", peer.notices);
        let summary = peer.engine.summary();
        assert_eq!(audit.pins, summary.entries);
        assert_eq!(Summary { trusted_at: first.trusted_at, ..summary.clone() }, first, "peer {n} differs");
        assert!(summary.in_sync && summary.trusted_at.is_some());
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
    each_seed(200, |seed| drop(converges(seed, daemon())));
}

#[test]
fn peers_with_little_memory_end_with_one_pinset() {
    each_seed(60, |seed| drop(converges(seed, pending(8))));
    each_seed(40, |seed| drop(converges(seed, pending(0))));
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
