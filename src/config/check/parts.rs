//! Checks of the sections of single parts.
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use super::fault::{Faults, Faulty};
use super::reader::Reader;
use super::resolve::Resolved;
use crate::config::typed::{
    AllocatorConfig, DiskInformer, DiskMetric, FollowerConfig, InformersConfig, IpfsHttpConfig, MetricsConfig,
    MonitorConfig, PinQueueInformer, TagsInformer, TracingConfig, TrackerConfig,
};
use crate::config::value::{Webhook, parse_multiaddr, parse_size};

/// A smaller budget is a unit that was mistaken.
const BUDGET_MIN: u64 = 1 << 20;
/// More copies than this are a mistake: there would be no shares.
const COPIES_MAX: u32 = 10_000;

pub(super) fn follower(resolved: &Resolved, faults: &mut Faults, folder: &Path) -> FollowerConfig {
    let mut r = Reader::new(resolved, faults, folder, "follower");
    let copies: u32 = r.at_least("copies", 1, "follower.copies is invalid");
    if copies > COPIES_MAX {
        r.fault("copies", format!("follower.copies is above {COPIES_MAX}"));
    }
    FollowerConfig { max_bytes: budget(&mut r), copies: NonZeroU32::new(copies).unwrap_or(NonZeroU32::MIN) }
}

fn budget(r: &mut Reader) -> Option<NonZeroU64> {
    let text = r.text("max_bytes");
    if text == "none" {
        return None;
    }
    match parse_size(text) {
        Ok(bytes) if bytes >= BUDGET_MIN && i64::try_from(bytes).is_ok() => return NonZeroU64::new(bytes),
        Ok(_) => r.fault(
            "max_bytes",
            format!("follower.max_bytes {text:?} is out of range: it is 1MiB or more, or \"none\""),
        ),
        Err(e) => r.fault("max_bytes", format!("error parsing follower.max_bytes: {e}, or \"none\"")),
    }
    None
}

/// `None` goes with a fault.
pub(super) fn ipfshttp(resolved: &Resolved, faults: &mut Faults, folder: &Path) -> Option<IpfsHttpConfig> {
    let mut r = Reader::new(resolved, faults, folder, "ipfs_connector.ipfshttp");
    let node = r.endpoint("node_multiaddress", "ipfs_node_multiaddress", "ipfshttp.node_multiaddress not set");
    let limit = |r: &mut Reader, key: &str| r.not_negative(key, &format!("ipfshttp.{key} invalid"));
    let config = IpfsHttpConfig {
        connect_swarms_delay: Some(r.not_negative("connect_swarms_delay", "ipfshttp.connect_swarms_delay is invalid"))
            .filter(|delay| !delay.is_zero()),
        ipfs_request_timeout: limit(&mut r, "ipfs_request_timeout"),
        pin_timeout: limit(&mut r, "pin_timeout"),
        unpin_timeout: limit(&mut r, "unpin_timeout"),
        repogc_timeout: limit(&mut r, "repogc_timeout"),
        informer_trigger_interval: r.at_least("informer_trigger_interval", 0, "ipfshttp.informer_trigger_interval"),
        unpin_disable: r.is_on("unpin_disable"),
        node_multiaddress: node?,
    };
    Some(config)
}

pub(super) fn tracker(resolved: &Resolved, faults: &mut Faults, folder: &Path) -> TrackerConfig {
    let mut r = Reader::new(resolved, faults, folder, "pin_tracker.stateless");
    let number = |r: &mut Reader, key: &str| {
        let value: u32 = r.at_least(key, 1, &format!("statelesstracker.{key} {}", too_low(key)));
        NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN)
    };
    let queue = number(&mut r, "max_pin_queue_size");
    TrackerConfig {
        max_pin_queue_size: NonZeroUsize::try_from(queue).ok().filter(|max| max.get() != GO_QUEUE),
        disk_high_water: hundredths(&mut r, "disk_high_water"),
        concurrent_pins: number(&mut r, "concurrent_pins"),
        priority_pin_max_age: r.positive("priority_pin_max_age", "statelesstracker.priority_pin_max_age is too low"),
        priority_pin_max_retries: number(&mut r, "priority_pin_max_retries"),
    }
}

/// Go's bound of queues that are in memory.
const GO_QUEUE: usize = 1_000_000;

fn hundredths(r: &mut Reader, key: &str) -> u8 {
    let part = u8::try_from(r.int(key)).ok().filter(|part| *part <= 100);
    part.unwrap_or_else(|| {
        r.fault(key, format!("statelesstracker.{key} is invalid: it is a percentage from 0 (never) to 100"));
        0
    })
}

/// Go's texts differ.
fn too_low(key: &str) -> &'static str {
    if key == "max_pin_queue_size" { "too low" } else { "is too low" }
}

pub(super) fn monitor(resolved: &Resolved, faults: &mut Faults, folder: &Path) -> MonitorConfig {
    let mut r = Reader::new(resolved, faults, folder, "monitor.pubsubmon");
    MonitorConfig {
        check_interval: r.positive("check_interval", "pubsubmon.check_interval too low"),
        webhook: webhook(&mut r),
    }
}

/// No text of a fault has any of the URL or of the secret.
fn webhook(r: &mut Reader) -> Option<Webhook> {
    let (url, secret) = (r.text("webhook_url"), r.text("webhook_secret"));
    if url.is_empty() {
        if !secret.is_empty() {
            r.fault("webhook_secret", "pubsubmon.webhook_secret is set and webhook_url is not");
        }
        return None;
    }
    Webhook::new(url, secret)
        .map_err(|e| r.fault("webhook_url", format!("error parsing pubsubmon.webhook_url: {e}")))
        .ok()
}

pub(super) fn allocator(resolved: &Resolved, faults: &mut Faults, folder: &Path) -> AllocatorConfig {
    let mut r = Reader::new(resolved, faults, folder, "allocator.balanced");
    if !r.is_present() {
        // What peers did before the section was invented.
        return AllocatorConfig { allocate_by: vec!["freespace".into()] };
    }
    let allocate_by = r.texts("allocate_by");
    if allocate_by.iter().any(String::is_empty) {
        r.fault("allocate_by", "metricalloc.allocate_by is invalid");
    }
    AllocatorConfig { allocate_by }
}

pub(super) fn informers(resolved: &Resolved, faults: &mut Faults, folder: &Path) -> InformersConfig {
    InformersConfig {
        disk: disk(&mut Reader::new(resolved, faults, folder, "informer.disk")),
        pinqueue: pinqueue(&mut Reader::new(resolved, faults, folder, "informer.pinqueue")),
        tags: tags(&mut Reader::new(resolved, faults, folder, "informer.tags")),
    }
}

fn disk(r: &mut Reader) -> Option<DiskInformer> {
    if !r.is_present() {
        return None;
    }
    let metric_ttl = r.positive("metric_ttl", "disk.metric_ttl is invalid");
    let metric_type = match r.text("metric_type") {
        "freespace" => DiskMetric::FreeSpace,
        "reposize" => DiskMetric::RepoSize,
        _ => {
            r.fault("metric_type", "disk.metric_type is invalid");
            DiskMetric::FreeSpace
        }
    };
    Some(DiskInformer { metric_ttl, metric_type })
}

fn pinqueue(r: &mut Reader) -> Option<PinQueueInformer> {
    if !r.is_present() {
        return None;
    }
    let metric_ttl = r.positive("metric_ttl", "pinqueue.metric_ttl is invalid");
    let bucket: u32 = r.at_least("weight_bucket_size", 1, "pinqueue.WeightBucketSize is invalid");
    Some(PinQueueInformer { metric_ttl, weight_bucket_size: NonZeroU32::new(bucket).unwrap_or(NonZeroU32::MIN) })
}

fn tags(r: &mut Reader) -> Option<TagsInformer> {
    if !r.is_present() {
        return None;
    }
    let metric_ttl = r.positive("metric_ttl", "tags.metric_ttl is invalid");
    Some(TagsInformer { metric_ttl, tags: r.map("tags").unwrap_or_default() })
}

/// `Ok(None)` when the section is absent.
pub(super) fn metrics(
    resolved: &Resolved,
    faults: &mut Faults,
    folder: &Path,
) -> Result<Option<MetricsConfig>, Faulty> {
    let mut r = Reader::new(resolved, faults, folder, "observations.metrics");
    if !r.is_present() {
        return Ok(None);
    }
    let enable_stats = r.is_on("enable_stats");
    let reporting_interval = r.not_negative("reporting_interval", "metrics.reporting_interval is invalid");
    if enable_stats && reporting_interval == Duration::ZERO {
        r.fault("reporting_interval", "metrics.reporting_interval is invalid");
    }
    let prometheus_endpoint = parse_multiaddr(r.text("prometheus_endpoint")).map_err(|e| {
        r.fault("prometheus_endpoint", format!("error parsing metrics.prometheus_endpoint: {e}"));
        Faulty
    })?;
    Ok(Some(MetricsConfig { enable_stats, prometheus_endpoint, reporting_interval }))
}

/// `None` when the section is absent.
pub(super) fn tracing(resolved: &Resolved, faults: &mut Faults, folder: &Path) -> Option<TracingConfig> {
    let mut r = Reader::new(resolved, faults, folder, "observations.tracing");
    if !r.is_present() {
        return None;
    }
    let config = TracingConfig {
        enable_tracing: r.is_on("enable_tracing"),
        jaeger_agent_endpoint: r.text("jaeger_agent_endpoint").into(),
        sampling_prob: r.float("sampling_prob"),
        service_name: r.text("service_name").into(),
    };
    if config.enable_tracing && config.jaeger_agent_endpoint.is_empty() {
        r.fault("jaeger_agent_endpoint", "tracing.jaeger_agent_endpoint is undefined");
    }
    if config.enable_tracing && config.sampling_prob < 0.0 {
        r.fault("sampling_prob", "tracing.sampling_prob is invalid");
    }
    Some(config)
}
