//! Between peers: heartbeats, the checks of what comes in, and both sides of a pull.
pub mod beats;
pub mod check;
pub mod pull;
pub mod select;
pub mod serve;
