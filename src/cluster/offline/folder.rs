//! The files of a peer that does not run.
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use crate::cluster::build::stores;

/// Where a pinset is built before it takes the old one's place.
pub(super) fn aside(folder: &Path) -> PathBuf {
    folder.join("import")
}

/// Removes the pinset in `folder`, with the ledger that follows it.
///
/// # Errors
/// When a file cannot be removed.
pub fn cleanup(folder: &Path) -> std::io::Result<()> {
    let [pinset, ledger] = stores(folder);
    remove_folder(&aside(folder))?;
    remove(&ledger)?;
    remove(&pinset)
}

pub(super) fn remove_folder(folder: &Path) -> std::io::Result<()> {
    unless_gone(std::fs::remove_dir_all(folder))
}

pub(super) fn remove(file: &Path) -> std::io::Result<()> {
    unless_gone(std::fs::remove_file(file))
}

fn unless_gone(removed: Result<(), Error>) -> Result<(), Error> {
    removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
