//! The peers: libp2p. It carries bytes and never decodes a delta.
mod actor;
mod args;
mod behaviour;
mod book;
mod counts;
mod event;
mod handle;
mod inbound;
mod traffic;
mod transport;

pub mod calls;
pub mod streams;
pub mod tunnel;
pub use args::{Args, GossipArgs, Secret, SwarmError};
pub use event::{Event, MessageToken, Verdict};
pub use handle::{DialError, OpenError, Swarm};
pub use libp2p::{StreamProtocol, swarm::Stream};
pub use {actor::Hourly, actor::spawn, counts::Counts, traffic::Traffic};
