//! The peers: libp2p. It carries bytes and never decodes a delta.
mod args;
mod counts;
mod event;
mod traffic;
mod transport;

mod actor;
mod behaviour;
mod book;
mod handle;
mod inbound;

pub mod calls;
pub mod streams;
pub use args::{Args, GossipArgs, Secret, SwarmError};
pub use event::{Event, MessageToken, Verdict};
pub use handle::{DialError, OpenError, Swarm};
pub use libp2p::{StreamProtocol, swarm::Stream};
pub use {actor::Hourly, actor::spawn, counts::Counts, traffic::Traffic};
