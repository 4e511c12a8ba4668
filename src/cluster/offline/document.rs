//! The pinset as an Automerge document.
use std::io::Write;
use std::path::Path;

use super::pages::open;
use crate::crdt::automerge::inspect;
use crate::crdt::{MapRows, RowsError};
use crate::model::PeerId;
use crate::task::Fatal;

/// Writes the pinset in `folder` as an Automerge document of `author`; returns the number of pins. `progress` is told how
/// many are written, and how many there are to be.
///
/// It is one long read, which is in nobody's way while no daemon runs.
///
/// # Errors
/// When the store cannot be opened or read, or `out` takes no more.
pub fn export_document(
    folder: &Path,
    author: PeerId,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, Fatal> {
    match open(folder)? {
        Some(db) => Ok(db.read::<_, RowsError>(|rows| inspect::write_document(rows, author, out, progress))?),
        None => Ok(inspect::write_document(&MapRows::default(), author, out, progress)?),
    }
}
