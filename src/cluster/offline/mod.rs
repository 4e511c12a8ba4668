//! Work on a peer's pinset while no daemon runs. The caller holds the folder's lock.
mod import;
mod restore;

pub use import::{BATCH, Import, cleanup, export};
pub use restore::{restore, save};
