//! A pinset with the real engine on a store that the test chooses.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libp2p::identity::Keypair;
use multihash::Multihash;

use super::lib::cluster::Error;
use super::lib::cluster::pinset::{Args, Failure, Pinset, Writer, spawn};
use super::lib::crdt::automerge::{self, EngineArgs, Limits};
use super::lib::crdt::{Engine, Op, Rows, RowsError, Seen};
use super::lib::model::{Cid, Pin, Trust};
use super::lib::observe::PinsetMeters;
use super::lib::store::{self, Options, PinsetDb, StoreError};
use super::lib::task;

pub struct Rig {
    pub pinset: Pinset,
    pub writer: Writer,
}

/// A small cache, so that pages are really read and written.
pub const OPTIONS: Options = Options { cache_bytes: 1 << 20 };

/// The key of peer `n`, of which number 0 is the one under test.
pub fn keypair(n: u8) -> Keypair {
    Keypair::ed25519_from_bytes([n; 32]).unwrap()
}

/// Opens the engine of peer `n`, which trusts everyone.
pub fn open_engine(n: u8, rows: &mut dyn Rows) -> Result<Box<dyn Engine>, RowsError> {
    let args = EngineArgs {
        keypair: keypair(n),
        epoch: 1,
        cluster_name: "disk".into(),
        trust: Trust::Everyone,
        actor_suffix: rand::random(),
        started: task::wall(),
        limits: Limits::default(),
    };
    automerge::open(args, rows).map_err(|error| RowsError::Storage(Box::new(error)))
}

pub fn args(open_store: impl FnMut() -> Result<PinsetDb, StoreError> + Send + 'static) -> Args {
    Args {
        open_store: Box::new(open_store),
        open_engine: Box::new(|rows| open_engine(0, rows)),
        reader: Arc::new(automerge::Reader),
        meters: PinsetMeters::default(),
        free_space: Box::new(|| Ok(u64::MAX)),
        after_commit: None,
    }
}

/// On a directory.
pub fn args_on(dir: &Path) -> Args {
    let dir = dir.to_path_buf();
    args(move || PinsetDb::open(&dir, OPTIONS))
}

/// On a directory; whether its disk is full is asked, unless `blind`.
pub fn on_dir(dir: &Path, blind: Arc<AtomicBool>) -> Rig {
    let disk: PathBuf = dir.into();
    let mut args = args_on(dir);
    args.free_space =
        Box::new(move || if blind.load(Ordering::SeqCst) { Ok(u64::MAX) } else { store::free_space(&disk) });
    start(args).unwrap()
}

/// Nobody takes what leaves: a swarm that does not keep up is no reason to lose a write.
pub fn start(args: Args) -> Result<Rig, Failure> {
    let (pinset, _, writer) = spawn(args)?;
    Ok(Rig { pinset, writer })
}

/// The CID of the bytes of `n`.
pub fn cid(n: u64) -> Cid {
    Cid::new_v1(0x55, Multihash::wrap(0x12, blake3::hash(&n.to_le_bytes()).as_bytes()).unwrap())
}

/// The wish that [`cid`] be pinned under a name.
pub fn pin(n: u64, name: &str) -> Op {
    Op::Pin(Box::new(Pin { name: name.into(), ..Pin::recursive(cid(n)) }))
}

pub async fn put(pinset: &Pinset, n: u64, name: &str) -> Result<Pin, Error> {
    pinset.write(pin(n, name), Seen::Any).await
}

pub fn name(pinset: &Pinset, n: u64) -> Option<String> {
    pinset.get(&cid(n)).unwrap().map(|(pin, _)| pin.name)
}

/// Derives digest, counters, indexes and pinset anew, from entries and log, and compares with what is stored.
pub fn audit(pinset: &Pinset) {
    let audit = pinset.read(|rows| automerge::inspect::audit(rows)).unwrap();
    assert!(audit.faults.is_empty(), "{audit:?}");
    assert!(audit.is_whole, "no change of the log is missing");
}
