//! A full disk: writes are refused in a sentence, reads go on, and with space again writes work, without a restart.
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::lib::cluster::Error;
use super::lib::cluster::pinset::State;
use super::lib::store;
use super::rig::{name, on_dir, put};

/// A small disk in memory, unmounted when dropped.
struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    fn of_megabytes(megabytes: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        let mount = mount.expect("this test needs the program `mount`");
        let said = String::from_utf8_lossy(&mount.stderr);
        assert!(mount.status.success(), "this test mounts a tmpfs, for which it has to run as root: {said}");
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file until only `left` bytes are free.
    fn fill(&self, left: u64) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = File::create(&path).unwrap();
        while store::free_space(self.path()).unwrap() > left {
            if file.write_all(&[1; 4096]).is_err() {
                break;
            }
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.dir.path()).status();
    }
}

#[tokio::test]
async fn on_a_full_disk_writes_are_refused_before_they_fail() {
    let disk = Disk::of_megabytes(160);
    let rig = on_dir(disk.path(), Arc::default());
    put(&rig.pinset, 1, "one").await.unwrap();
    let filler = disk.fill(60 << 20);
    for n in 2..100 {
        let error = put(&rig.pinset, n, "more").await.unwrap_err();
        assert!(matches!(error, Error::NoSpace { .. }), "{error}");
        assert!(error.to_string().starts_with("no space left for the pinset: "), "{error}");
        assert_eq!(name(&rig.pinset, 1).as_deref(), Some("one"));
    }
    fs::remove_file(filler).unwrap();
    put(&rig.pinset, 2, "two").await.unwrap();
    assert_eq!(name(&rig.pinset, 2).as_deref(), Some("two"));
    assert!(!rig.pinset.state().has_changed().unwrap(), "the store was open all the time");
    rig.writer.stop().await.unwrap();
}

#[tokio::test]
async fn a_disk_that_fills_up_under_a_commit_loses_nothing_acknowledged() {
    let disk = Disk::of_megabytes(32);
    let rig = on_dir(disk.path(), Arc::new(AtomicBool::new(true)));
    let mut next = 0;
    for round in 0..5 {
        put(&rig.pinset, next, "first").await.unwrap();
        next += 1;
        let filler = disk.fill(512 << 10);
        let error = loop {
            match put(&rig.pinset, next, &"long".repeat(2_000)).await {
                Ok(_) => next += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::NoSpace { .. }), "round {round}: {error}");
        fs::remove_file(filler).unwrap();
        let mut state = rig.pinset.state();
        state.wait_for(|state| *state == State::Open).await.unwrap();
        for n in 0..next {
            assert!(name(&rig.pinset, n).is_some(), "{n} was acknowledged");
        }
    }
    rig.writer.stop().await.unwrap();
}

#[tokio::test]
async fn the_floor_counts_what_is_free_now() {
    let disk = Disk::of_megabytes(100);
    let blind = Arc::new(AtomicBool::new(false));
    let rig = on_dir(disk.path(), blind.clone());
    put(&rig.pinset, 1, "one").await.unwrap();
    disk.fill(10 << 20);
    assert!(put(&rig.pinset, 2, "two").await.is_err());
    blind.store(true, Ordering::SeqCst);
    put(&rig.pinset, 2, "two").await.expect("the space check alone was in the way");
    rig.writer.stop().await.unwrap();
}
