//! The protocols of the swarm, composed.
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{PeerId, StreamProtocol, connection_limits, gossipsub, identify, kad, mdns, ping};

use super::args::{Args, GossipArgs, SwarmError};
use super::{book, inbound};

/// Go's two hash tables; only the secret keeps a cluster's apart from the public ones.
pub const KAD_LAN: StreamProtocol = StreamProtocol::new("/ipfs/lan/kad/1.0.0");
/// See [`KAD_LAN`].
pub const KAD_WAN: StreamProtocol = StreamProtocol::new("/ipfs/kad/1.0.0");

/// An answer of a hash table in bytes: Go sends twenty peers with all their addresses, and reads 4 MiB.
const KAD_PACKET_MAX: usize = 4 << 20;

/// Bytes of one gossip frame. Go's limit is 1 MiB, but the check looks at the whole buffer, so twice that.
const FRAME_MAX: usize = 2 << 20;

/// Bytes of control in one gossip frame: too small, and announcements of a large cluster close the stream for good.
const CONTROL_MAX: usize = 1 << 20;

/// Ids in one announcement, as in Go.
const ANNOUNCED_MAX: usize = 10_000;

/// Connections that others opened; Go trims at 400.
const INBOUND_MAX: u32 = 768;

/// Connections that we opened: inbound ones must not take their place.
const OUTBOUND_MAX: u32 = 256;

/// Connections that are being negotiated, a way.
const PENDING_MAX: u32 = 256;

/// Connections with one peer: two that dial each other at once have two.
const CONNECTIONS_PEER_MAX: u32 = 4;

/// How long the one that we pruned stays out of our mesh: a heartbeat, so that a restarted neighbour is soon back.
const PRUNE_BACKOFF: Duration = Duration::from_secs(10);

/// Everything that runs on the connections.
#[derive(NetworkBehaviour)]
pub struct Behaviour {
    limits: connection_limits::Behaviour,
    book: book::Behaviour,
    pub gossip: gossipsub::Behaviour,
    pub identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub lan: Toggle<kad::Behaviour<MemoryStore>>,
    pub wan: Toggle<kad::Behaviour<MemoryStore>>,
    mdns: Toggle<mdns::tokio::Behaviour>,
    pub outbound: libp2p_stream::Behaviour,
    inbound: inbound::Behaviour,
}

impl Behaviour {
    /// Composes them.
    ///
    /// # Errors
    /// Settings of gossip that contradict each other; no multicast socket.
    pub fn new(args: &Args, book: book::Book, inbound: inbound::Behaviour) -> Result<Self, SwarmError> {
        let own = args.keypair.public().to_peer_id();
        let mdns = args.mdns.then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), own));
        let dht = |mode, protocol| Toggle::from(args.dht.then(|| hash_table(own, protocol, mode)));
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits()),
            book: book::Behaviour::new(book),
            gossip: gossip(&args.keypair, &args.gossip)?,
            identify: identify::Behaviour::new(identify_config(args)),
            ping: ping::Behaviour::default(),
            lan: dht(kad::Mode::Server, KAD_LAN),
            wan: dht(kad::Mode::Client, KAD_WAN),
            mdns: Toggle::from(mdns.transpose().map_err(SwarmError::Mdns)?),
            outbound: libp2p_stream::Behaviour::new(),
            inbound,
        })
    }
}

fn limits() -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING_MAX))
        .with_max_pending_outgoing(Some(PENDING_MAX))
        .with_max_established_incoming(Some(INBOUND_MAX))
        .with_max_established_outgoing(Some(OUTBOUND_MAX))
        .with_max_established_per_peer(Some(CONNECTIONS_PEER_MAX))
}

fn identify_config(args: &Args) -> identify::Config {
    identify::Config::new(String::new(), args.keypair.public())
        .with_agent_version(concat!("ipfs-cluster/", env!("CARGO_PKG_VERSION")).into())
        .with_push_listen_addr_updates(true)
        .with_hide_listen_addrs(!args.announce.is_empty() || !args.no_announce.is_empty())
}

fn hash_table(own: PeerId, protocol: StreamProtocol, mode: kad::Mode) -> kad::Behaviour<MemoryStore> {
    let mut config = kad::Config::new(protocol);
    config.set_max_packet_size(KAD_PACKET_MAX);
    // Peers must not fill our memory with records: we look peers up and store nothing.
    config.set_record_filtering(kad::StoreInserts::FilterBoth);
    config.set_replication_interval(None).set_publication_interval(None).set_provider_publication_interval(None);
    if mode == kad::Mode::Client {
        config.set_periodic_bootstrap_interval(None);
    }
    let mut table = kad::Behaviour::with_config(own, MemoryStore::new(own), config);
    table.set_mode(Some(mode));
    table
}

fn gossip(keypair: &Keypair, args: &GossipArgs) -> Result<gossipsub::Behaviour, SwarmError> {
    let config = gossip_config(args).map_err(|error| SwarmError::Gossip(error.to_string()))?;
    let signed = gossipsub::MessageAuthenticity::Signed(keypair.clone());
    gossipsub::Behaviour::new(signed, config).map_err(|error| SwarmError::Gossip(error.into()))
}

fn gossip_config(args: &GossipArgs) -> Result<gossipsub::Config, gossipsub::ConfigBuilderError> {
    let d = args.d_factor;
    gossipsub::ConfigBuilder::default()
        .validation_mode(gossipsub::ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(message_id)
        .heartbeat_initial_delay(Duration::from_millis(100))
        .heartbeat_interval(args.heartbeat)
        .mesh_n(6 * d)
        .mesh_n_low(5 * d)
        .mesh_n_high(12 * d)
        .retain_scores(4 * d)
        .mesh_outbound_min(2 * d)
        .gossip_lazy(6 * d)
        .history_length(args.history_length)
        .history_gossip(args.history_gossip)
        .max_control_messages_sent(ANNOUNCED_MAX)
        .max_control_message_size(CONTROL_MAX)
        .max_transmit_size(FRAME_MAX)
        .duplicate_cache_time(args.seen_ttl)
        .flood_publish(args.flood_publish)
        .prune_backoff(PRUNE_BACKOFF)
        .build()
}

/// Go's id: 16 bytes of the author and the sequence number. A message without them must not end the peer.
fn message_id(message: &gossipsub::Message) -> gossipsub::MessageId {
    let mut id = message.source.map(PeerId::to_bytes).unwrap_or_default();
    id.truncate(16);
    id.extend(message.sequence_number.unwrap_or_default().to_be_bytes());
    gossipsub::MessageId::from(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(source: Option<PeerId>, sequence_number: Option<u64>) -> gossipsub::Message {
        let topic = gossipsub::TopicHash::from_raw("topic");
        gossipsub::Message { source, data: Vec::new(), sequence_number, topic }
    }

    #[test]
    fn a_message_has_gos_id() {
        let peer: PeerId = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB".parse().unwrap();
        let id = message_id(&message(Some(peer), Some(1_700_000_000_000_000_001)));
        assert_eq!(hex::encode(id.0), "00240801122003a107bff3ce10be1d7017979cfe362a0001");
    }

    #[test]
    fn a_message_without_author_or_number_has_an_id_too() {
        assert_eq!(message_id(&message(None, None)).0.len(), 8);
    }

    #[test]
    fn the_settings_of_gossip_are_accepted() {
        for d_factor in [1, 4, 100] {
            assert!(gossip_config(&GossipArgs { d_factor, ..GossipArgs::default() }).is_ok(), "{d_factor}");
        }
        assert!(gossip_config(&GossipArgs { history_length: 1, history_gossip: 2, ..GossipArgs::default() }).is_err());
    }
}
