//! Merges changes into the pinset. Deterministic: an input, now and the rows of one transaction in; a turn out.
pub mod automerge;
#[cfg(test)]
mod contract;
mod engine;
mod map_rows;
mod notice;
mod rows;

pub use engine::*;
pub use map_rows::MapRows;
pub use notice::Notice;
pub use rows::*;
