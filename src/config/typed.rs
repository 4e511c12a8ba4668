//! What runs: every value parsed and in range. Field names are the keys of `service.json`.
use std::collections::BTreeMap;
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use super::disk::Identity;
use super::value::{Credentials, Endpoint, Secret, Webhook};
use crate::model::{Multiaddr, PeerId, Replication, Trust};

/// A peer's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of `service.json`, which relative paths are relative to.
    pub folder: PathBuf,
    /// `cluster`.
    pub cluster: ClusterConfig,
    /// `follower`.
    pub follower: FollowerConfig,
    /// `consensus.crdt`.
    pub crdt: CrdtConfig,
    /// `api.restapi`; absent: no REST API.
    pub restapi: Option<HttpApiConfig>,
    /// `api.pinsvcapi`; absent: no pinning service API.
    pub pinsvcapi: Option<HttpApiConfig>,
    /// `api.ipfsproxy`; absent: no proxy.
    pub ipfsproxy: Option<ProxyConfig>,
    /// `ipfs_connector.ipfshttp`.
    pub ipfshttp: IpfsHttpConfig,
    /// `pin_tracker.stateless`.
    pub tracker: TrackerConfig,
    /// `monitor.pubsubmon`.
    pub monitor: MonitorConfig,
    /// `allocator.balanced`.
    pub allocator: AllocatorConfig,
    /// `informer`; at least one is there.
    pub informers: InformersConfig,
    /// `observations.metrics`; absent: off.
    pub metrics: Option<MetricsConfig>,
    /// `observations.tracing`; absent: off.
    pub tracing: Option<TracingConfig>,
}

/// What a follower holds of what is for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerConfig {
    /// The bytes that it holds at most; [`None`]: it holds everything.
    pub max_bytes: Option<NonZeroU64>,
    /// How many followers with a budget are to hold each pin.
    pub copies: NonZeroU32,
}

/// The peer itself and its swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file")]
pub struct ClusterConfig {
    /// A human label.
    pub peername: String,
    /// The key of the private swarm; `None` is an open network.
    pub secret: Option<Secret>,
    /// Whether the peer takes itself off the peerset when it ends.
    pub leave_on_shutdown: bool,
    /// Where the swarm listens; transports that are not built in are passed over.
    pub listen_multiaddress: Vec<Multiaddr>,
    /// What is announced instead of the listeners' addresses, when not empty.
    pub announce_multiaddress: Vec<Multiaddr>,
    /// What is never announced: addresses, or masks that end in `/ipcidr/<n>`.
    pub no_announce_multiaddress: Vec<Multiaddr>,
    /// Whether the peer relays for others.
    pub enable_relay_hop: bool,
    /// How many connections are kept.
    pub connection_manager: ConnectionManager,
    /// Limits of the swarm's resources.
    pub resource_manager: ResourceManager,
    /// Gossip settings.
    pub pubsub: Pubsub,
    /// How long one dial may take.
    pub dial_peer_timeout: Duration,
    /// How often expired pins are looked for.
    pub state_sync_interval: Duration,
    /// How often failed pins are tried again.
    pub pin_recover_interval: Duration,
    /// The replication factor of pins that name none.
    pub replication: Replication,
    /// How often the `ping` metric goes out; it lives twice as long.
    pub monitor_ping_interval: Duration,
    /// How often the peerset is looked at.
    pub peer_watch_interval: Duration,
    /// Zero: no mDNS; anything else: mDNS.
    pub mdns_interval: Duration,
    /// Only trusted peers are given pins.
    pub pin_only_on_trusted_peers: bool,
    /// Only untrusted peers are given pins.
    pub pin_only_on_untrusted_peers: bool,
    /// Whether pins stay where they are when a peer fails.
    pub disable_repinning: bool,
    /// How long a peer may be away before others take its place.
    pub repin_grace: Duration,
    /// Bytes a second of pins that this peer gives new holders; `None`: no limit.
    pub repin_rate: Option<NonZeroU64>,
    /// A follower reads and never writes.
    pub follower_mode: bool,
    /// Where known peers are kept between runs.
    pub peerstore_file: PathBuf,
    /// Peers to dial at the start.
    pub peer_addresses: Vec<Multiaddr>,
}

/// `cluster.connection_manager`: low <= high, both at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionManager {
    /// Above this, connections are closed.
    pub high_water: NonZeroU32,
    /// Down to this.
    pub low_water: NonZeroU32,
    /// Younger ones are spared.
    pub grace_period: Duration,
}

/// `cluster.resource_manager`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceManager {
    /// Whether there are limits.
    pub enabled: bool,
    /// Bytes; `None`: a quarter of the memory.
    pub memory_limit_bytes: Option<NonZeroU64>,
    /// File descriptors; `None`: half of what the process may open.
    pub file_descriptors_limit: Option<NonZeroU64>,
}

/// `cluster.pubsub`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pubsub {
    /// How long a message is known as seen.
    pub seen_messages_ttl: Duration,
    /// How often the mesh is looked after.
    pub heartbeat_interval: Duration,
    /// The mesh is this many times wider than usual.
    pub d_factor: NonZeroUsize,
    /// Heartbeats whose messages are advertised.
    pub history_gossip: NonZeroUsize,
    /// Heartbeats whose messages are kept.
    pub history_length: NonZeroUsize,
    /// Whether own messages go to every subscriber.
    pub flood_publish: bool,
}

/// What merges changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// `"automerge"`.
    Automerge,
}

/// `consensus.crdt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrdtConfig {
    /// Names the gossip topics.
    pub cluster_name: String,
    /// Whose changes count.
    pub trusted_peers: Trust,
    /// What merges changes.
    pub engine: EngineKind,
    /// Raised by an operator to start the cluster anew.
    pub epoch: u64,
    /// Memory for the pages of the databases, in bytes; `None`: as much as fits the memory that the peer may use.
    pub cache_size: Option<u64>,
    /// Bytes of changes above which a snapshot is made and older ones are dropped.
    pub log_bytes: u64,
    /// The metric that makes a peer a member.
    pub peerset_metric: String,
    /// How often heads are told again.
    pub rebroadcast_interval: Duration,
    /// How often the whole state is checked; zero: never.
    pub repair_interval: Duration,
    /// Bytes of snapshots that are lent in a second, to all askers together; `None`: as fast as they read.
    pub snapshot_rate: Option<NonZeroU64>,
}

/// `api.restapi` and `api.pinsvcapi`.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpApiConfig {
    /// Where it listens.
    pub http_listen_multiaddress: Vec<Endpoint>,
    /// Certificate and key, both or none.
    pub tls: Option<TlsFiles>,
    /// Where it listens over libp2p, and as whom.
    pub libp2p: Option<Box<Libp2pApi>>,
    /// For a whole request; `None`: no limit.
    pub read_timeout: Option<Duration>,
    /// For the head of a request.
    pub read_header_timeout: Option<Duration>,
    /// For a whole answer; `None`: no limit.
    pub write_timeout: Option<Duration>,
    /// Between two requests of a connection.
    pub idle_timeout: Option<Duration>,
    /// The longest head, in bytes; at least 4096.
    pub max_header_bytes: usize,
    /// Who may call; `None`: everybody.
    pub basic_auth_credentials: Option<Credentials>,
    /// Where requests are logged; `None`: on stderr.
    pub http_log_file: Option<PathBuf>,
    /// Headers of every answer, in file order.
    pub headers: Vec<(String, Vec<String>)>,
    /// What browsers of other origins may do.
    pub cors: Cors,
}

impl fmt::Debug for HttpApiConfig {
    /// Header values may hold tokens: only their names are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&String> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("HttpApiConfig")
            .field("http_listen_multiaddress", &self.http_listen_multiaddress)
            .field("tls", &self.tls)
            .field("libp2p", &self.libp2p)
            .field("read_timeout", &self.read_timeout)
            .field("read_header_timeout", &self.read_header_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_header_bytes", &self.max_header_bytes)
            .field("basic_auth_credentials", &self.basic_auth_credentials)
            .field("http_log_file", &self.http_log_file)
            .field("headers", &headers)
            .field("cors", &self.cors)
            .finish()
    }
}

/// A libp2p host of an API's own, outside the private network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libp2pApi {
    /// `libp2p_listen_multiaddress`.
    pub listen: Vec<Multiaddr>,
    /// `id` and `private_key`.
    pub identity: Identity,
}

/// A certificate chain and its key, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// `ssl_cert_file`.
    pub ssl_cert_file: PathBuf,
    /// `ssl_key_file`.
    pub ssl_key_file: PathBuf,
}

/// The `cors_*` keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// `*` is any.
    pub allowed_origins: Vec<String>,
    /// Methods.
    pub allowed_methods: Vec<String>,
    /// Request headers.
    pub allowed_headers: Vec<String>,
    /// Answer headers that scripts may see.
    pub exposed_headers: Vec<String>,
    /// Whether requests may carry credentials.
    pub allow_credentials: bool,
    /// How long a browser may remember this; zero: not said.
    pub max_age: Duration,
}

/// `api.ipfsproxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Where it listens.
    pub listen_multiaddress: Vec<Endpoint>,
    /// The IPFS daemon behind it.
    pub node_multiaddress: Endpoint,
    /// Whether that one speaks TLS.
    pub node_https: bool,
    /// Where requests are logged.
    pub log_file: Option<PathBuf>,
    /// For a whole request; `None`: no limit.
    pub read_timeout: Option<Duration>,
    /// For the head of a request.
    pub read_header_timeout: Option<Duration>,
    /// For a whole answer; `None`: no limit.
    pub write_timeout: Option<Duration>,
    /// Between two requests of a connection.
    pub idle_timeout: Option<Duration>,
    /// The longest head, in bytes; at least 4096.
    pub max_header_bytes: usize,
    /// Headers to take over from the daemon beside the CORS ones.
    pub extract_headers_extra: Vec<String>,
    /// Where they are asked for.
    pub extract_headers_path: String,
    /// How long they are remembered.
    pub extract_headers_ttl: Duration,
}

/// `ipfs_connector.ipfshttp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpfsHttpConfig {
    /// Kubo's RPC.
    pub node_multiaddress: Endpoint,
    /// How long after the start other daemons are connected to; `None`: never.
    pub connect_swarms_delay: Option<Duration>,
    /// For short requests.
    pub ipfs_request_timeout: Duration,
    /// Without a byte of a pin.
    pub pin_timeout: Duration,
    /// For an unpin.
    pub unpin_timeout: Duration,
    /// For a garbage collection.
    pub repogc_timeout: Duration,
    /// Pins between two freespace metrics out of turn; 0: none.
    pub informer_trigger_interval: u32,
    /// Whether unpinning is refused.
    pub unpin_disable: bool,
}

/// `pin_tracker.stateless`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackerConfig {
    /// Pins that may be queued; [`None`] with Go's default, for the queue is on disk.
    pub max_pin_queue_size: Option<NonZeroUsize>,
    /// Above this part of the IPFS repository, in hundredths, pins wait; zero: never.
    pub disk_high_water: u8,
    /// Pins in work at one time.
    pub concurrent_pins: NonZeroU32,
    /// Younger pins go first.
    pub priority_pin_max_age: Duration,
    /// As long as they were tried at most so often.
    pub priority_pin_max_retries: NonZeroU32,
}

/// `monitor.pubsubmon`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorConfig {
    /// How often expired metrics are looked for.
    pub check_interval: Duration,
    /// Who is told of alerts: `webhook_url`, `webhook_secret`.
    pub webhook: Option<Webhook>,
}

/// `allocator.balanced`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocatorConfig {
    /// Metrics to spread by, the first partitions first.
    pub allocate_by: Vec<String>,
}

/// `informer`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InformersConfig {
    /// `disk`.
    pub disk: Option<DiskInformer>,
    /// `pinqueue`.
    pub pinqueue: Option<PinQueueInformer>,
    /// `tags`.
    pub tags: Option<TagsInformer>,
}

/// `informer.disk`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskInformer {
    /// How long a value counts.
    pub metric_ttl: Duration,
    /// What is measured.
    pub metric_type: DiskMetric,
}

/// What the disk informer measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskMetric {
    /// `freespace`.
    FreeSpace,
    /// `reposize`.
    RepoSize,
}

/// `informer.pinqueue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinQueueInformer {
    /// How long a value counts.
    pub metric_ttl: Duration,
    /// Queues whose lengths differ by less weigh the same.
    pub weight_bucket_size: NonZeroU32,
}

/// `informer.tags`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagsInformer {
    /// How long a value counts.
    pub metric_ttl: Duration,
    /// One metric `tag:<key>` each.
    pub tags: BTreeMap<String, String>,
}

/// `observations.metrics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Whether they are served.
    pub enable_stats: bool,
    /// Where.
    pub prometheus_endpoint: Multiaddr,
    /// How often they are gathered.
    pub reporting_interval: Duration,
}

/// `observations.tracing`.
#[derive(Clone, Debug, PartialEq)]
pub struct TracingConfig {
    /// Whether spans are sent.
    pub enable_tracing: bool,
    /// Where to.
    pub jaeger_agent_endpoint: String,
    /// The share of requests that is traced.
    pub sampling_prob: f64,
    /// Under which name.
    pub service_name: String,
}

impl Config {
    /// Takes bootstrap peers into the trusted ones, which is for this run only.
    pub fn trust(&mut self, peers: impl IntoIterator<Item = PeerId>) {
        if let Trust::Only(trusted) = &mut self.crdt.trusted_peers {
            trusted.extend(peers);
        }
    }
}
