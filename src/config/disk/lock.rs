//! `cluster.lock`: one program at a time works in a folder.
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// The lock of a folder, held until it is dropped.
///
/// It is a POSIX record lock on the whole file, as the Go programs take it, so that the two exclude each other.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _file: File,
}

/// Why a folder cannot be locked; the texts are Go's.
#[derive(Debug, thiserror::Error)]
#[error(
    "{reason}. If no other ipfs-cluster-service process is running, remove {path}, or make sure that the config folder \
     is writable for the user running ipfs-cluster-service."
)]
pub struct LockError {
    reason: String,
    path: String,
}

impl Lock {
    /// Takes the lock of a folder.
    ///
    /// # Errors
    /// [`LockError`] when another process has it, or the file cannot be made or is not empty.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join("cluster.lock");
        let shown = path.display().to_string();
        let fault = |reason: String| LockError { reason, path: shown.clone() };
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|e| fault(format!("lock {shown}: {e}")))?;
        if file.metadata().is_ok_and(|metadata| metadata.len() > 0) {
            return Err(fault(format!("cannot acquire lock: can't Lock file {shown:?}: has non-zero size")));
        }
        match fcntl(&file, FcntlArg::F_SETLK(&whole())) {
            Ok(_) => Ok(Self { path, _file: file }),
            Err(Errno::EACCES | Errno::EAGAIN) => Err(fault(format!("lock {shown}: someone else has the lock"))),
            Err(e) => Err(fault(format!("lock {shown}: {}", io::Error::from(e)))),
        }
    }
}

fn whole() -> libc::flock {
    libc::flock {
        l_type: libc::c_short::try_from(libc::F_WRLCK).unwrap_or_default(),
        l_whence: libc::c_short::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A file that stays is empty and harms nobody.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_goes_with_the_lock_and_a_stale_empty_one_is_harmless() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.lock");
        fs::write(&path, b"").unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        assert!(path.exists());
        drop(lock);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_with_content_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.lock");
        fs::write(&path, b"x").unwrap();
        let message = Lock::take(folder.path()).unwrap_err().to_string();
        let path = path.display();
        assert!(
            message.starts_with(&format!(
                "cannot acquire lock: can't Lock file \"{path}\": has non-zero size. If no other \
                 ipfs-cluster-service process is running, remove {path}, or"
            )),
            "{message}"
        );
    }
}
