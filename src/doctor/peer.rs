//! A peer's folder, before it runs or while it does.
use std::collections::BTreeSet;
use std::time::Duration;

use super::finding::{Finding, Report};
use crate::config::{Config, Endpoint, Fault};
use crate::model::{Multiaddr, PeerId, Trust};
use crate::wire::kubo::is_too_old;

/// The checks, in the order in which they are told.
const CHECKS: [&str; 11] = [
    "configuration",
    "secret",
    "identity",
    "ports",
    "addresses",
    "clock",
    "trust",
    "engine",
    "kubo",
    "disk",
    "template",
];

/// Clocks that differ by more make metrics expire too early.
const SKEW_MAX: Duration = Duration::from_secs(5);
/// Less is a disk that commits are refused on soon.
const FREE_MIN: u64 = 64 << 20;
/// Less is worth a word.
const FREE_LOW: u64 = 1 << 30;

/// A listener, and why it cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The key of its address.
    pub key: &'static str,
    /// Its address.
    pub address: String,
    /// Why it is not free; [`None`] when it is.
    pub error: Option<String>,
}

/// What answered where Kubo should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KuboAnswer {
    /// Kubo, of this version.
    Version(String),
    /// Something else, with this status.
    Other(u16),
    /// Nothing.
    Nothing(String),
}

/// What is known of a peer.
#[derive(Debug)]
pub struct Facts {
    /// Its configuration, or all that is wrong with it.
    pub config: Result<Config, Vec<Fault>>,
    /// Keys that nothing reads.
    pub unknown_keys: Vec<String>,
    /// Where its configuration is when it is elsewhere, and why it is of no use.
    pub template: Option<(String, Option<String>)>,
    /// Who it is, or why nobody.
    pub identity: Result<PeerId, String>,
    /// Files with secrets that others may read.
    pub open_files: Vec<String>,
    /// Whether another process works in the folder, which then has the ports.
    pub is_running: bool,
    /// A lock file that no program takes.
    pub stale_lock: Option<String>,
    /// Its listeners.
    pub ports: Vec<Port>,
    /// Configured peers that cannot be reached, with the reason.
    pub unreachable: Vec<(Multiaddr, String)>,
    /// By how much clocks of others differ, and whose.
    pub skews: Vec<(String, Duration)>,
    /// The epoch of the pinset on disk, or why it cannot be read.
    pub epoch: Result<Option<u32>, String>,
    /// The folder of a store of Go's program.
    pub go_store: Option<String>,
    /// What Kubo says.
    pub kubo: Option<KuboAnswer>,
    /// Bytes that are free, and where.
    pub free: Result<u64, String>,
}

/// Makes every check.
#[must_use]
pub fn examine(facts: &Facts) -> Report {
    let mut findings = faults(facts);
    findings.extend(configuration(facts));
    findings.extend(identity(facts));
    findings.extend(clock(facts));
    findings.extend(disk(facts));
    findings.extend(template(facts));
    if let Ok(config) = &facts.config {
        findings.extend(secret(config));
        findings.extend(ports(facts, config));
        findings.extend(addresses(facts, config));
        findings.extend(trust(config));
        findings.extend(engine(facts, config));
        findings.extend(kubo(facts, config));
    }
    Report::of(&CHECKS, findings)
}

/// Values that are wrong belong to the check that they are about.
fn faults(facts: &Facts) -> Vec<Finding> {
    let found = |fault: &Fault| {
        let (path, what) = (fault.path.as_str(), fault.to_string());
        match path {
            "cluster.secret" => {
                Finding::fault("secret", what, "put the cluster's secret there: 64 hex digits, the same at all peers")
            }
            "consensus.crdt.engine" => {
                Finding::fault("engine", what, "set CLUSTER_CRDT_ENGINE=automerge, at all peers of the cluster")
            }
            "consensus.crdt.trusted_peers" => Finding::fault("trust", what, "list peer IDs there, or \"*\""),
            "" => Finding::fault("configuration", what, "run \"ipfs-cluster-service init\", or put service.json back"),
            _ if path.contains("address") => Finding::fault("addresses", what, format!("correct {path}")),
            _ => Finding::fault("configuration", what, format!("correct {path}")),
        }
    };
    facts.config.as_ref().err().into_iter().flatten().map(found).collect()
}

fn configuration(facts: &Facts) -> Vec<Finding> {
    let unknown = |key: &String| Finding::warning("configuration", key, "correct its spelling, or remove it");
    let mut found: Vec<Finding> = facts.unknown_keys.iter().map(unknown).collect();
    if let Some(lock) = &facts.stale_lock {
        let fix = format!("remove {lock} when no ipfs-cluster-service runs");
        found.push(Finding::fault("configuration", format!("{lock} is not empty, so that no program takes it"), fix));
    }
    found
}

fn secret(config: &Config) -> Vec<Finding> {
    if config.cluster.secret.is_some() {
        return Vec::new();
    }
    let fix =
        "set cluster.secret to 64 hex digits (od -vN32 -An -tx1 /dev/urandom | tr -d ' \\n'), the same at all peers";
    vec![Finding::warning("secret", "cluster.secret is empty: anybody who reaches the swarm port can join", fix)]
}

fn identity(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Err(cause) = &facts.identity {
        let fix = "put the peer's identity.json back, or remove it and run \"init\" for a new peer ID";
        found.push(Finding::fault("identity", cause, fix));
    }
    let open = |file: &String| {
        let what = format!("{file} has secrets, and others may read it");
        Finding::fault("identity", what, format!("chmod 600 {file}"))
    };
    found.extend(facts.open_files.iter().map(open));
    found
}

fn ports(facts: &Facts, config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for port in facts.ports.iter().filter(|port| !port.address.ends_with("/tcp/0")) {
        if !seen.insert(&port.address) {
            let what = format!("{} is the address of two listeners", port.address);
            found.push(Finding::fault("ports", what, format!("give {} a port of its own", port.key)));
        }
    }
    let taken = facts.ports.iter().filter(|_| !facts.is_running).filter_map(|port| Some((port, port.error.as_ref()?)));
    found.extend(taken.map(|(port, cause)| {
        let what = format!("{} ({}) cannot be listened on: {cause}", port.address, port.key);
        Finding::fault("ports", what, format!("end the program that has it, or change {}", port.key))
    }));
    let restapi = config.restapi.iter().filter(|api| api.basic_auth_credentials.is_none());
    let public = restapi.flat_map(|api| &api.http_listen_multiaddress).filter(|endpoint| !is_local(endpoint));
    found.extend(public.map(|endpoint| {
        let what = format!("the REST API at {endpoint} asks for no password");
        Finding::warning("ports", what, "set api.restapi.basic_auth_credentials, or listen on 127.0.0.1")
    }));
    found
}

/// Whether only this machine reaches it.
fn is_local(endpoint: &Endpoint) -> bool {
    let text = endpoint.to_string();
    ["/unix/", "/ip4/127.", "/ip6/::1/"].iter().any(|local| text.starts_with(local))
}

fn addresses(facts: &Facts, config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    let own = facts.identity.as_ref().map(|id| format!("/p2p/{id}")).unwrap_or_default();
    for address in config.cluster.peer_addresses.iter().map(ToString::to_string) {
        if !address.contains("/p2p/") {
            let what = format!("cluster.peer_addresses has {address}, which names no peer");
            found.push(Finding::fault("addresses", what, format!("write {address}/p2p/<peer ID>")));
        } else if !own.is_empty() && address.ends_with(&own) {
            let what = format!("cluster.peer_addresses has {address}, which is this peer");
            found.push(Finding::warning("addresses", what, "remove it"));
        }
    }
    for announced in config.cluster.announce_multiaddress.iter().map(ToString::to_string) {
        if announced.contains("/0.0.0.0/") || announced.contains("/ip6/::/") || announced.contains("/tcp/0") {
            let what = format!("cluster.announce_multiaddress has {announced}, which nobody can dial");
            found.push(Finding::fault("addresses", what, "announce the address and port that others reach"));
        }
    }
    let unreachable = facts.unreachable.iter().map(|(address, cause)| {
        let fix = "start that peer, open its port in the firewall, or correct cluster.peer_addresses";
        Finding::warning("addresses", format!("{address} cannot be reached: {cause}"), fix)
    });
    found.extend(unreachable);
    found
}

fn clock(facts: &Facts) -> Vec<Finding> {
    let off = facts.skews.iter().filter(|(_, skew)| *skew > SKEW_MAX);
    let finding = |(whose, skew): &(String, Duration)| {
        let what = format!("this clock and that of {whose} differ by {} seconds", skew.as_secs());
        Finding::fault("clock", what, "let an NTP client set both clocks (timedatectl set-ntp true)")
    };
    off.map(finding).collect()
}

fn trust(config: &Config) -> Vec<Finding> {
    let key = "consensus.crdt.trusted_peers";
    match &config.crdt.trusted_peers {
        Trust::Only(peers) if peers.is_empty() => {
            let fix = format!("list the peers that may change the pinset in {key}, or \"*\"");
            vec![Finding::fault("trust", format!("{key} is empty: this peer takes changes of nobody"), fix)]
        }
        Trust::Everyone if config.cluster.secret.is_none() => {
            let what = format!("{key} is \"*\" and there is no secret: any stranger can change the pinset");
            vec![Finding::fault("trust", what, format!("set cluster.secret, or list peers in {key}"))]
        }
        Trust::Everyone if config.cluster.follower_mode => {
            let what = format!("a follower with {key} \"*\" takes changes of other followers");
            vec![Finding::warning("trust", what, format!("list the publishers in {key}"))]
        }
        Trust::Everyone | Trust::Only(_) => Vec::new(),
    }
}

fn engine(facts: &Facts, config: &Config) -> Vec<Finding> {
    let configured = config.crdt.epoch;
    let mut found = Vec::new();
    match &facts.epoch {
        Ok(Some(epoch)) if u64::from(*epoch) != configured => {
            let what = format!("the pinset is of epoch {epoch}, consensus.crdt.epoch is {configured}");
            let fix = "run \"ipfs-cluster-service state new-epoch\" again, or set the epoch back";
            found.push(Finding::fault("engine", what, fix));
        }
        // A peer that runs has the store to itself.
        Err(cause) if !facts.is_running => {
            let fix = "run \"ipfs-cluster-service state verify\"; a peer can also get the pinset anew from others";
            found.push(Finding::fault("engine", format!("the pinset cannot be read: {cause}"), fix));
        }
        Ok(None) => found.extend(facts.go_store.as_ref().map(|folder| {
            let what = format!("{folder} has a pinset of Go's program, which this one does not read");
            let fix = "export it with Go's \"state export\", then run \"ipfs-cluster-service state import\"";
            Finding::warning("engine", what, fix)
        })),
        Ok(Some(_)) | Err(_) => {}
    }
    found
}

fn kubo(facts: &Facts, config: &Config) -> Vec<Finding> {
    let node = &config.ipfshttp.node_multiaddress;
    let key = "ipfs_connector.ipfshttp.node_multiaddress";
    let found = match &facts.kubo {
        Some(KuboAnswer::Nothing(cause)) => {
            let what = format!("no IPFS daemon answers at {node}: {cause}");
            Some(Finding::fault("kubo", what, format!("start it (ipfs daemon), or correct {key}")))
        }
        Some(KuboAnswer::Other(status)) => {
            let what = format!("what answers at {node} is not Kubo's RPC: status {status}");
            let fix = format!("set {key} to Addresses.API of Kubo (usually port 5001), not to its gateway");
            Some(Finding::fault("kubo", what, fix))
        }
        Some(KuboAnswer::Version(version)) => old(version),
        None => None,
    };
    found.into_iter().collect()
}

fn old(version: &str) -> Option<Finding> {
    match is_too_old(version) {
        Ok(what) => what.map(|what| Finding::fault("kubo", what, "update Kubo")),
        Err(what) => Some(Finding::warning("kubo", what, "use a release of Kubo")),
    }
}

fn disk(facts: &Facts) -> Vec<Finding> {
    let mib = |bytes: u64| bytes >> 20;
    let found = match &facts.free {
        Err(cause) => Some(Finding::fault("disk", cause, "make the folder, or let this user write there")),
        Ok(free) if *free < FREE_MIN => {
            let what = format!("only {} MiB are free: pins are refused below {} MiB", mib(*free), mib(FREE_MIN));
            Some(Finding::fault("disk", what, "free some space, or move the folder with --config"))
        }
        Ok(free) if *free < FREE_LOW => {
            Some(Finding::warning("disk", format!("only {} MiB are free", mib(*free)), "free some space"))
        }
        Ok(_) => None,
    };
    found.into_iter().collect()
}

fn template(facts: &Facts) -> Vec<Finding> {
    let Some((source, error)) = &facts.template else { return Vec::new() };
    let mut found = Vec::new();
    if let Some(cause) = error {
        let fix = "let the source answer with a service.json, or run \"init --force\" with another one";
        found.push(Finding::fault("template", cause, fix));
    }
    let is_here = ["http://127.", "http://localhost", "http://[::1]"].iter().any(|here| source.starts_with(here));
    if source.starts_with("http://") && !is_here {
        let what = format!("{source} is fetched in the clear, with the cluster's secret in it");
        found.push(Finding::warning("template", what, "serve it over https"));
    }
    found
}
