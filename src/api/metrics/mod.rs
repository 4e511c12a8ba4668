//! The page that Prometheus reads, with its own listener: it tells much of a peer, and asks for no password, as in Go.
mod cluster;
mod process;
mod routes;

pub use routes::router;
