//! Finding what a dead peer held, as repair does: the whole pinset read at a glance, in two threads.
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ipfs_cluster::crdt::automerge::Reader;
use ipfs_cluster::crdt::{Pinset, RowsError, Span};
use ipfs_cluster::model::{PeerId, UnixMillis};
use ipfs_cluster::monitor::{Census, Sieve};

use ipfs_cluster::store::{Options, PinsetDb};

use super::super::common::process::now;
use super::super::daemon::Daemon;
use super::super::report::{Bound, Report};
use super::super::{Error, export, ratio};

/// Peers that the pins are spread over, and how many hold each.
const PEERS: usize = 100;
const HOLDERS: usize = 3;

/// What is to be looked through in three seconds, as pins a second.
const BOUND: f64 = 3_333_333.0;

/// So often each is measured; the median counts.
const ROUNDS: usize = 5;

/// Rows of one read transaction, as the cluster has them.
const ROWS: usize = 65_536;

/// Looks through pins of a hundred peers: all of them here, and one of them gone.
pub fn repair(dir: &Path, pins: usize, report: &mut Report) -> Result<(), Error> {
    let peers: Vec<PeerId> = (0..PEERS).map(|_| PeerId::random()).collect();
    let holder = |n: usize, k: usize| peers[(n + k * PEERS / HOLDERS) % PEERS];
    let server = Daemon::bare(dir, "repair", None, &[])?;
    let file = export::write_for(dir, pins, |n| (0..HOLDERS).map(|k| holder(n, k)).collect())?;
    server.import(&file)?;
    std::fs::remove_file(&file)?;
    let db = PinsetDb::open(server.dir(), Options::default())?;
    let held = (0..pins).filter(|n| (0..HOLDERS).any(|k| holder(*n, k) == peers[0])).count();
    let cases = [("all peers here", 0, 0), ("one peer of 100 gone", 1, held)];
    let mut times = [Vec::new(), Vec::new()];
    // By turns: what the import left to be written back weighs on the first.
    for _ in 0..ROUNDS {
        for (n, (what, dead, expected)) in cases.into_iter().enumerate() {
            let began = now();
            let short = scan(&db, &census(&peers, dead))?;
            times[n].push(began.elapsed());
            if short != expected {
                return Err(format!("{what}: {short} pins are short, and {expected} should be").into());
            }
        }
    }
    for ((what, _, expected), mut times) in cases.into_iter().zip(times) {
        times.sort_unstable();
        let took = times[ROUNDS / 2];
        report.row(&format!("scan for repair, {what}"), Bound::AtLeast(BOUND), ratio(pins, took), "pins/s");
        #[expect(clippy::cast_precision_loss, reason = "a bound")]
        let bound = Bound::AtMost(pins as f64 / BOUND);
        report.row(&format!("  {pins} pins, {expected} of them short"), bound, took.as_secs_f64(), "s");
    }
    Ok(())
}

/// All are here but the first `dead`.
fn census(peers: &[PeerId], dead: usize) -> Census {
    let lives = peers.iter().skip(dead).map(|peer| (*peer, UnixMillis(1_000)));
    let times = (UnixMillis(0), Duration::ZERO, UnixMillis(1_000));
    Census::of(peers[PEERS - 1], lives, &[].into(), times)
}

/// Returns how many pins are short.
fn scan(db: &PinsetDb, census: &Census) -> Result<usize, Error> {
    let parts = Mutex::new(Reader.parts());
    let lane = || lane(db, census, &parts);
    thread::scope(|scope| {
        let other = scope.spawn(lane);
        Ok(lane()? + other.join().map_err(|_| "a scan never panics")??)
    })
}

/// Takes part after part.
fn lane(db: &PinsetDb, census: &Census, parts: &Mutex<Vec<Span>>) -> Result<usize, RowsError> {
    let (sieve, mut short) = (Sieve::of(census), 0);
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).pop();
    while let Some(part) = next() {
        let mut rest = Some(part);
        while let Some(part) = rest {
            let (pins, left) = db.read(|rows| Reader.sift(&part, ROWS, &|pin| sieve.may_be_short(pin), rows))?;
            short += pins.iter().filter(|pin| census.is_short(pin)).count();
            rest = left;
        }
    }
    Ok(short)
}
