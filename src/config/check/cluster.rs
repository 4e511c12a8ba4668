//! Checks of `cluster` and `consensus.crdt`.
use std::collections::BTreeSet;
use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::Path;

use super::fault::{Faults, Notes};
use super::reader::Reader;
use super::resolve::Resolved;
use crate::config::typed::{ClusterConfig, ConnectionManager, CrdtConfig, EngineKind, Pubsub, ResourceManager};
use crate::config::value::{GoDuration, Secret, parse_peer_id, parse_size};
use crate::model::{Multiaddr, Replication, Trust};

/// Below, each commit would read what the last one wrote; above, a unit was mistaken.
const CACHE_SIZES: RangeInclusive<u64> = 8 << 20..=64 << 30;
/// Least and most bytes of log that may be wanted: 4 KiB and 1 TiB.
const LOG_BYTES: (u64, u64) = (4 << 10, 1 << 40);

pub(super) fn cluster(resolved: &Resolved, faults: &mut Faults, notes: &mut Notes, folder: &Path) -> ClusterConfig {
    let mut r = Reader::new(resolved, faults, folder, "cluster");
    let interval = |r: &mut Reader, key: &str, name: &str| r.positive(key, &format!("cluster.{name} is invalid"));
    ClusterConfig {
        peername: peername(&r),
        secret: secret(&mut r, notes),
        leave_on_shutdown: r.is_on("leave_on_shutdown"),
        listen_multiaddress: listen(&mut r),
        announce_multiaddress: r.addresses("announce_multiaddress", "announce_multiaddress"),
        no_announce_multiaddress: r.addresses("no_announce_multiaddress", "no_announce_multiaddress"),
        enable_relay_hop: r.is_on("enable_relay_hop"),
        connection_manager: connection_manager(&mut r),
        resource_manager: ResourceManager {
            enabled: r.is_on("resource_manager.enabled"),
            memory_limit_bytes: limit(&mut r, "resource_manager.memory_limit_bytes"),
            file_descriptors_limit: limit(&mut r, "resource_manager.file_descriptors_limit"),
        },
        pubsub: pubsub(&mut r),
        dial_peer_timeout: interval(&mut r, "dial_peer_timeout", "dial_peer_timeout"),
        state_sync_interval: interval(&mut r, "state_sync_interval", "state_sync_interval"),
        pin_recover_interval: interval(&mut r, "pin_recover_interval", "pin_recover_interval"),
        replication: replication(&mut r),
        monitor_ping_interval: interval(&mut r, "monitor_ping_interval", "monitoring_interval"),
        peer_watch_interval: interval(&mut r, "peer_watch_interval", "peer_watch_interval"),
        mdns_interval: r.not_negative("mdns_interval", "cluster.mdns_interval is invalid"),
        pin_only_on_trusted_peers: r.is_on("pin_only_on_trusted_peers"),
        pin_only_on_untrusted_peers: only_untrusted(&mut r),
        disable_repinning: r.is_on("disable_repinning"),
        repin_grace: interval(&mut r, "repin_grace", "repin_grace"),
        repin_rate: repin_rate(&mut r),
        follower_mode: r.is_on("follower_mode"),
        peerstore_file: folder.join(r.text("peerstore_file")),
        peer_addresses: r.addresses("peer_addresses", "peer_addresses"),
    }
}

/// Bytes a second; a negative number is no limit.
fn repin_rate(r: &mut Reader) -> Option<NonZeroU64> {
    match r.int("repin_bytes_per_second") {
        ..=-1 => None,
        _ => NonZeroU64::new(r.at_least("repin_bytes_per_second", 1, "cluster.repin_bytes_per_second is invalid")),
    }
}

/// The name of the host stands in for a missing label.
fn peername(r: &Reader) -> String {
    match r.text("peername") {
        "" => hostname(),
        name => name.into(),
    }
}

/// The name of this host, or nothing.
#[must_use]
pub fn hostname() -> String {
    hostname::get().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

fn secret(r: &mut Reader, notes: &mut Notes) -> Option<Secret> {
    let text = r.text("secret");
    if text.is_empty() {
        notes.warnings.push("Cluster secret is empty, cluster will start on unprotected network.".into());
        return None;
    }
    Secret::from_hex(text).map_err(|e| r.fault("secret", format!("error loading cluster secret from config: {e}"))).ok()
}

fn listen(r: &mut Reader) -> Vec<Multiaddr> {
    // Without the section there are defaults, but nobody said that the peer is to listen there.
    if r.texts("listen_multiaddress").is_empty() || !r.is_present() {
        r.fault("listen_multiaddress", "cluster.listen_multiaddress is undefined");
    }
    r.addresses("listen_multiaddress", "listen_multiaddress")
}

fn connection_manager(r: &mut Reader) -> ConnectionManager {
    let (high, low) = ("connection_manager.high_water", "connection_manager.low_water");
    let (high_water, low_water) = (r.int(high), r.int(low));
    let number = |r: &mut Reader, key: &str| {
        let value = u32::try_from(r.int(key)).ok().and_then(std::num::NonZeroU32::new);
        if value.is_none() {
            r.fault(key, format!("cluster.{key} is invalid"));
        }
        value.unwrap_or(std::num::NonZeroU32::MIN)
    };
    let manager = ConnectionManager {
        low_water: number(r, low),
        high_water: number(r, high),
        grace_period: r
            .positive("connection_manager.grace_period", "cluster.connection_manager.grace_period is invalid"),
    };
    if low_water > high_water && high_water > 0 {
        r.fault(low, "cluster.connection_manager.low_water is greater than high_water");
    }
    manager
}

/// Zero is no limit of one's own; negative is no number of anything.
fn limit(r: &mut Reader, key: &str) -> Option<NonZeroU64> {
    NonZeroU64::new(r.at_least(key, 0, &format!("cluster.{key} is invalid")))
}

fn pubsub(r: &mut Reader) -> Pubsub {
    let number = |r: &mut Reader, name: &str| {
        let value: u32 = r.at_least(&format!("pubsub.{name}"), 1, &format!("cluster.pubsub.{name} is invalid"));
        usize::try_from(value).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN)
    };
    Pubsub {
        // Go's text has the singular.
        seen_messages_ttl: r.positive("pubsub.seen_messages_ttl", "cluster.pubsub.seen_message_ttl is invalid"),
        heartbeat_interval: r.positive("pubsub.heartbeat_interval", "cluster.pubsub.heartbeat_interval is invalid"),
        d_factor: number(r, "d_factor"),
        history_gossip: number(r, "history_gossip"),
        history_length: number(r, "history_length"),
        flood_publish: r.is_on("pubsub.flood_publish"),
    }
}

fn replication(r: &mut Reader) -> Replication {
    let (min, max) = (r.int("replication_factor_min"), r.int("replication_factor_max"));
    let factor = |n: i64| i32::try_from(n).unwrap_or(if n < 0 { i32::MIN } else { i32::MAX });
    Replication::from_factors(factor(min), factor(max)).unwrap_or_else(|e| {
        r.fault("replication_factor_min", e);
        Replication::Everywhere
    })
}

fn only_untrusted(r: &mut Reader) -> bool {
    let is_on = r.is_on("pin_only_on_untrusted_peers");
    if is_on && r.is_on("pin_only_on_trusted_peers") {
        let message = "cluster.pin_only_on_trusted_peers and pin_only_on_untrusted_peers cannot both be true";
        r.fault("pin_only_on_untrusted_peers", message);
    }
    is_on
}

/// `None` when there is no `crdt` to run; the fault is noted.
pub(super) fn crdt(resolved: &Resolved, faults: &mut Faults, notes: &mut Notes, folder: &Path) -> Option<CrdtConfig> {
    let has_raft = resolved.is_present("consensus.raft");
    let mut r = Reader::new(resolved, faults, folder, "consensus.crdt");
    match (r.is_present(), has_raft) {
        (true, false) => (),
        (false, true) => {
            r.faults.add("consensus.raft", "raft is not supported: a cluster of this program uses the crdt consensus");
            return None;
        }
        (true, true) | (false, false) => {
            r.faults.add("consensus", "could not determine the consensus component");
            return None;
        }
    }
    batching(&r, notes);
    let config = CrdtConfig {
        cluster_name: r.text("cluster_name").into(),
        trusted_peers: trusted_peers(&mut r),
        engine: engine(&mut r),
        epoch: r.at_least("epoch", 0, "crdt.epoch is invalid"),
        cache_size: cache_size(&mut r),
        log_bytes: log_bytes(&mut r),
        peerset_metric: r.text("peerset_metric").into(),
        rebroadcast_interval: lenient(&mut r, notes, "rebroadcast_interval"),
        repair_interval: lenient(&mut r, notes, "repair_interval"),
        snapshot_rate: NonZeroU64::new(r.at_least(
            "snapshot_bytes_per_second",
            0,
            "crdt.snapshot_bytes_per_second is invalid",
        )),
    };
    if config.rebroadcast_interval.is_zero() {
        r.fault("rebroadcast_interval", "crdt.rebroadcast_interval is invalid");
    }
    Some(config)
}

/// Commits are shared without any settings, so these are named and left alone.
fn batching(r: &Reader, notes: &mut Notes) {
    if r.int("batching.max_batch_size") != 0 {
        notes
            .infos
            .push("consensus.crdt.batching is accepted and not needed: writes share commits by themselves".into());
    }
}

fn trusted_peers(r: &mut Reader) -> Trust {
    let peers = r.texts("trusted_peers");
    if peers.iter().any(|peer| peer == "*") {
        return Trust::Everyone;
    }
    let mut trusted = BTreeSet::new();
    for peer in &peers {
        match parse_peer_id(peer) {
            Ok(peer) => drop(trusted.insert(peer)),
            Err(e) => r.fault("trusted_peers", format!("error parsing trusted peers: {e}")),
        }
    }
    Trust::Only(trusted)
}

fn engine(r: &mut Reader) -> EngineKind {
    match r.text("engine") {
        "automerge" => {}
        "" | "merkle" => r.fault(
            "engine",
            "consensus.crdt.engine is absent or \"merkle\": that is the engine of the Go programs, which this version \
             does not have yet; for a new cluster, set CLUSTER_CRDT_ENGINE=automerge",
        ),
        other => {
            let message = format!("consensus.crdt.engine {other:?} is unknown: it is \"automerge\"");
            r.fault("engine", message);
        }
    }
    EngineKind::Automerge
}

/// `None` is for the peer to find out.
fn cache_size(r: &mut Reader) -> Option<u64> {
    let text = r.text("cache_size");
    if text == "auto" {
        return None;
    }
    match parse_size(text) {
        Ok(bytes) if CACHE_SIZES.contains(&bytes) => return Some(bytes),
        Ok(_) => {
            let message = format!("crdt.cache_size {text:?} is out of range: it is 8MiB to 64GiB, or \"auto\"");
            r.fault("cache_size", message);
        }
        Err(e) => r.fault("cache_size", format!("error parsing crdt.cache_size: {e}, or \"auto\"")),
    }
    None
}

/// What is smaller would make snapshots all the time, what is larger would never make one.
fn log_bytes(r: &mut Reader) -> u64 {
    let (least, most) = LOG_BYTES;
    let bytes = r.int("log_bytes");
    u64::try_from(bytes).ok().filter(|bytes| (least..=most).contains(bytes)).unwrap_or_else(|| {
        r.fault("log_bytes", format!("consensus.crdt.log_bytes is {bytes}, which is not from {least} to {most}"));
        most
    })
}

/// Durations of this section that cannot be read were never a reason not to start.
fn lenient(r: &mut Reader, notes: &mut Notes, key: &str) -> std::time::Duration {
    let text = r.text(key);
    match text.parse::<GoDuration>() {
        Ok(duration) => duration.to_std().unwrap_or_else(|| {
            r.fault(key, format!("crdt.{key} is invalid"));
            std::time::Duration::from_secs(1)
        }),
        Err(e) => {
            notes.warnings.push(format!("consensus.crdt.{key} is ignored: {e}"));
            let default = if key == "repair_interval" { 3600 } else { 60 };
            std::time::Duration::from_secs(default)
        }
    }
}
