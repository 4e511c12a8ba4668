//! The loop around libp2p.
mod hourly;
mod outbox;
mod peerstore;
mod rates;
mod redial;
mod watch;

mod dials;
mod events;
mod pending;
mod run;
mod start;

pub use hourly::Hourly;
pub use start::spawn;
