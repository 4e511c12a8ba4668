//! The real programs, without an IPFS daemon: logs that are dropped early, so that who is too far behind joins a snapshot, whoever
//! lends it; and answers that go on while the pinset changes.
#[path = "../common/mod.rs"]
mod common;
mod http;
mod ipfs;
mod peer;
mod streams;

mod copies;
mod followers;
mod kills;
mod partitions;
