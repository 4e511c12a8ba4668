//! (test) Fuzzing on stable Rust: a `#[test]` that makes a [`Target`] and runs it is a fuzz target.
//!
//! `tests/fuzz/regressions/` holds inputs that once broke a target, `tests/fuzz/corpus/` one input for each verdict.
mod files;
mod guard;
mod mutate;
mod shrink;
mod target;

pub use mutate::{boundary, mutated_alone};
pub use target::Target;
