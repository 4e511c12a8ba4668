//! What a swarm runs with.
use std::path::PathBuf;
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::{Multiaddr, StreamProtocol};

/// The key of the private network: the 32 bytes of `cluster.secret`. Debug shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// What [`super::spawn`] needs.
#[derive(Clone, Debug)]
pub struct Args {
    /// Who this peer is.
    pub keypair: Keypair,
    /// The private network's key; without one anybody may connect.
    pub secret: Option<Secret>,
    /// Where to listen; addresses that are not TCP are logged and passed over.
    pub listen: Vec<Multiaddr>,
    /// Told to others instead of where we listen, unless it is empty.
    pub announce: Vec<Multiaddr>,
    /// Never told to others.
    pub no_announce: Vec<Multiaddr>,
    /// Configured and bootstrap addresses: dialled again for ever.
    pub addresses: Vec<Multiaddr>,
    /// The file of known peers, one address a line.
    pub peerstore: Option<PathBuf>,
    /// Topics to subscribe to.
    pub topics: Vec<String>,
    /// Protocols whose inbound streams become events.
    pub protocols: Vec<StreamProtocol>,
    /// How gossip runs.
    pub gossip: GossipArgs,
    /// Whether to find peers on the local network.
    pub mdns: bool,
    /// Whether to find peers through the distributed hash tables.
    pub dht: bool,
    /// How long a TCP connection may take to open.
    pub dial_timeout: Duration,
}

impl Args {
    /// The defaults of a peer that listens nowhere.
    #[must_use]
    pub fn new(keypair: Keypair) -> Self {
        Self {
            keypair,
            secret: None,
            listen: Vec::new(),
            announce: Vec::new(),
            no_announce: Vec::new(),
            addresses: Vec::new(),
            peerstore: None,
            topics: Vec::new(),
            protocols: Vec::new(),
            gossip: GossipArgs::default(),
            mdns: false,
            dht: true,
            dial_timeout: Duration::from_secs(3),
        }
    }
}

/// The `pubsub` section of the configuration; the defaults are Go's, except that publishing floods.
#[derive(Clone, Debug)]
pub struct GossipArgs {
    /// How often the mesh is tended.
    pub heartbeat: Duration,
    /// The mesh's degree is 6 times this.
    pub d_factor: usize,
    /// For how many heartbeats messages can be asked for again.
    pub history_length: usize,
    /// For how many heartbeats messages are announced.
    pub history_gossip: usize,
    /// How long message ids are remembered.
    pub seen_ttl: Duration,
    /// Whether own messages go to every subscribed neighbour: a mesh forms only at heartbeats.
    pub flood_publish: bool,
}

impl Default for GossipArgs {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(10),
            d_factor: 4,
            history_length: 6,
            history_gossip: 2,
            seen_ttl: Duration::from_mins(30),
            flood_publish: true,
        }
    }
}

/// Why a swarm did not start.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    /// The keys do not serve for the handshake.
    #[error("noise keys: {0}")]
    Keys(#[from] libp2p::noise::Error),
    /// The settings of gossip contradict each other.
    #[error("pubsub settings: {0}")]
    Gossip(String),
    /// The multicast socket did not open.
    #[error("mdns: {0}")]
    Mdns(#[source] std::io::Error),
    /// Every listen address failed.
    #[error("failed to listen on any addresses: [{0}]")]
    Listen(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_debug_text_shows_the_secret() {
        let mut args = Args::new(Keypair::generate_ed25519());
        args.secret = Some(Secret([0xab; 32]));
        let text = format!("{args:?}");
        assert!(text.contains("Secret(..)"), "{text}");
        assert!(!text.contains("171, 171"), "{text}");
    }
}
