//! A peer for tests: a real swarm on loopback.
use std::time::Duration;

use bytes::Bytes;
use ipfs_cluster::model::{Multiaddr, PeerId};
use ipfs_cluster::swarm::{Args, Event, MessageToken, Secret, Stream, StreamProtocol, Swarm, spawn};
use ipfs_cluster::task::Task;
use libp2p::identity::Keypair;
use tokio::sync::mpsc;

use crate::ports::free_port;

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const TOPIC: &str = "test-topic";
pub const ECHO: StreamProtocol = StreamProtocol::new("/test/echo/1");

pub struct Node {
    pub swarm: Swarm,
    pub events: mpsc::Receiver<Event>,
    pub task: Task,
}

/// An address that nobody else gets while a peer is away from it.
pub fn own_address() -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{}", free_port()).parse().unwrap()
}

/// A peer of the cluster with secret 7 that finds others only by the addresses it is given; it listens on a port that
/// the kernel chooses.
pub fn args() -> Args {
    let mut args = Args::new(Keypair::generate_ed25519());
    args.secret = Some(Secret([7; 32]));
    args.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    args.topics = vec![TOPIC.into()];
    args.protocols = vec![ECHO, ipfs_cluster::swarm::calls::PROTOCOL];
    args.dht = false;
    args
}

pub async fn start(args: Args) -> Node {
    let (swarm, events, task) = spawn(args).await.unwrap();
    Node { swarm, events, task }
}

/// A peer that dials these from the start.
pub async fn start_with(addresses: &[Multiaddr]) -> Node {
    let mut args = args();
    args.addresses = addresses.to_vec();
    start(args).await
}

/// A message as an event gave it.
#[derive(Debug)]
pub struct Message {
    pub source: PeerId,
    pub relay: PeerId,
    pub token: MessageToken,
    pub bytes: Bytes,
}

impl Node {
    pub fn id(&self) -> PeerId {
        self.swarm.own_id()
    }

    pub fn address(&self) -> Multiaddr {
        self.swarm.listen_addresses()[0].clone()
    }

    /// Waits for the first event that `wanted` makes something of; others are dropped.
    pub async fn event<T>(&mut self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = wanted(self.events.recv().await.expect("the swarm runs")) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("the event comes in time")
    }

    pub async fn connected(&mut self, to: PeerId) {
        if !self.swarm.connected().contains(&to) {
            self.event(|event| matches!(event, Event::Connected(peer) if peer == to).then_some(())).await;
        }
    }

    /// Waits until a neighbour hears what this one publishes.
    pub async fn subscribed(&mut self, by: PeerId) {
        self.event(|event| matches!(event, Event::Subscribed { peer, .. } if peer == by).then_some(())).await;
    }

    pub async fn message(&mut self) -> Message {
        self.event(|event| match event {
            Event::Gossip { source, relay, token, bytes, .. } => Some(Message { source, relay, token, bytes }),
            _ => None,
        })
        .await
    }

    pub async fn stream(&mut self) -> (PeerId, StreamProtocol, Stream) {
        self.event(|event| match event {
            Event::Stream { peer, protocol, stream } => Some((peer, protocol, stream)),
            _ => None,
        })
        .await
    }
}

/// Waits until `condition` holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let search = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
