//! A running peer, seen through its API.
use super::finding::{Finding, Report};
use crate::client::Error;
use crate::wire::rest::{Alert, Metric, PeerInfo};

/// The checks, in the order in which they are told.
const CHECKS: [&str; 6] = ["api", "kubo", "peers", "clock", "disk", "alerts"];

/// Clocks that differ by more make metrics expire too early.
const SKEW_MAX_NANOS: u64 = 5_000_000_000;
/// Less is a disk that takes no more pins soon.
const FREE_MIN: i64 = 1 << 30;

/// What a peer's API says.
#[derive(Debug)]
pub struct ApiFacts {
    /// Where it was asked.
    pub host: String,
    /// Who answers, or why nobody.
    pub peer: Result<PeerInfo, Error>,
    /// All members, as they answer it.
    pub peers: Vec<PeerInfo>,
    /// Their pings.
    pub pings: Vec<Metric>,
    /// Their free space.
    pub freespace: Vec<Metric>,
    /// What it missed.
    pub alerts: Vec<Alert>,
}

/// Makes every check.
#[must_use]
pub fn examine_api(facts: &ApiFacts) -> Report {
    let findings = match &facts.peer {
        Err(error) => vec![api(&facts.host, error)],
        Ok(peer) => [kubo(peer, facts), peers(facts), clock(peer, facts), disk(facts), alerts(facts)].concat(),
    };
    let checks = if facts.peer.is_ok() { &CHECKS[..] } else { &CHECKS[..1] };
    Report::of(checks, findings)
}

fn api(host: &str, error: &Error) -> Finding {
    let fix = match error.code {
        0 => "start the peer (ipfs-cluster-service daemon), or name its API with --host",
        401 | 403 => "give --basic-auth user:password, or CLUSTER_CREDENTIALS",
        _ => "look at the peer's log",
    };
    let what = if error.code == 0 { error.message.clone() } else { format!("{}: {}", error.code, error.message) };
    Finding::fault("api", format!("the peer at {host} does not answer: {what}"), fix)
}

fn kubo(peer: &PeerInfo, facts: &ApiFacts) -> Vec<Finding> {
    let all = std::iter::once(peer).chain(facts.peers.iter().filter(|other| other.id != peer.id));
    let ill = all.filter(|peer| peer.error.is_empty() && !peer.ipfs.error.is_empty());
    let finding = |peer: &PeerInfo| {
        let what = format!("the IPFS daemon of {} does not answer: {}", peer.peername, peer.ipfs.error);
        Finding::fault("kubo", what, "start it; \"ipfs-cluster-service doctor\" on that machine says more")
    };
    ill.map(finding).collect()
}

fn peers(facts: &ApiFacts) -> Vec<Finding> {
    let gone = facts.peers.iter().filter(|peer| !peer.error.is_empty());
    let finding = |peer: &PeerInfo| {
        let what = format!("peer {} does not answer: {}", peer.id, peer.error);
        Finding::fault("peers", what, "start it, or open its swarm port (9096) in the firewall")
    };
    gone.map(finding).collect()
}

/// A metric ends by its sender's clock and was received by ours: what is left over beside our own is the difference.
fn clock(peer: &PeerInfo, facts: &ApiFacts) -> Vec<Finding> {
    let left = |ping: &Metric| ping.expire.saturating_sub(ping.received_at);
    let Some(own) = facts.pings.iter().find(|ping| ping.peer == peer.id).map(left) else { return Vec::new() };
    let off = facts.pings.iter().filter(|ping| left(ping).abs_diff(own) > SKEW_MAX_NANOS);
    let finding = |ping: &Metric| {
        let seconds = left(ping).abs_diff(own) / 1_000_000_000;
        let what = format!("the clocks of this peer and of {} differ by some {seconds} seconds", ping.peer);
        let fix =
            "let an NTP client set both (timedatectl set-ntp true), or give both one cluster.monitor_ping_interval";
        Finding::fault("clock", what, fix)
    };
    off.map(finding).collect()
}

fn disk(facts: &ApiFacts) -> Vec<Finding> {
    let full = facts.freespace.iter().filter(|metric| metric.valid && metric.weight < FREE_MIN);
    let finding = |metric: &Metric| {
        let what = format!("the IPFS repository of {} has only {} MiB left", metric.peer, metric.weight >> 20);
        Finding::fault("disk", what, "raise Datastore.StorageMax of its Kubo, run \"ipfs repo gc\", or add a disk")
    };
    full.map(finding).collect()
}

fn alerts(facts: &ApiFacts) -> Vec<Finding> {
    let finding = |alert: &Alert| {
        let what = format!("metric {} of {} is missing", alert.metric.name, alert.metric.peer);
        Finding::warning("alerts", what, "see whether that peer runs: \"ipfs-cluster-ctl peers ls\"")
    };
    facts.alerts.iter().map(finding).collect()
}
