//! SIGKILL at any moment of ingest, of making a snapshot, of dropping log and of joining.
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::peer::{Cluster, JOINED, Peer, assert_has, until_equal};

/// Rounds of one run; `ROUNDS` overrides it, and `SEED` the seed.
const ROUNDS: usize = 10;

/// Connections that write at once.
const WRITERS: usize = 3;

#[test]
fn peers_killed_amid_ingest_joins_and_snapshots_end_equal_and_need_no_repair() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let rounds = number("ROUNDS").unwrap_or(ROUNDS);
    let seed = number("SEED").unwrap_or(7) as u64;
    let mut rng = StdRng::seed_from_u64(seed);
    let cluster = Cluster::new();
    let (mut writer, mut other) = (cluster.peer("writer"), cluster.peer("other"));
    writer.start(&[]);
    other.start(&[&writer]);
    let mut acknowledged = writer.pin_new(200);
    let mut joins = 0;
    for round in 0..rounds {
        eprintln!("seed {seed}, round {round}: {} pins", acknowledged.len());
        // What it lacks then comes by a snapshot, if it lacks more than the log has.
        let begins_anew = rng.random_range(0..3) == 0;
        if begins_anew {
            other.kill();
            forget(&other);
            other.launch(&[&writer]);
        }
        let after = Duration::from_millis(rng.random_range(50..2_500));
        acknowledged.extend(kill_amid_writes(&mut writer, &mut other, after, rng.random_range(0..3)));
        writer.start(&[]);
        other.start(&[&writer]);
        assert_has(&writer.pinset().unwrap_or_default(), &acknowledged, "at the writer, just after its start");
        assert_has(&until_equal(&[&writer, &other]), &acknowledged, "in the end");
        writer.assert_sound();
        other.assert_sound();
        joins = joins.max(other.said(JOINED));
    }
    assert!(joins > 0 || rounds < 5, "no round had a join");
}

/// Its pinset is gone, its identity and its configuration stay.
fn forget(peer: &Peer) {
    for name in ["pinset.redb", "ledger.redb"] {
        // It may have been killed before it had one.
        let _ = fs::remove_file(peer.stores().join(name));
    }
}

/// Writes until one of them, or both, are killed; returns what was acknowledged.
fn kill_amid_writes(writer: &mut Peer, other: &mut Peer, after: Duration, who: u8) -> Vec<String> {
    let stop = AtomicBool::new(false);
    let acknowledged = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(|| writer.pin_until(&stop))).collect();
        thread::sleep(after);
        if who > 0 {
            other.kill();
        }
        // The writer goes with requests on their way.
        if who < 2 {
            writer.signal_kill();
        }
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().flat_map(|writer| writer.join().expect("a writer does not panic")).collect::<Vec<_>>()
    });
    if who == 0 {
        other.kill();
    }
    writer.kill();
    acknowledged
}
