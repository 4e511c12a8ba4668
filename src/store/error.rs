//! Why a database could not be opened, read or written: each message names the file and the remedy.
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::crdt::RowsError;

/// Why a database failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else has it open.
    #[error("{path} is in use by another process: stop that one first, or give this peer its own directory")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error("{path} has format version {found}, and this program reads up to {known}: run the program that wrote it")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// Its bytes are something else.
    #[error("{path} is not a database of this program ({what}): move it away and start again")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        what: String,
    },
    /// A page of it does not read back as it was written.
    #[error(
        "{path} is damaged ({what}): put a backup in its place, or move it away and start again: a pinset comes back \
         from the other peers, a ledger from the pinset"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The disk or the quota is used up.
    #[error("no space left for {path}: free some space on its disk, then writes work again")]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{path}: {source}: check that the file and its directory are readable and writable, and the disk's health")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// Runs a call into redb, which panics where a damaged page leads it astray.
    pub(super) fn guard<T, E: Into<redb::Error>>(path: &Path, call: impl FnOnce() -> Result<T, E>) -> Result<T, Self> {
        let astray = || Self::Damaged { path: path.to_path_buf(), what: "a page leads astray".into() };
        catch_unwind(AssertUnwindSafe(call)).map_err(|_| astray())?.map_err(|error| Self::of(path, error))
    }

    /// The error that redb reports of the file at `path`.
    pub(super) fn of(path: &Path, error: impl Into<redb::Error>) -> Self {
        let path = path.to_path_buf();
        let error = error.into();
        let text = error.to_string();
        if let redb::Error::Io(source) = error {
            return Self::io(&path, source);
        }
        if matches!(error, redb::Error::DatabaseAlreadyOpen) {
            return Self::Locked { path };
        }
        if let redb::Error::UpgradeRequired(format) = error {
            return Self::Foreign { path, what: format!("its pages are of redb's file format {format}") };
        }
        let of_tables = matches!(
            error,
            redb::Error::TableTypeMismatch { .. }
                | redb::Error::TableIsMultimap(_)
                | redb::Error::TableIsNotMultimap(_)
                | redb::Error::TypeDefinitionChanged { .. }
                | redb::Error::TableDoesNotExist(_)
        );
        if let redb::Error::Corrupted(what) = error {
            return Self::Damaged { path, what };
        }
        if of_tables {
            return Self::Damaged { path, what: text };
        }
        Self::Io { path, source: io::Error::other(text) }
    }

    /// The error that the system reports of the file at `path`.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Self::Full { path };
        }
        Self::Io { path, source }
    }

    /// Returns whether space on the disk is the remedy.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// The error of a store below `error`, which an engine handed on.
    #[must_use]
    pub fn within(error: &RowsError) -> Option<&Self> {
        match error {
            RowsError::Storage(cause) => cause.downcast_ref(),
            RowsError::Damaged { .. } => None,
        }
    }
}

impl From<StoreError> for RowsError {
    fn from(error: StoreError) -> Self {
        Self::Storage(Box::new(error))
    }
}
