//! A database's file: made whole or not at all, for its owner's eyes only.
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::{fs, io};

use redb::{Database, Durability, WriteTransaction};

use super::StoreError;

/// The first bytes of every redb file.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";

/// Returns the bytes that an unprivileged program can still write on the disk of `dir`.
///
/// # Errors
/// What the system says, as when `dir` is gone.
pub fn free_space(dir: &Path) -> io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(dir)?;
    Ok(stat.fragment_size().saturating_mul(stat.blocks_available()))
}

/// Opens the database file at `path`; `make` fills a new one.
///
/// A new file is made beside its place and renamed when it is whole, so that a crash while it is being made leaves
/// nothing that the next start would take for a damaged database.
pub(super) fn open(path: &Path, make: impl FnOnce(File) -> Result<(), StoreError>) -> Result<File, StoreError> {
    let failed = |error| StoreError::io(path, error);
    if !path.try_exists().map_err(failed)? {
        let aside = path.with_extension("redb.new");
        make(private().truncate(true).create(true).open(&aside).map_err(failed)?)?;
        fs::rename(&aside, path).map_err(failed)?;
        sync_dir(path).map_err(failed)?;
    }
    let mut file = private().open(path).map_err(failed)?;
    let mut magic = Vec::with_capacity(MAGIC.len());
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic).map_err(failed)?;
    if magic != MAGIC {
        let what = if magic.is_empty() { "it is empty" } else { "its first bytes are others" };
        return Err(StoreError::Foreign { path: path.to_path_buf(), what: what.into() });
    }
    Ok(file)
}

/// Begins a transaction whose commit is fsynced, without redb's quick repair.
///
/// With quick repair a file opens 10 ms after a kill, without it after 0.7 s (128 MB) or 3.7 s (1 GB), because all pages
/// are checked; but each commit then syncs twice, and a caller waits twice as long (9.0 instead of 4.8 ms for one op on a
/// busy disk; from 64 ops a commit on they are equal). Answers come often.
pub(super) fn begin(db: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut write = db.begin_write()?;
    write.set_durability(Durability::Immediate)?;
    Ok(write)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// A new name is only on disk when its directory is.
fn sync_dir(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |dir| File::open(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })?.sync_all())
}
