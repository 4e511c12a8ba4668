//! IPFS Cluster's REST API.
mod allocations;
mod backend;
mod extract;
mod monitor;
mod options;
mod own;
mod peers;
mod pins;
mod replication;
mod routes;

pub use own::openapi::openapi;
pub use routes::{RestOptions, router};

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
