//! The composition root: one peer, and the handle that every front end calls.
mod build;
mod chores;
mod error;
mod flow;
mod handle;
mod lifecycle;
mod net;
pub mod offline;
mod peers;
pub mod pinset;
mod replication;
mod status;
#[cfg(test)]
mod testing;
pub use error::{Error, SetupError};
pub use handle::{Cluster, observe::Observation};
pub use lifecycle::{Args, Peer, STOP_MAX, start};
pub use net::Counts;
pub use replication::ReplicationHealth;
