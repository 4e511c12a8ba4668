//! Bytes on the wire and in rows: documents, changes, envelopes, heartbeats, frames, clock and digest.
pub mod change;
pub mod clock;
pub mod codec;
pub mod columns;
pub mod digest;
pub mod envelope;
pub mod frames;
pub mod heartbeat;
pub mod model;
pub mod signature;
pub mod snapshot;
pub mod topic;
