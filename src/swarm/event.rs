//! What the swarm tells its owner.
use std::sync::Arc;

use bytes::Bytes;
use libp2p::gossipsub::MessageId;
use libp2p::swarm::Stream;
use libp2p::{PeerId, StreamProtocol};

/// Something happened in the swarm.
#[derive(Debug)]
pub enum Event {
    /// The first connection to a peer is open.
    Connected(PeerId),
    /// The last connection to it is gone.
    Disconnected(PeerId),
    /// A neighbour listens to one of our topics: what is published from now on reaches it.
    Subscribed {
        /// Who.
        peer: PeerId,
        /// To what.
        topic: Arc<str>,
    },
    /// A neighbour listens to a topic that is none of ours.
    SubscribedElsewhere {
        /// Who.
        peer: PeerId,
        /// The text of the topic.
        topic: String,
    },
    /// A message, whose signature is good; each needs a verdict, or it is not forwarded.
    Gossip {
        /// The topic.
        topic: Arc<str>,
        /// Who signed it.
        source: PeerId,
        /// The neighbour that sent it to us.
        relay: PeerId,
        /// For [`super::Swarm::verdict`].
        token: MessageToken,
        /// The payload.
        bytes: Bytes,
    },
    /// A peer opened a stream.
    Stream {
        /// Who.
        peer: PeerId,
        /// For what.
        protocol: StreamProtocol,
        /// The stream; dropping it resets it.
        stream: Stream,
    },
}

/// Names a message that waits for its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageToken {
    pub(super) id: MessageId,
    pub(super) relay: PeerId,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is forwarded.
    Accept,
    /// It is not forwarded.
    Ignore,
    /// It is not forwarded, and its relay should not have sent it.
    Reject,
}
