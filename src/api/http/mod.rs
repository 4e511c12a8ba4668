//! The HTTP server: listeners, limits, timeouts, trailers, shutdown.
mod body;
mod connection;
mod guests;
mod listener;
mod remote;
mod server;
mod tls;
mod trailers;

pub use listener::{BindError, Listener};
pub use remote::Remote;
pub use server::{Args, Stopping, Timeouts, serve};
pub use tls::{Tls, TlsError};
