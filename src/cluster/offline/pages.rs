//! The pinset of a folder, a page at a time.
use std::path::Path;

use crate::cluster::build::stores;
use crate::crdt::{Pinset, ReadRows, RowsError, automerge};
use crate::model::Pin;
use crate::store::{Options, PinsetDb};
use crate::task::Fatal;

/// Pins read in one transaction, which takes some milliseconds.
const PAGE: usize = 4096;

/// Reads the pins of a pinset in key order.
pub struct Pages {
    db: PinsetDb,
    total: u64,
    after: Option<Vec<u8>>,
    is_over: bool,
}

impl Pages {
    /// Opens the pinset in `folder`; [`None`] when there is none yet.
    ///
    /// # Errors
    /// When the store cannot be opened or read.
    pub fn open(folder: &Path) -> Result<Option<Self>, Fatal> {
        let Some(db) = open(folder)? else { return Ok(None) };
        let total = db.read(automerge::count)?;
        Ok(Some(Self { db, total, after: None, is_over: false }))
    }

    /// How many pins there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns the next pins; [`None`] at the end.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn page(&mut self) -> Result<Option<Vec<Pin>>, Fatal> {
        if self.is_over {
            return Ok(None);
        }
        let page = |rows: &dyn ReadRows| automerge::Reader.page(self.after.as_deref(), PAGE, rows);
        let (pins, next) = self.db.read::<_, RowsError>(page)?;
        self.is_over = next.is_none();
        self.after = next;
        Ok(Some(pins))
    }
}

/// Returns the epoch of the pinset in `folder`; [`None`] when there is none yet.
///
/// # Errors
/// When the store cannot be opened or read.
pub fn epoch(folder: &Path) -> Result<Option<u32>, Fatal> {
    let Some(db) = open(folder)? else { return Ok(None) };
    Ok(db.read(automerge::epoch)?)
}

/// Opens the store in `folder`; [`None`] when there is none yet.
pub(super) fn open(folder: &Path) -> Result<Option<PinsetDb>, Fatal> {
    let [pinset, _] = stores(folder);
    if !pinset.exists() {
        return Ok(None);
    }
    Ok(Some(PinsetDb::open(folder, Options::default())?))
}
