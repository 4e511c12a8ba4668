//! SIGKILL in the middle of a stream of writes, which another process of this test makes.
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use super::child;
use super::rig::{audit, name, on_dir, put};

/// Kills, each after a random number of acknowledged writes.
const KILLS: u64 = 10;

#[tokio::test]
async fn a_killed_process_loses_nothing_acknowledged() {
    if let Some((dir, first)) = child::is_this() {
        return write_for_ever(&dir, first).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut rng = StdRng::seed_from_u64(3);
    let mut next = 0;
    for _ in 0..KILLS {
        let last = next + rng.random_range(1..400);
        next = kill_at(dir.path(), next, last) + 1;
        let rig = on_dir(dir.path(), Arc::default());
        audit(&rig.pinset);
        for n in 0..next {
            assert_eq!(name(&rig.pinset, n), Some(n.to_string()), "{n} was acknowledged");
        }
        rig.writer.stop().await.unwrap();
    }
}

/// Runs a child that writes from `first` on, and kills it when it has said `last`; returns the last that it said.
fn kill_at(dir: &Path, first: u64, last: u64) -> u64 {
    let (mut said, mut killed) = (first, false);
    child::run("kill::a_killed_process_loses_nothing_acknowledged", dir, first, |line, child| {
        let Some(n) = line.strip_prefix("acknowledged ").and_then(|n| n.parse().ok()) else { return };
        said = n;
        if said >= last && !killed {
            child.kill().unwrap();
            killed = true;
        }
    });
    assert!(killed, "the child writes until it is killed");
    said
}

/// Sixteen writes at once, said in order as soon as they and all before them are acknowledged.
async fn write_for_ever(dir: &Path, first: u64) {
    let rig = on_dir(dir, Arc::default());
    for start in (first..).step_by(16) {
        let mut writes = JoinSet::new();
        for n in start..start + 16 {
            let pinset = rig.pinset.clone();
            writes.spawn(async move { put(&pinset, n, &n.to_string()).await.map(drop) });
        }
        writes.join_all().await.into_iter().for_each(|done| done.unwrap());
        let mut out = std::io::stdout().lock();
        for n in start..start + 16 {
            writeln!(out, "acknowledged {n}").unwrap();
        }
    }
}
