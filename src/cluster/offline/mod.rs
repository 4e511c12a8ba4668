//! Work on a peer's pinset while no daemon runs: export, import, verification. The caller holds the folder's lock.
mod folder;

mod pages;

mod document;
mod import;
mod restore;
mod settle;
mod verify;

pub use document::export_document;
pub use folder::cleanup;
pub use import::{BATCH, Done, Import, ImportError};
pub use pages::{Pages, epoch};
pub use restore::{restore, save};
pub use verify::verify;
