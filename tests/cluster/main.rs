//! Whole peers in this process: real swarms on loopback TCP, the real engine, real stores; IPFS daemons are absent, or scripted.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail with them, too")]

mod alerts;
mod catch_up;
mod converge;
mod crash;
mod daemon;
mod faults;
mod fleet;
mod hostile;
mod line;
#[path = "../common/ports.rs"]
mod ports;
mod repair;
mod rig;
mod speed;
mod trust;
