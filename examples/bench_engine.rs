//! Measures the engine alone: a write of one pin a turn, and batches, over a map and over redb with fsync.
#[path = "../tests/common/mod.rs"]
mod common;
#[path = "bench/report.rs"]
mod report;

use std::time::Duration;

use ipfs_cluster::crdt::automerge::{EngineArgs, Limits, open};
use ipfs_cluster::crdt::{Engine, Input, MapRows, Now, Op, Rows, Seen, Ticket};
use ipfs_cluster::model::{Cid, Pin, Trust, UnixMillis};
use ipfs_cluster::store::{Options, PinsetDb};

use common::process::now;
use report::{Bound, Report};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How long each figure is measured.
const EACH: Duration = Duration::from_secs(3);
/// Pins a turn.
const BATCHES: [usize; 4] = [1, 64, 500, 5_000];

fn main() -> Result<(), Error> {
    let mut report = Report::new();
    for batch in BATCHES {
        let mut rows = MapRows::default();
        let mut writes = Writes::open(&mut rows)?;
        let rate = measure(|| writes.turn(batch, &mut rows))?;
        report.row(&format!("engine over a map, {batch} ops a turn"), Bound::None, rate, "ops/s");
    }
    for batch in BATCHES {
        let dir = tempfile::Builder::new().prefix("engine-bench").tempdir_in("target")?;
        let db = PinsetDb::open(dir.path(), Options::default())?;
        let mut writes = db.write(|rows| Writes::open(rows))?;
        let rate = measure(|| db.write(|rows| writes.turn(batch, rows)))?;
        let bound = if batch == 64 { Bound::AtLeast(8_000.0) } else { Bound::None };
        report.row(&format!("engine over redb with fsync, {batch} ops a turn"), bound, rate, "ops/s");
    }
    report.print();
    Ok(())
}

/// Ops a second of `turn`, which tells how many it did.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn measure(mut turn: impl FnMut() -> Result<usize, Error>) -> Result<f64, Error> {
    let began = now();
    let mut ops = 0;
    while began.elapsed() < EACH {
        ops += turn()?;
    }
    Ok(ops as f64 / began.elapsed().as_secs_f64())
}

/// An engine and the pins that it is given.
struct Writes {
    engine: Box<dyn Engine>,
    next: u64,
}

impl Writes {
    fn open(rows: &mut dyn Rows) -> Result<Self, Error> {
        let args = EngineArgs {
            keypair: libp2p::identity::Keypair::generate_ed25519(),
            epoch: 0,
            cluster_name: "bench".to_owned(),
            trust: Trust::Everyone,
            actor_suffix: [7; 8],
            started: UnixMillis(0),
            limits: Limits::default(),
        };
        Ok(Self { engine: open(args, rows)?, next: 0 })
    }

    fn turn(&mut self, batch: usize, rows: &mut dyn Rows) -> Result<usize, Error> {
        let first = self.next;
        self.next += u64::try_from(batch)?;
        let write = |n: u64| Input::Write { ticket: Ticket(n), op: Op::Pin(Box::new(pin(n))), seen: Seen::Any };
        let now = Now { wall: UnixMillis(1_800_000_000_000), mono: self.next };
        let turn = self.engine.turn((first..self.next).map(write).collect(), now, rows)?;
        let done = turn.answers.iter().filter(|(_, answer)| answer.is_ok()).count();
        if done == batch { Ok(done) } else { Err(format!("{done} of {batch} writes were made").into()) }
    }
}

fn pin(n: u64) -> Pin {
    let digest = blake3::hash(&n.to_be_bytes());
    let hash = multihash::Multihash::wrap(0x12, digest.as_bytes()).expect("32 bytes fit");
    Pin { name: "bench".to_owned(), ..Pin::recursive(Cid::new_v1(0x55, hash)) }
}
