//! The real programs with logs that are dropped early: who is too far behind joins a snapshot, whoever lends it. No IPFS daemon runs.
#[path = "../common/mod.rs"]
mod common;
mod http;
mod ipfs;
mod peer;

mod copies;
mod followers;
mod kills;
mod partitions;
