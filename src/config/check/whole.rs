//! All checks, in the order of the sections.
use std::path::Path;

use super::fault::{Faults, Notes};
use super::resolve::{Resolved, resolve};
use super::{api, cluster, parts};
use crate::config::file::{Environment, File, SECTIONS, is_opaque};
use crate::config::typed::{Config, InformersConfig};

/// Checks a file under an environment.
///
/// # Errors
/// All faults, in the order of the sections.
pub fn check(file: &File, environment: &Environment, folder: &Path) -> Result<(Config, Notes), Faults> {
    let mut faults = Faults::default();
    let resolved = resolve(file, environment, &mut faults);
    let mut notes = notes(file, &resolved);
    let config = config(&resolved, &mut faults, &mut notes, folder);
    match config {
        Some(config) => faults.or((config, notes)),
        None => Err(faults),
    }
}

/// `None` goes with at least one fault.
fn config(resolved: &Resolved, faults: &mut Faults, notes: &mut Notes, folder: &Path) -> Option<Config> {
    let cluster = cluster::cluster(resolved, faults, notes, folder);
    let follower = parts::follower(resolved, faults, folder);
    let crdt = cluster::crdt(resolved, faults, notes, folder);
    let restapi = api::http(resolved, faults, folder, "api.restapi");
    let pinsvcapi = api::http(resolved, faults, folder, "api.pinsvcapi");
    let ipfsproxy = api::proxy(resolved, faults, folder);
    let ipfshttp = parts::ipfshttp(resolved, faults, folder);
    let tracker = parts::tracker(resolved, faults, folder);
    let monitor = parts::monitor(resolved, faults, folder);
    let allocator = parts::allocator(resolved, faults, folder);
    let informers = parts::informers(resolved, faults, folder);
    if informers == InformersConfig::default() && faults.0.is_empty() {
        faults.add("informer", "no informers are passed");
    }
    Some(Config {
        folder: folder.to_owned(),
        cluster,
        follower,
        crdt: crdt?,
        restapi,
        pinsvcapi,
        ipfsproxy: ipfsproxy.ok()?,
        ipfshttp: ipfshttp?,
        tracker,
        monitor,
        allocator,
        informers,
        metrics: parts::metrics(resolved, faults, folder).ok()?,
        tracing: parts::tracing(resolved, faults, folder),
    })
}

/// Returns a warning for each key that no part of the program knows.
pub fn unknown_keys(file: &File) -> impl Iterator<Item = String> {
    file.unknown_keys().iter().map(|key| format!("service.json: the key {key} is unknown and ignored"))
}

/// What can be said of a file whatever its values are.
fn notes(file: &File, resolved: &Resolved) -> Notes {
    let mut notes = Notes::default();
    notes.warnings.extend(unknown_keys(file));
    for (path, what) in [("api.pinsvcapi", "the pinning service API"), ("api.ipfsproxy", "the IPFS proxy")] {
        if resolved.is_present(path) {
            notes.warnings.push(format!("{path} is configured, but this version does not serve {what} yet"));
        }
    }
    for section in SECTIONS.iter().filter(|s| s.group == "datastore" && is_opaque(s)) {
        let options = file.section(section).and_then(serde_json::Value::as_object);
        if options.is_some_and(|options| !options.is_empty()) {
            notes.infos.push(format!("{} is accepted and not used: the peer has its own store", section.path()));
        }
    }
    notes
}

#[cfg(test)]
#[path = "fuzz_tests.rs"]
mod fuzz_tests;
