//! The HTTP server: listeners, limits, timeouts, trailers, shutdown.
mod connection;
mod listener;
mod server;
mod trailers;

pub use listener::{BindError, Listener};
pub use server::{Args, Timeouts, serve};
