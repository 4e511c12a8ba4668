//! Merges changes into the pinset. Deterministic: an input, now and the rows of one transaction in; a turn out.
pub mod automerge;
#[cfg(test)]
mod contract;
mod engine;
mod map_rows;
mod rows;

pub use engine::*;
pub use map_rows::MapRows;
pub use rows::*;
