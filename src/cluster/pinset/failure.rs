//! What makes the writer open engine and store again.
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::cluster::Error;
use crate::crdt::RowsError;
use crate::store::StoreError;

/// Why the pinset could not be opened, or a turn was lost.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The rows, or the engine that reads them.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A fault of ours: the transaction is dropped as after any other error.
    #[error("the engine panicked: {0}")]
    Panicked(String),
    /// The system gives no thread.
    #[error("no thread for the pinset: {0}")]
    Thread(#[source] io::Error),
}

impl Failure {
    /// Runs `work`, and makes an error of a panic.
    pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, Self>) -> Result<T, Self> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Self::Panicked(text_of(panic.as_ref()))))
    }

    /// What each caller is told whose write was lost with the turn; `free` and `needed` are what the disk had.
    pub(super) fn answer(&self, free: u64, needed: u64) -> Error {
        let store = match self {
            Self::Store(error) => Some(error),
            Self::Rows(error) => StoreError::within(error),
            Self::Panicked(_) | Self::Thread(_) => None,
        };
        if store.is_some_and(StoreError::is_full) {
            return Error::NoSpace { free, needed };
        }
        Error::Other(format!("the pinset could not be written: {self}"))
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}
