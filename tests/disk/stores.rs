//! Stores as released versions wrote them: each opens, whatever comes after.
//!
//! `stores/N` is what the version with store format N left behind, packed with zstd. When `VERSION` of `src/store/migrate.rs` or of
//! the ledger's tables rises, make the next folder before: `KEEP_STORE=1 cargo test --test disk a_store_is_kept`.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use redb::{Database, TableDefinition};

use super::daemon::Daemon;
use super::failpoint::Peer;
use super::lib::crdt::{Op, Seen};
use super::lib::model::{Cid, TrackerStatus};
use super::lib::store::{LedgerDb, Options, PinsetDb, StoreError};
use super::rig::{args_on, audit, cid, name, on_dir, put};

/// The format that this program writes.
const NEWEST: u32 = 1;

/// Pins of a store, of which every third is removed again.
const PINS: u64 = 60;

const FILES: [&str; 2] = ["pinset.redb", "ledger.redb"];

/// Far longer than a few pins take.
const ARRIVE_MAX: Duration = Duration::from_secs(20);

fn folder(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/disk/stores/{version}"))
}

/// The files of a version, as they were.
fn unpacked(version: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in FILES {
        let packed = fs::read(folder(version).join(format!("{file}.zst"))).unwrap();
        fs::write(dir.path().join(file), zstd::decode_all(&packed[..]).unwrap()).unwrap();
    }
    dir
}

fn kept() -> BTreeSet<Cid> {
    (0..PINS).filter(|n| n % 3 != 0).map(cid).collect()
}

#[tokio::test]
async fn a_store_is_kept_for_later_versions() {
    // Once a store format, by who raises it; what it writes is committed.
    if std::env::var_os("KEEP_STORE").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::default();
    let peer = Peer::start(args_on(dir.path()), LedgerDb::open(dir.path()).unwrap(), &daemon);
    for n in 0..PINS {
        put(&peer.rig.pinset, n, &n.to_string()).await.unwrap();
    }
    tokio::time::timeout(ARRIVE_MAX, daemon.until_asked(&kept())).await.unwrap();
    // What the daemon answered is written a moment later.
    tokio::time::sleep(Duration::from_secs(1)).await;
    peer.stop().await;
    let rig = on_dir(dir.path(), Arc::default());
    for n in (0..PINS).step_by(3) {
        rig.pinset.write(Op::Unpin(cid(n)), Seen::Any).await.unwrap();
    }
    rig.writer.stop().await.unwrap();
    fs::create_dir_all(folder(NEWEST)).unwrap();
    for file in FILES {
        let packed = zstd::encode_all(&fs::read(dir.path().join(file)).unwrap()[..], 19).unwrap();
        fs::write(folder(NEWEST).join(format!("{file}.zst")), packed).unwrap();
    }
}

#[tokio::test]
async fn a_store_of_every_released_version_opens_and_goes_on() {
    for version in 1..=NEWEST {
        let dir = unpacked(version);
        let rig = on_dir(dir.path(), Arc::default());
        audit(&rig.pinset);
        for n in 0..PINS {
            assert_eq!(name(&rig.pinset, n), (n % 3 != 0).then(|| n.to_string()), "{n} of version {version}");
        }
        put(&rig.pinset, 0, "again").await.unwrap();
        rig.writer.stop().await.unwrap();
        let ledger = LedgerDb::open(dir.path()).unwrap();
        assert!(ledger.cursor().unwrap().is_some(), "version {version}");
        for cid in kept() {
            let row = ledger.get(&cid).unwrap();
            assert_eq!(row.map(|row| row.status), Some(TrackerStatus::Pinned), "{cid} of version {version}");
        }
    }
}

#[test]
fn a_store_of_a_later_version_is_refused_by_its_name_with_a_remedy() {
    let dir = unpacked(NEWEST);
    let raise = |file: &str, change: &dyn Fn(&redb::WriteTransaction)| {
        let db = Database::create(dir.path().join(file)).unwrap();
        let write = db.begin_write().unwrap();
        change(&write);
        write.commit().unwrap();
    };
    raise(FILES[0], &|write| {
        let table: TableDefinition<&str, u32> = TableDefinition::new("format");
        write.open_table(table).unwrap().insert("version", NEWEST + 1).unwrap();
    });
    raise(FILES[1], &|write| {
        let table: TableDefinition<&str, u64> = TableDefinition::new("META");
        write.open_table(table).unwrap().insert("version", u64::from(NEWEST) + 1).unwrap();
    });
    let pinset = PinsetDb::open(dir.path(), Options::default()).map(drop).unwrap_err();
    let ledger = LedgerDb::open(dir.path()).map(drop).unwrap_err();
    for (file, error) in FILES.into_iter().zip([pinset, ledger]) {
        assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(file) && text.contains("format version 2") && text.contains("run the program"), "{text}");
    }
}
