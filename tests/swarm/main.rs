//! Real swarms on loopback TCP.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail with them, too")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for one thing")]

mod calls;
mod faults;
mod gossip;
mod lan;
mod node;
#[path = "../common/ports.rs"]
mod ports;
mod redial;
mod streams;
