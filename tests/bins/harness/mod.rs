//! Clusters of real programs: `Test::new().peers(3)`, then `peer.ctl([..])`.
mod follower;
mod http;
mod kubo;
mod output;
mod peer;
mod test;

pub use follower::Follower;
pub use http::request;
pub use kubo::Kubo;
pub use output::Output;
pub use peer::{PATIENCE, Peer};
pub use test::{Test, random_cid, wait_for};
