//! What a peer shows of itself, looked up when the page is asked for. `ipfscluster_pins..` and `.._informer_disk` are Go's.
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use crate::cluster::{Cluster, Observation};
use crate::crdt::Summary;
use crate::model::TrackerStatus;
use crate::observe::Page;

/// Shows a peer.
#[derive(Debug)]
pub struct Shown {
    cluster: Cluster,
}

impl Shown {
    /// Shows `cluster`.
    pub const fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }
}

impl Collector for Shown {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (mut page, seen) = (Page::new(encoder), self.cluster.observe());
        pins(&mut page, &seen)?;
        replication(&mut page, &seen.summary)?;
        writer(&mut page, &seen)?;
        tracker(&mut page, &seen)?;
        peers(&mut page, &seen)?;
        stores(&mut page, &seen)?;
        self.counts(&mut page)
    }
}

impl Shown {
    fn counts(&self, page: &mut Page<'_>) -> fmt::Result {
        let traffic = self.cluster.traffic().into_iter().flat_map(|(protocol, traffic)| {
            let row =
                |way: &str, bytes| ([("protocol", protocol.clone()), ("direction", way.to_owned())], number(bytes));
            [row("in", traffic.total_in), row("out", traffic.total_out)]
        });
        let help =
            "Bytes between this peer and others, by protocol; the empty one is what was said before one was agreed on.";
        page.counters("ipfscluster_traffic_bytes_total", help, traffic)?;
        let counts = self.cluster.counts().into_iter().map(|(name, n)| ([("event", name.to_owned())], number(n)));
        let help = "What was refused, dropped or noticed, by its name; names appear when they first happen.";
        page.counters("ipfscluster_events_total", help, counts)?;
        let version = ([("version", self.cluster.version())], 1.0);
        page.gauges("ipfscluster_build_info", "The version of this peer; always 1.", [version])
    }
}

fn pins(page: &mut Page<'_>, seen: &Observation) -> fmt::Result {
    page.gauge("ipfscluster_pins", "Total number of cluster pins.", number(seen.summary.entries))?;
    for (status, name, help) in [
        (TrackerStatus::PinQueued, "ipfscluster_pins_pin_queued", "Current number of pins queued for pinning."),
        (TrackerStatus::Pinning, "ipfscluster_pins_pinning", "Current number of pins currently pinning."),
        (TrackerStatus::PinError, "ipfscluster_pins_pin_error", "Current number of pins in pin_error state."),
    ] {
        let n = seen.by_status.iter().find(|(of, _)| *of == status).map_or(0, |(_, n)| *n);
        page.gauge(name, help, number(n))?;
    }
    match seen.disk_weight {
        Some(weight) => {
            let help = "The metric value weight issued by disk informer.";
            page.gauge("ipfscluster_informer_disk", help, number(weight.unsigned_abs()))
        }
        None => Ok(()),
    }
}

fn replication(page: &mut Page<'_>, summary: &Summary) -> fmt::Result {
    let (in_sync, joining) = (f64::from(u8::from(summary.in_sync)), f64::from(u8::from(summary.joining)));
    let snapshot = summary.snapshot.map_or(0.0, |at| number(at.0.unsigned_abs()) / 1e3);
    for (name, help, value) in [
        ("in_sync", "1 when every peer that spoke lately has the changes that this one has.", in_sync),
        ("joining", "1 while the pins of another peer's state are taken over.", joining),
        ("pending_changes", "Changes that wait in memory for others that they stand on.", size(summary.pending)),
        ("staged_changes", "Changes of peers that are not trusted, which wait on disk.", size(summary.staged)),
        ("forks", "Authors that were seen with two histories.", size(summary.forks)),
        ("log_bytes", "Bytes of the log of changes.", number(summary.log_bytes)),
        ("snapshot_time_seconds", "When the last snapshot was made or fetched, since unix epoch; 0: never.", snapshot),
        (
            "clock",
            "What this peer has seen, as a number: peers with equal ones have seen the same.",
            short(&summary.clock_hash),
        ),
        ("digest", "Its pinset, as a number: peers with equal clocks have equal ones.", short(&summary.digest_hash)),
    ] {
        page.gauge(&format!("ipfscluster_replication_{name}"), help, value)?;
    }
    Ok(())
}

fn writer(page: &mut Page<'_>, seen: &Observation) -> fmt::Result {
    let behind = seen.writer.behind.as_secs_f64();
    let help = "Seconds since this peer last had all changes that it had heard of; 0 while it has.";
    page.gauge("ipfscluster_replication_behind_seconds", help, behind)?;
    let help = "Inputs that wait for the pinset's writer.";
    page.gauge("ipfscluster_writer_queue_inputs", help, size(seen.writer.inputs))?;
    page.gauge("ipfscluster_writer_queue_bytes", "Bytes of changes that wait for it.", number(seen.writer.bytes))
}

fn tracker(page: &mut Page<'_>, seen: &Observation) -> fmt::Result {
    let status = |status: TrackerStatus| [("status", status.name().to_owned())];
    let rows = seen.by_status.iter().map(|(of, n)| (status(*of), number(*n)));
    page.gauges("ipfscluster_tracker_items", "What this peer is to hold or to let go of, by status.", rows)?;
    let rows = seen.tracker.waiting.iter().map(|(lane, n)| ([("lane", (*lane).to_owned())], size(*n)));
    page.gauges("ipfscluster_tracker_waiting", "What waits in memory for the IPFS daemon, by lane.", rows)?;
    let rows = seen.tracker.running.iter().map(|(phase, n)| ([("phase", (*phase).to_owned())], size(*n)));
    page.gauges("ipfscluster_tracker_running", "What the IPFS daemon is doing, by phase.", rows)?;
    let help = "Seconds that the item that waits longest has been due.";
    page.gauge("ipfscluster_tracker_oldest_due_seconds", help, seen.oldest_due.as_secs_f64())?;
    let help = "1 when the IPFS daemon answers.";
    page.gauge("ipfscluster_ipfs_up", help, f64::from(u8::from(seen.ipfs_is_up)))
}

fn peers(page: &mut Page<'_>, seen: &Observation) -> fmt::Result {
    page.gauge("ipfscluster_peers", "Members of the cluster, this one among them.", size(seen.members))?;
    page.gauge("ipfscluster_connected_peers", "Peers that this one is connected to.", size(seen.connected))?;
    page.gauge("ipfscluster_alerts", "Alerts that are kept.", size(seen.alerts))?;
    let Some(skew) = seen.clock_skew else { return Ok(()) };
    let help = "The greatest difference between the clocks of this peer and of another one, as pings tell.";
    page.gauge("ipfscluster_clock_skew_seconds", help, skew.as_secs_f64())
}

fn stores(page: &mut Page<'_>, seen: &Observation) -> fmt::Result {
    let rows = seen.store_bytes.iter().map(|(store, bytes)| ([("store", (*store).to_owned())], number(*bytes)));
    page.gauges("ipfscluster_store_bytes", "Bytes of the files on disk.", rows)?;
    match seen.free_bytes {
        Some(free) => page.gauge("ipfscluster_store_free_bytes", "Bytes free where they are.", number(free)),
        None => Ok(()),
    }
}

/// The first 48 bits, which a float holds to the last one.
fn short(hash: &[u8; 32]) -> f64 {
    hash.first_chunk().map_or(0.0, |first| number(u64::from_be_bytes(*first) >> 16))
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
const fn number(n: u64) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
const fn size(n: usize) -> f64 {
    n as f64
}
