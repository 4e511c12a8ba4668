//! File and environment -> `Config`: every fault at once, each with its key path.
mod fault;
mod resolve;

mod reader;

mod api;
mod cluster;
mod parts;

mod persist;
mod whole;

pub use cluster::hostname;
pub use fault::{Fault, Faults, Notes};
pub use persist::persist;
pub use whole::{check, unknown_keys};

#[cfg(test)]
mod tests;
