//! Calls between peers, in Go's format: one stream a call.
mod client;
mod method;
mod reader;
mod server;

pub use client::{CallError, Calls, Order};
pub use method::{Access, Call, PROTOCOL, Reply, access};
pub use server::{CallServer, Serve, spawn};
