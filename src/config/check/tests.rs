//! The rules of the configuration, one sentence each.
mod follower;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::config::file::{Environment, File, Key, Kind, SECTIONS, variable};
use crate::config::typed::{Config, DiskMetric, EngineKind};
use crate::config::value::{Endpoint, Secret};
use crate::model::{Replication, Trust};

pub(super) const ID: &str = "12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8";

pub(super) fn new_file() -> File {
    let mut file = File::defaults();
    file.set("cluster.secret", "ab".repeat(32));
    file
}

fn with(path: &str, value: serde_json::Value) -> File {
    let mut file = new_file();
    file.set(path, value);
    file
}

pub(super) fn checked(file: &File, variables: &[(&str, &str)]) -> Result<(Config, Notes), Faults> {
    check(file, &Environment::of(variables.iter().copied()), Path::new("/folder"))
}

fn config(file: &File) -> Config {
    checked(file, &[]).unwrap_or_else(|faults| panic!("{faults}")).0
}

fn faults(file: &File) -> Vec<String> {
    let faults = checked(file, &[]).err().unwrap_or_default();
    faults.0.iter().map(ToString::to_string).collect()
}

/// The only fault.
fn fault(file: &File) -> String {
    let mut faults = faults(file);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

#[test]
fn defaults_are_the_documented_ones() {
    let Config { cluster, crdt, .. } = config(&new_file());
    let seconds = Duration::from_secs;
    assert_eq!(cluster.peername, hostname());
    assert_eq!(cluster.listen_multiaddress.len(), 2);
    assert!(cluster.enable_relay_hop && !cluster.disable_repinning);
    assert_eq!((cluster.repin_grace, cluster.repin_rate), (seconds(300), std::num::NonZeroU64::new(64 << 20)));
    assert_eq!(config(&with("cluster.repin_bytes_per_second", json!(-1))).cluster.repin_rate, None);
    assert!(!cluster.leave_on_shutdown && !cluster.follower_mode);
    assert_eq!(cluster.connection_manager.high_water.get(), 400);
    assert_eq!(cluster.connection_manager.low_water.get(), 100);
    assert_eq!(cluster.connection_manager.grace_period, seconds(120));
    assert!(cluster.resource_manager.enabled);
    assert_eq!(cluster.resource_manager.memory_limit_bytes, None);
    assert_eq!(cluster.pubsub.seen_messages_ttl, seconds(1800));
    assert_eq!(cluster.pubsub.heartbeat_interval, seconds(10));
    assert_eq!(cluster.pubsub.d_factor.get(), 4);
    assert_eq!((cluster.pubsub.history_gossip.get(), cluster.pubsub.history_length.get()), (2, 6));
    assert!(!cluster.pubsub.flood_publish);
    assert_eq!(cluster.dial_peer_timeout, seconds(3));
    assert_eq!(cluster.state_sync_interval, seconds(300));
    assert_eq!(cluster.pin_recover_interval, seconds(720));
    assert_eq!(cluster.replication, Replication::Everywhere);
    assert_eq!(cluster.monitor_ping_interval, seconds(15));
    assert_eq!(cluster.peer_watch_interval, seconds(5));
    assert_eq!(cluster.mdns_interval, seconds(10));
    assert_eq!(cluster.peerstore_file, Path::new("/folder/peerstore"));
    assert_eq!(crdt.cluster_name, "ipfs-cluster");
    assert_eq!(crdt.trusted_peers, Trust::Everyone);
    assert_eq!((crdt.engine, crdt.epoch, crdt.log_bytes), (EngineKind::Automerge, 0, 64 << 20));
    assert_eq!(crdt.peerset_metric, "ping");
    assert_eq!((crdt.rebroadcast_interval, crdt.repair_interval), (seconds(60), seconds(3600)));
}

#[test]
fn the_parts_defaults_are_the_documented_ones() {
    let config = config(&new_file());
    let seconds = Duration::from_secs;
    let rest = config.restapi.unwrap();
    assert_eq!(rest.http_listen_multiaddress, [Endpoint::parse("/ip4/127.0.0.1/tcp/9094").unwrap()]);
    assert_eq!((rest.read_timeout, rest.write_timeout), (None, None));
    assert_eq!((rest.read_header_timeout, rest.idle_timeout), (Some(seconds(5)), Some(seconds(120))));
    assert_eq!(rest.max_header_bytes, 4096);
    assert_eq!((rest.basic_auth_credentials, rest.tls, rest.libp2p, rest.http_log_file), (None, None, None, None));
    assert_eq!(rest.cors.allowed_origins, ["*"]);
    assert_eq!(rest.cors.exposed_headers.len(), 4);
    assert!(rest.cors.allow_credentials && rest.cors.max_age.is_zero());
    let pinsvc = config.pinsvcapi.unwrap();
    assert_eq!(pinsvc.http_listen_multiaddress, [Endpoint::parse("/ip4/127.0.0.1/tcp/9097").unwrap()]);
    let proxy = config.ipfsproxy.unwrap();
    assert_eq!(proxy.listen_multiaddress, [Endpoint::parse("/ip4/127.0.0.1/tcp/9095").unwrap()]);
    assert_eq!((proxy.idle_timeout, proxy.extract_headers_ttl), (Some(seconds(60)), seconds(300)));
    assert_eq!(proxy.extract_headers_path, "/api/v0/version");
    let kubo = config.ipfshttp;
    assert_eq!(kubo.node_multiaddress, Endpoint::parse("/ip4/127.0.0.1/tcp/5001").unwrap());
    assert_eq!(kubo.connect_swarms_delay, Some(seconds(30)));
    assert_eq!((kubo.ipfs_request_timeout, kubo.pin_timeout), (seconds(300), seconds(120)));
    assert_eq!((kubo.unpin_timeout, kubo.repogc_timeout), (seconds(10_800), seconds(86_400)));
    assert_eq!((kubo.informer_trigger_interval, kubo.unpin_disable), (0, false));
    assert_eq!(config.tracker.max_pin_queue_size, None);
    assert_eq!((config.tracker.concurrent_pins.get(), config.tracker.priority_pin_max_retries.get()), (10, 5));
    assert_eq!(config.tracker.priority_pin_max_age, seconds(86_400));
    assert_eq!((config.monitor.check_interval, config.monitor.webhook), (seconds(15), None));
    assert_eq!(config.allocator.allocate_by, ["tag:group", "freespace"]);
    let disk = config.informers.disk.unwrap();
    assert_eq!((disk.metric_ttl, disk.metric_type), (seconds(30), DiskMetric::FreeSpace));
    assert_eq!(config.informers.pinqueue.unwrap().weight_bucket_size.get(), 100_000);
    assert_eq!(config.informers.tags.unwrap().tags, BTreeMap::from([("group".into(), "default".into())]));
    assert!(!config.metrics.unwrap().enable_stats);
    assert!(!config.tracing.unwrap().enable_tracing);
}

#[test]
fn keys_that_are_missing_are_zero_or_their_default_by_the_table() {
    let mut file = new_file();
    file.set("cluster", json!({"listen_multiaddress": "/ip4/127.0.0.1/tcp/0"}));
    file.set("consensus.crdt", json!({"engine": "automerge"}));
    file.set("api.restapi", json!({}));
    file.set("pin_tracker.stateless", json!({"concurrent_pins": 0}));
    let config = config(&file);
    assert_eq!(config.cluster.secret, None);
    assert!(!config.cluster.disable_repinning && !config.cluster.enable_relay_hop);
    assert_eq!(config.cluster.pubsub.d_factor.get(), 4);
    assert_eq!(config.cluster.monitor_ping_interval, Duration::from_secs(15));
    assert_eq!(config.crdt.trusted_peers, Trust::Only([].into()));
    assert_eq!(config.crdt.cluster_name, "ipfs-cluster");
    let rest = config.restapi.unwrap();
    assert_eq!(rest.http_listen_multiaddress.len(), 1);
    assert_eq!(rest.cors.allowed_origins, Vec::<String>::new());
    assert_eq!(config.tracker.concurrent_pins.get(), 10);
}

#[test]
fn sections_that_are_absent_are_off() {
    let mut file = new_file();
    for path in ["api.restapi", "api.pinsvcapi", "api.ipfsproxy", "allocator.balanced", "observations.metrics"] {
        file.remove(path);
    }
    file.remove("informer.tags");
    let config = config(&file);
    assert!(config.restapi.is_none() && config.pinsvcapi.is_none() && config.ipfsproxy.is_none());
    assert!(config.metrics.is_none() && config.informers.tags.is_none());
    assert_eq!(config.allocator.allocate_by, ["freespace"]);
}

#[test]
fn a_listener_without_text_keeps_its_default_and_a_list_may_be_a_text() {
    let file = with("api.restapi.http_listen_multiaddress", json!(""));
    assert_eq!(config(&file).restapi.unwrap().http_listen_multiaddress.len(), 1);
    let file = with("api.restapi.http_listen_multiaddress", json!(["/ip4/127.0.0.1/tcp/1", "/unix/tmp/api"]));
    assert_eq!(config(&file).restapi.unwrap().http_listen_multiaddress.len(), 2);
}

#[test]
fn an_engine_that_is_not_named_is_gos() {
    for engine in [json!(""), json!("merkle")] {
        let message = fault(&with("consensus.crdt.engine", engine));
        assert!(message.contains("CLUSTER_CRDT_ENGINE=automerge"), "{message}");
    }
    let file = with("consensus.crdt.engine", json!(""));
    assert!(checked(&file, &[("CLUSTER_CRDT_ENGINE", "automerge")]).is_ok());
    assert!(fault(&with("consensus.crdt.engine", json!("x"))).contains("\"x\" is unknown"));
    assert_eq!(config(&with("consensus.crdt.epoch", json!(7))).crdt.epoch, 7);
    assert_eq!(fault(&with("consensus.crdt.epoch", json!(-1))), "crdt.epoch is invalid");
    let rate = with("consensus.crdt.snapshot_bytes_per_second", json!(1000));
    assert_eq!(config(&rate).crdt.snapshot_rate, std::num::NonZeroU64::new(1000));
    assert_eq!(config(&with("consensus.crdt.epoch", json!(0))).crdt.snapshot_rate, None);
}

#[test]
fn memory_for_pages_is_found_out_unless_it_is_said() {
    let cache = |value| config(&with("consensus.crdt.cache_size", value)).crdt.cache_size;
    assert_eq!(config(&new_file()).crdt.cache_size, None);
    assert_eq!((cache(json!("auto")), cache(json!("")), cache(json!(null))), (None, None, None));
    assert_eq!((cache(json!("64MiB")), cache(json!(67_108_864))), (Some(64 << 20), Some(64 << 20)));
    let (of_variable, _) = checked(&new_file(), &[("CLUSTER_CRDT_CACHESIZE", "1.5GiB")]).unwrap();
    assert_eq!(of_variable.crdt.cache_size, Some(3 << 29));
    assert_eq!(
        fault(&with("consensus.crdt.cache_size", json!("1KiB"))),
        "crdt.cache_size \"1KiB\" is out of range: it is 8MiB to 64GiB, or \"auto\""
    );
    for (value, cause) in [(json!("many"), "invalid size"), (json!("5 apples"), "unknown unit"), (json!(-1), "number")]
    {
        let message = fault(&with("consensus.crdt.cache_size", value));
        assert!(message.contains(cause) && message.contains("cache_size"), "{message}");
    }
}

#[test]
fn the_log_is_neither_tiny_nor_endless() {
    assert_eq!(config(&with("consensus.crdt.log_bytes", json!(4096))).crdt.log_bytes, 4096);
    assert_eq!(config(&with("consensus.crdt.log_bytes", json!(0))).crdt.log_bytes, 64 << 20);
    for bytes in [-1_i64, 4095, (1 << 40) + 1] {
        let file = with("consensus.crdt.log_bytes", json!(bytes));
        let fault = fault(&file);
        assert!(fault.contains(&format!("consensus.crdt.log_bytes is {bytes}, which is not from 4096 to")), "{fault}");
    }
}

#[test]
fn peers_are_trusted_by_name_or_all() {
    let file = with("consensus.crdt.trusted_peers", json!([ID]));
    assert_eq!(config(&file).crdt.trusted_peers, Trust::Only([ID.parse().unwrap()].into()));
    let file = with("consensus.crdt.trusted_peers", json!([ID, "*"]));
    assert_eq!(config(&file).crdt.trusted_peers, Trust::Everyone);
}

#[test]
fn a_mark_of_the_disk_is_a_percentage() {
    assert_eq!(config(&with("pin_tracker.stateless.disk_high_water", json!(95))).tracker.disk_high_water, 95);
    for wrong in [-1, 101] {
        let file = with("pin_tracker.stateless.disk_high_water", json!(wrong));
        let faults = check(&file, &Environment::default(), Path::new("/x")).unwrap_err().to_string();
        assert!(faults.contains("statelesstracker.disk_high_water is invalid: it is a percentage"), "{faults}");
    }
}

/// Path, value, and what Go says to it; `None`: the value is fine.
fn texts() -> Vec<(&'static str, serde_json::Value, &'static str)> {
    vec![
        ("cluster.listen_multiaddress", json!([]), "cluster.listen_multiaddress is undefined"),
        (
            "cluster.connection_manager",
            json!({"high_water": 2, "low_water": 1}),
            "cluster.connection_manager.grace_period is invalid",
        ),
        (
            "cluster.connection_manager.low_water",
            json!(500),
            "cluster.connection_manager.low_water is greater than high_water",
        ),
        ("cluster.connection_manager.low_water", json!(0), "cluster.connection_manager.low_water is invalid"),
        (
            "cluster.pubsub.seen_messages_ttl",
            json!("-1s"),
            "cluster.pubsub.seen_message_ttl is invalid (cluster.pubsub.seen_messages_ttl)",
        ),
        ("cluster.pubsub.d_factor", json!(0), "cluster.pubsub.d_factor is invalid"),
        ("cluster.dial_peer_timeout", json!("0s"), "cluster.dial_peer_timeout is invalid"),
        (
            "cluster.monitor_ping_interval",
            json!("0s"),
            "cluster.monitoring_interval is invalid (cluster.monitor_ping_interval)",
        ),
        (
            "cluster.monitor_ping_interval",
            json!("5"),
            "error parsing cluster.monitor_ping_interval: time: missing unit in duration \"5\"",
        ),
        ("cluster.pin_only_on_trusted_peers", json!(true), ""),
        ("cluster.replication_factor_min", json!(2), "cluster.replication_factor_min is larger than max"),
        (
            "cluster.replication_factor_min",
            json!("2"),
            "json: cannot unmarshal string into Go struct field configJSON.replication_factor_min of type int (cluster.replication_factor_min)",
        ),
        (
            "cluster.secret",
            json!("abcd"),
            "error loading cluster secret from config: input secret is 2 bytes, cluster secret should be 32 (cluster.secret)",
        ),
        (
            "cluster.peer_addresses",
            json!(["x"]),
            "error parsing peer_addresses: failed to parse multiaddr \"x\": must begin with / (cluster.peer_addresses)",
        ),
        ("api.restapi.max_header_bytes", json!(10), "restapi.max_header_bytes must be not less then 4096"),
        ("api.restapi.read_timeout", json!("-1s"), "restapi.read_timeout is invalid"),
        ("api.restapi.idle_timeout", json!("-1s"), "restapi.idle_timeout invalid"),
        ("api.pinsvcapi.cors_max_age", json!("-1s"), "pinsvcapi.cors_max_age is invalid"),
        (
            "api.restapi.basic_auth_credentials",
            json!({}),
            "restapi.basic_auth_creds should be null or have at least one entry (api.restapi.basic_auth_credentials)",
        ),
        ("api.restapi.ssl_cert_file", json!("x"), "restapi: missing TLS configuration (api.restapi.ssl_cert_file)"),
        (
            "api.ipfsproxy.max_header_bytes",
            json!(10),
            "ipfsproxy.max_header_size must be greater or equal to 4096 (api.ipfsproxy.max_header_bytes)",
        ),
        ("ipfs_connector.ipfshttp.node_multiaddress", json!(""), "ipfshttp.node_multiaddress not set"),
        (
            "ipfs_connector.ipfshttp.node_multiaddress",
            json!("x"),
            "error parsing ipfs_node_multiaddress: failed to parse multiaddr \"x\": must begin with / (ipfs_connector.ipfshttp.node_multiaddress)",
        ),
        ("ipfs_connector.ipfshttp.pin_timeout", json!("-1s"), "ipfshttp.pin_timeout invalid"),
        (
            "pin_tracker.stateless.concurrent_pins",
            json!(-1),
            "statelesstracker.concurrent_pins is too low (pin_tracker.stateless.concurrent_pins)",
        ),
        (
            "pin_tracker.stateless.max_pin_queue_size",
            json!(-1),
            "statelesstracker.max_pin_queue_size too low (pin_tracker.stateless.max_pin_queue_size)",
        ),
        ("monitor.pubsubmon", json!({}), "pubsubmon.check_interval too low"),
        (
            "allocator.balanced.allocate_by",
            json!([""]),
            "metricalloc.allocate_by is invalid (allocator.balanced.allocate_by)",
        ),
        ("informer.disk.metric_type", json!("x"), "disk.metric_type is invalid"),
        ("informer.disk.metric_ttl", json!("0s"), "disk.metric_ttl is invalid"),
        (
            "informer.pinqueue.weight_bucket_size",
            json!(0),
            "pinqueue.WeightBucketSize is invalid (informer.pinqueue.weight_bucket_size)",
        ),
        (
            "consensus.crdt.trusted_peers",
            json!(["x"]),
            "error parsing trusted peers: failed to parse peer ID: invalid cid: cid too short (consensus.crdt.trusted_peers)",
        ),
        ("consensus.crdt.rebroadcast_interval", json!("0s"), "crdt.rebroadcast_interval is invalid"),
        ("consensus.raft", json!({}), "could not determine the consensus component"),
    ]
}

#[test]
fn faults_have_gos_texts_and_their_keys() {
    for (path, value, text) in texts() {
        let file = with(path, value.clone());
        if text.is_empty() {
            assert_eq!(faults(&file), Vec::<String>::new(), "{path} {value}");
        } else {
            assert_eq!(fault(&file), text, "{path} {value}");
        }
    }
}

#[test]
fn all_faults_come_at_once_in_the_order_of_the_file() {
    let mut file = new_file();
    file.set("informer.disk.metric_type", "x");
    file.set("cluster.replication_factor_min", 7);
    file.set("api.restapi.max_header_bytes", "many");
    file.set("cluster.pubsub", 5);
    let all = checked(&file, &[("CLUSTER_METRICS_ENABLESTATS", "maybe")]).unwrap_err();
    let paths: Vec<&str> = all.0.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "cluster.pubsub",
            "api.restapi.max_header_bytes",
            "observations.metrics.enable_stats",
            "cluster.replication_factor_min",
            "informer.disk.metric_type",
        ]
    );
    assert!(all.to_string().starts_with("5 faults in the configuration:\n  "));
}

#[test]
fn no_section_is_said_with_gos_wrapper() {
    let file = File::parse(b"{}").unwrap();
    let all = faults(&file);
    assert_eq!(all[0], "cluster section failed to validate: cluster.listen_multiaddress is undefined");
    assert_eq!(all[1], "could not determine the consensus component");
    let mut file = new_file();
    for informer in ["informer.disk", "informer.tags", "informer.pinqueue"] {
        file.remove(informer);
    }
    assert_eq!(fault(&file), "no informers are passed");
}

#[test]
fn unknown_keys_are_warned_about_and_case_does_not_matter() {
    let mut text = new_file().to_text();
    text = text.replace("\"peername\": \"\"", "\"PeerName\": \"mine\", \"colour\": \"red\"");
    text = text.replacen('{', "{\"extra\": 1, \"state\": {}, ", 1);
    let file = File::parse(text.as_bytes()).unwrap();
    let (config, notes) = checked(&file, &[]).unwrap();
    assert_eq!(config.cluster.peername, "mine");
    assert_eq!(file.unknown_keys(), ["extra", "cluster.colour"]);
    assert_eq!(notes.warnings[0], "service.json: the key extra is unknown and ignored");
}

#[test]
fn settings_that_are_not_needed_are_named() {
    let mut file = with("consensus.crdt.batching.max_batch_size", json!(100));
    file.set("datastore.badger3", json!({"gc_sleep": "10s"}));
    file.set("datastore.pebble", json!({}));
    let infos = checked(&file, &[]).unwrap().1.infos;
    assert_eq!(infos.len(), 2, "{infos:?}");
    assert!(infos[0].starts_with("datastore.badger3 is accepted and not used"));
    assert!(infos[1].starts_with("consensus.crdt.batching is accepted and not needed"));
}

#[test]
fn an_empty_secret_is_an_open_network_with_a_warning() {
    let (config, notes) = checked(&new_file(), &[("CLUSTER_SECRET", "")]).unwrap();
    assert_eq!(config.cluster.secret, None);
    assert!(
        notes
            .warnings
            .iter()
            .any(|warning| warning == "Cluster secret is empty, cluster will start on unprotected network.")
    );
    let secret = checked(&new_file(), &[]).unwrap().0.cluster.secret;
    assert_eq!(secret, Some(Secret::from_hex(&"ab".repeat(32)).unwrap()));
}

#[test]
fn a_webhook_has_a_url_and_maybe_a_secret_and_no_fault_shows_either() {
    let set = |url: &str, secret: &str| {
        let mut file = with("monitor.pubsubmon.webhook_url", json!(url));
        file.set("monitor.pubsubmon.webhook_secret", json!(secret));
        file
    };
    let webhook = config(&set("https://host/hunter2", "hunter2")).monitor.webhook.unwrap();
    assert_eq!((webhook.url().as_str(), webhook.secret()), ("https://host/hunter2", Some("hunter2")));
    let variables = [("CLUSTER_PUBSUBMON_WEBHOOKURL", "http://other"), ("CLUSTER_PUBSUBMON_WEBHOOKSECRET", "s")];
    let webhook = checked(&set("https://host", ""), &variables).unwrap().0.monitor.webhook.unwrap();
    assert_eq!((webhook.url().as_str(), webhook.secret()), ("http://other/", Some("s")));
    for (url, why) in [
        ("ftp://host/hunter2", "error parsing pubsubmon.webhook_url: neither http nor https"),
        ("hunter2", "error parsing pubsubmon.webhook_url: relative URL without a base"),
        ("", "pubsubmon.webhook_secret is set and webhook_url is not"),
    ] {
        let fault = fault(&set(url, "hunter2"));
        assert!(fault.contains(why) && !fault.contains("hunter2"), "{fault}");
    }
}

#[test]
fn nothing_secret_is_in_the_debug_text() {
    let mut file = with("api.restapi.basic_auth_credentials", json!({"user": "hunter2"}));
    file.set("api.restapi.headers", json!({"X-Token": ["hunter2"]}));
    file.set("monitor.pubsubmon.webhook_url", json!("https://user:hunter2@host/hunter2"));
    file.set("monitor.pubsubmon.webhook_secret", json!("hunter2"));
    let text = format!("{:?}", config(&file));
    assert!(!text.contains("hunter2") && !text.contains("abab"), "{text}");
}

pub(super) fn each_key(above: &str, prefix: &str, keys: &[Key], each: &mut dyn FnMut(String, String, &Key)) {
    for key in keys {
        let (path, variable) = (format!("{above}.{}", key.name), variable(prefix, key.name));
        if let Kind::Object(keys) = key.kind {
            each_key(&path, &variable, keys, each);
        } else {
            each(path, variable, key);
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_file_makes_it_panic(text in "[{}\\[\\]\",:a-z0-9_. -]{0,200}") {
        if let Ok(file) = File::parse(text.as_bytes()) {
            let _ = check(&file, &Environment::default(), Path::new("/folder"));
        }
    }

    #[test]
    fn no_value_of_any_key_makes_it_panic(at in 0..200_usize, value in value()) {
        let mut paths = Vec::new();
        for section in SECTIONS {
            paths.push(section.path());
            each_key(&section.path(), section.env, section.keys, &mut |path, _, _| paths.push(path));
        }
        let mut file = new_file();
        file.set(&paths[at % paths.len()], value);
        let _ = check(&file, &Environment::default(), Path::new("/folder"));
    }
}

fn value() -> impl proptest::strategy::Strategy<Value = serde_json::Value> {
    use proptest::prelude::*;
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        "[/a-z0-9.*-]{0,20}".prop_map(|s| json!(s)),
        prop::collection::vec("[/a-z0-9]{0,9}", 0..3).prop_map(|v| json!(v)),
        "[a-z]{0,9}".prop_map(|k| json!({k: {"x": 1}})),
    ]
}
