//! The Automerge engine: one file a responsibility; no type of the `automerge` crate leaves this folder.
mod formats;
mod tables;

mod admit;
mod forks;
mod heal;
mod merge;
mod writer;

mod snapshot;
mod sync;

mod audit;
mod engine;
mod reader;
#[cfg(test)]
mod tests;

pub use audit::{Audit, audit, audit_against};
pub use engine::{EngineArgs, Limits, open};
pub use reader::Reader;
pub use snapshot::file::{FRAME_MAX, MAGIC, RestoreArgs, RestoreError, Restoring};
pub use tables::state::OpenError;
