//! Bytes by protocol, counted where the streams of a connection begin.
mod muxer;
mod negotiation;
mod tally;

pub use muxer::Counted;
pub use tally::{Tallies, Traffic};
