//! The Automerge engine: one file a responsibility; no type of the `automerge` crate leaves this folder.
mod formats;
mod tables;

mod admit;
mod merge;
mod writer;

mod sync;

mod audit;
mod engine;
mod reader;
#[cfg(test)]
mod tests;

pub use audit::{Audit, audit};
pub use engine::{EngineArgs, open};
pub use reader::Reader;
pub use tables::state::OpenError;
