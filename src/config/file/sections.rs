//! Every section and key of `service.json`, in the order in which `init` writes them.
use super::key::{Key, Kind, Section};

/// All sections.
pub(in crate::config) const SECTIONS: &[Section] = &[
    section("", "cluster", "CLUSTER", CLUSTER),
    section("", "follower", "CLUSTER_FOLLOWER", FOLLOWER),
    section("consensus", "crdt", "CLUSTER_CRDT", CRDT),
    section("consensus", "raft", "CLUSTER_RAFT", OPAQUE),
    section("api", "ipfsproxy", "CLUSTER_IPFSPROXY", PROXY),
    section("api", "pinsvcapi", "CLUSTER_PINSVCAPI", PINSVCAPI),
    section("api", "restapi", "CLUSTER_RESTAPI", RESTAPI),
    section("ipfs_connector", "ipfshttp", "CLUSTER_IPFSHTTP", IPFSHTTP),
    section("pin_tracker", "stateless", "CLUSTER_STATELESS", STATELESS),
    section("monitor", "pubsubmon", "CLUSTER_PUBSUBMON", PUBSUBMON),
    section("allocator", "balanced", "CLUSTER_BALANCED", BALANCED),
    section("informer", "disk", "CLUSTER_DISK", DISK),
    section("informer", "pinqueue", "CLUSTER_PINQUEUE", PINQUEUE),
    section("informer", "tags", "CLUSTER_TAGS", TAGS),
    section("observations", "metrics", "CLUSTER_METRICS", METRICS),
    section("observations", "tracing", "CLUSTER_TRACING", TRACING),
    section("datastore", "pebble", "CLUSTER_PEBBLE", OPAQUE),
    section("datastore", "badger3", "CLUSTER_BADGER3", OPAQUE),
    section("datastore", "badger", "CLUSTER_BADGER", OPAQUE),
    section("datastore", "leveldb", "CLUSTER_LEVELDB", OPAQUE),
];

const fn section(group: &'static str, name: &'static str, env: &'static str, keys: &'static [Key]) -> Section {
    Section { group, name, env, keys }
}

/// The keys of a part that this program does not have are its own business.
const OPAQUE: &[Key] = &[];

/// Whether the keys of a section are looked at.
pub(in crate::config) fn is_opaque(section: &Section) -> bool {
    section.keys.is_empty()
}

const CLUSTER: &[Key] = &[
    Key::new("peername", Kind::Text, "\"\""),
    Key::verbatim("secret", Kind::Secret, "\"\""),
    Key::verbatim("leave_on_shutdown", Kind::Bool, "false"),
    Key::verbatim("listen_multiaddress", Kind::Addresses, r#"["/ip4/0.0.0.0/tcp/9096", "/ip4/0.0.0.0/udp/9096/quic"]"#),
    Key::verbatim("announce_multiaddress", Kind::Addresses, "[]"),
    Key::verbatim("no_announce_multiaddress", Kind::Addresses, "[]"),
    Key::verbatim("enable_relay_hop", Kind::Bool, "true"),
    Key::new("connection_manager", Kind::Object(CONNECTION_MANAGER), "{}"),
    Key::new("resource_manager", Kind::Object(RESOURCE_MANAGER), "{}"),
    Key::new("pubsub", Kind::Object(PUBSUB), "{}"),
    Key::new("dial_peer_timeout", Kind::Duration, "\"3s\""),
    Key::new("state_sync_interval", Kind::Duration, "\"5m0s\""),
    Key::new("pin_recover_interval", Kind::Duration, "\"12m0s\""),
    Key::new("replication_factor_min", Kind::Int, "-1"),
    Key::new("replication_factor_max", Kind::Int, "-1"),
    Key::new("monitor_ping_interval", Kind::Duration, "\"15s\""),
    Key::new("peer_watch_interval", Kind::Duration, "\"5s\""),
    Key::new("mdns_interval", Kind::Duration, "\"10s\""),
    Key::verbatim("pin_only_on_trusted_peers", Kind::Bool, "false"),
    Key::verbatim("pin_only_on_untrusted_peers", Kind::Bool, "false"),
    Key::verbatim("disable_repinning", Kind::Bool, "false"),
    Key::new("repin_grace", Kind::Duration, "\"5m0s\"").hidden(),
    Key::new("repin_bytes_per_second", Kind::Int, "67108864").hidden(),
    Key::verbatim("follower_mode", Kind::Bool, "false").hidden(),
    Key::new("peerstore_file", Kind::Text, "\"peerstore\"").hidden(),
    Key::verbatim("peer_addresses", Kind::Texts, "[]"),
    Key::verbatim("id", Kind::Text, "\"\"").hidden(),
    Key::verbatim("private_key", Kind::Secret, "\"\"").hidden(),
];

const FOLLOWER: &[Key] =
    &[Key::new("max_bytes", Kind::Size, "\"none\"").hidden(), Key::new("copies", Kind::Int, "3").hidden()];

const CONNECTION_MANAGER: &[Key] = &[
    Key::verbatim("high_water", Kind::Int, "400"),
    Key::verbatim("low_water", Kind::Int, "100"),
    Key::verbatim("grace_period", Kind::Duration, "\"2m0s\""),
];

const RESOURCE_MANAGER: &[Key] = &[
    Key::verbatim("enabled", Kind::Bool, "true"),
    Key::verbatim("memory_limit_bytes", Kind::Int, "0"),
    Key::verbatim("file_descriptors_limit", Kind::Int, "0"),
];

const PUBSUB: &[Key] = &[
    Key::new("seen_messages_ttl", Kind::Duration, "\"30m0s\""),
    Key::new("heartbeat_interval", Kind::Duration, "\"10s\""),
    Key::verbatim("d_factor", Kind::Int, "4"),
    Key::verbatim("history_gossip", Kind::Int, "2"),
    Key::verbatim("history_length", Kind::Int, "6"),
    Key::verbatim("flood_publish", Kind::Bool, "false"),
];

const CRDT: &[Key] = &[
    Key::new("cluster_name", Kind::Text, "\"ipfs-cluster\""),
    Key::verbatim("trusted_peers", Kind::Texts, "[\"*\"]"),
    Key::new("batching", Kind::Object(BATCHING), "{}"),
    Key::new("repair_interval", Kind::Duration, "\"1h0m0s\""),
    // An absent engine is a Go cluster's; what `init` writes is set there.
    Key::verbatim("engine", Kind::Text, "\"\"").hidden(),
    Key::verbatim("epoch", Kind::Int, "0").hidden(),
    Key::new("cache_size", Kind::Size, "\"auto\"").hidden(),
    Key::new("log_bytes", Kind::Int, "67108864").hidden(),
    Key::new("rebroadcast_interval", Kind::Duration, "\"1m0s\"").hidden(),
    Key::new("peerset_metric", Kind::Text, "\"ping\"").hidden(),
    Key::new("datastore_namespace", Kind::Text, "\"/c\"").hidden(),
    Key::verbatim("snapshot_bytes_per_second", Kind::Int, "0").hidden(),
];

const BATCHING: &[Key] = &[
    Key::verbatim("max_batch_size", Kind::Int, "0"),
    Key::new("max_batch_age", Kind::Duration, "\"0s\""),
    Key::new("max_queue_size", Kind::Int, "50000").hidden(),
];

const PROXY: &[Key] = &[
    Key::new("listen_multiaddress", Kind::Addresses, "[\"/ip4/127.0.0.1/tcp/9095\"]"),
    Key::new("node_multiaddress", Kind::Text, "\"/ip4/127.0.0.1/tcp/5001\""),
    Key::verbatim("node_https", Kind::Bool, "false").hidden(),
    Key::new("log_file", Kind::Text, "\"\""),
    Key::new("read_timeout", Kind::Duration, "\"0s\""),
    Key::new("read_header_timeout", Kind::Duration, "\"5s\""),
    Key::new("write_timeout", Kind::Duration, "\"0s\""),
    Key::new("idle_timeout", Kind::Duration, "\"1m0s\""),
    Key::new("max_header_bytes", Kind::Int, "4096"),
    Key::new("extract_headers_extra", Kind::Texts, "[]").hidden(),
    Key::new("extract_headers_path", Kind::Text, "\"/api/v0/version\"").hidden(),
    Key::new("extract_headers_ttl", Kind::Duration, "\"5m0s\"").hidden(),
];

const RESTAPI: &[Key] = &http_keys("[\"/ip4/127.0.0.1/tcp/9094\"]");
const PINSVCAPI: &[Key] = &http_keys("[\"/ip4/127.0.0.1/tcp/9097\"]");

const fn http_keys(listen: &'static str) -> [Key; 20] {
    [
        Key::new("http_listen_multiaddress", Kind::Addresses, listen),
        Key::new("ssl_cert_file", Kind::Text, "\"\"").hidden(),
        Key::new("ssl_key_file", Kind::Text, "\"\"").hidden(),
        Key::new("read_timeout", Kind::Duration, "\"0s\""),
        Key::new("read_header_timeout", Kind::Duration, "\"5s\""),
        Key::new("write_timeout", Kind::Duration, "\"0s\""),
        Key::new("idle_timeout", Kind::Duration, "\"2m0s\""),
        Key::new("max_header_bytes", Kind::Int, "4096"),
        Key::new("libp2p_listen_multiaddress", Kind::Addresses, "[]").hidden(),
        Key::new("id", Kind::Text, "\"\"").hidden(),
        Key::new("private_key", Kind::Secret, "\"\"").hidden(),
        Key::verbatim("basic_auth_credentials", Kind::Credentials, "null"),
        Key::verbatim("http_log_file", Kind::Text, "\"\""),
        Key::verbatim("headers", Kind::MapOfLists, "{}"),
        Key::verbatim("cors_allowed_origins", Kind::Texts, "[\"*\"]"),
        Key::verbatim("cors_allowed_methods", Kind::Texts, "[\"GET\"]"),
        Key::verbatim("cors_allowed_headers", Kind::Texts, "[]"),
        Key::verbatim(
            "cors_exposed_headers",
            Kind::Texts,
            r#"["Content-Type", "X-Stream-Output", "X-Chunked-Output", "X-Content-Length"]"#,
        ),
        Key::verbatim("cors_allow_credentials", Kind::Bool, "true"),
        Key::new("cors_max_age", Kind::Duration, "\"0s\""),
    ]
}

const IPFSHTTP: &[Key] = &[
    Key::verbatim("node_multiaddress", Kind::Text, "\"/ip4/127.0.0.1/tcp/5001\""),
    Key::new("connect_swarms_delay", Kind::Duration, "\"30s\""),
    Key::new("ipfs_request_timeout", Kind::Duration, "\"5m0s\""),
    Key::new("pin_timeout", Kind::Duration, "\"2m0s\""),
    Key::new("unpin_timeout", Kind::Duration, "\"3h0m0s\""),
    Key::new("repogc_timeout", Kind::Duration, "\"24h0m0s\""),
    Key::verbatim("informer_trigger_interval", Kind::Int, "0"),
    Key::verbatim("unpin_disable", Kind::Bool, "false").hidden(),
];

const STATELESS: &[Key] = &[
    Key::new("concurrent_pins", Kind::Int, "10"),
    Key::new("priority_pin_max_age", Kind::Duration, "\"24h0m0s\""),
    Key::new("priority_pin_max_retries", Kind::Int, "5"),
    Key::new("max_pin_queue_size", Kind::Int, "1000000").hidden(),
    Key::verbatim("disk_high_water", Kind::Int, "0").hidden(),
];

const PUBSUBMON: &[Key] = &[
    Key::verbatim("check_interval", Kind::Duration, "\"15s\""),
    Key::verbatim("webhook_url", Kind::Text, "\"\"").hidden(),
    Key::verbatim("webhook_secret", Kind::Secret, "\"\"").hidden(),
];

const BALANCED: &[Key] = &[Key::new("allocate_by", Kind::Texts, "[\"tag:group\", \"freespace\"]")];

const DISK: &[Key] = &[
    Key::verbatim("metric_ttl", Kind::Duration, "\"30s\""),
    Key::verbatim("metric_type", Kind::Text, "\"freespace\""),
];

const PINQUEUE: &[Key] =
    &[Key::verbatim("metric_ttl", Kind::Duration, "\"30s\""), Key::verbatim("weight_bucket_size", Kind::Int, "100000")];

const TAGS: &[Key] =
    &[Key::new("metric_ttl", Kind::Duration, "\"30s\""), Key::verbatim("tags", Kind::Map, "{\"group\": \"default\"}")];

const METRICS: &[Key] = &[
    Key::verbatim("enable_stats", Kind::Bool, "false"),
    Key::verbatim("prometheus_endpoint", Kind::Text, "\"/ip4/127.0.0.1/tcp/8888\""),
    Key::new("reporting_interval", Kind::Duration, "\"30s\""),
];

const TRACING: &[Key] = &[
    Key::verbatim("enable_tracing", Kind::Bool, "false"),
    Key::verbatim("jaeger_agent_endpoint", Kind::Text, "\"/ip4/0.0.0.0/udp/6831\""),
    Key::verbatim("sampling_prob", Kind::Float, "0.3"),
    Key::verbatim("service_name", Kind::Text, "\"cluster-daemon\""),
];
