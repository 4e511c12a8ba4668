//! Whether a store is whole.
use std::path::Path;

use super::pages::open;
use crate::crdt::RowsError;
use crate::crdt::automerge::inspect::{self, Verified};
use crate::task::Fatal;

/// Recomputes what the store in `folder` derives from its pins; [`None`] when there is no store yet. `progress` is told how
/// many pins are read, and how many there are to be.
///
/// It is one long read, which is in nobody's way while no daemon runs.
///
/// # Errors
/// When the store cannot be opened or read, which is a fault as well: the text says what to do.
pub fn verify(folder: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Option<Verified>, Fatal> {
    let Some(db) = open(folder)? else { return Ok(None) };
    Ok(Some(db.read::<_, RowsError>(|rows| inspect::verify(rows, progress))?))
}
