//! IPFS Cluster in Rust: many peers keep one pinset, and each makes its own IPFS daemon hold its share.
//!
//! ```text
//!  api  --wish-->  cluster  --inputs-->  crdt + store  --news-->  tracker  --pin, unpin-->  ipfs
//!                     ^  \                    ^
//!                     |   `--bytes--> swarm --'  gossip, sync streams, calls
//!                  monitor (metrics in, peerset and allocations out)
//! ```
//!
//! A folder imports itself and folders of a lower layer; `tests/layers.rs` checks that. `ARCHITECTURE.md` is the map.

pub mod task;

#[cfg(test)]
mod fuzz;

mod https;
pub mod model;

pub mod config;
pub mod observe;
pub mod wire;

pub mod crdt;
pub mod ipfs;
pub mod monitor;

pub mod store;
pub mod swarm;

pub mod tracker;

pub mod client;
pub mod cluster;

pub mod api;
pub mod doctor;
pub mod follow;
