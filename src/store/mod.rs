//! redb, the rows of the daemon: the pinset's database and what every database of a peer shares.
mod error;
mod file;
mod tables;

mod memory;
mod migrate;

mod db;
pub mod ledger;
mod scratch;

pub use db::{Frozen, Options, PinsetDb};
pub use error::StoreError;
pub use file::free_space;
pub use ledger::LedgerDb;
pub use memory::{Caches, memory_limit};
pub use scratch::{Scratch, ScratchRow};
pub use tables::PINSET_FILE;
