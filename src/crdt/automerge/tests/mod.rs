//! (test) Proofs over all of the engine, and what tests are made of.
pub mod fixtures;
pub mod sites;
pub mod testing;

mod distance;
mod fuzz;
mod hostile;
mod laws;
mod oracle;
mod rooms;
mod trust;
