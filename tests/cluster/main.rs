//! Whole peers in this process: real swarms on loopback TCP, the real engine, real stores; no IPFS daemon answers.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail with them, too")]

mod catch_up;
mod converge;
mod crash;
mod hostile;
mod line;
#[path = "../common/ports.rs"]
mod ports;
mod rig;
mod speed;
mod trust;
