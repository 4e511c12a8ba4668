//! The Automerge engine: one file a responsibility; no type of the `automerge` crate leaves this folder.
mod admit;
mod engine;
mod forks;
mod formats;
mod heal;
pub mod inspect;
mod merge;
mod reader;
mod snapshot;
mod sync;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

pub use engine::{EngineArgs, Limits, open};
pub use reader::{Reader, count, epoch};
pub use snapshot::file::{FRAME_MAX, MAGIC, RestoreArgs, RestoreError, Restoring};
pub use tables::state::OpenError;
