//! HTTP on streams: a host of its own that is asked, and one for each dial that asks.
mod dial;
mod host;

use libp2p::StreamProtocol;

pub use dial::{TunnelStream, dial};
pub use host::{Incoming, listen};

/// The protocol of Go's `go-libp2p-http`: one HTTP/1.1 connection a stream.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/libp2p-http");

#[cfg(test)]
mod tests;
