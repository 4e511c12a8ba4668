//! The real programs with real Kubo, on loopback.
#[path = "../common/mod.rs"]
mod common;
mod harness;

mod crashes;
mod faults;
mod follower;
mod matrix;
mod pins;
mod rebalance;
mod repair;
