//! `doctor`: what is wrong with a peer, and what to do.
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ipfs_cluster::cluster::offline;
use ipfs_cluster::config::{
    Config, Endpoint, Environment, Fault, File, Identity, LoadError, Lock, Notes, check, load_file, shown, unknown_keys,
};
use ipfs_cluster::doctor::{Facts, KuboAnswer, Port, Report, examine};
use ipfs_cluster::model::Multiaddr;
use ipfs_cluster::store::free_space;
use ipfs_cluster::task;
use time::OffsetDateTime;

use crate::common::{Values, probe};
use crate::daemon::runtime;
use crate::exit::Failure;

/// Stores of Go's program.
const GO_STORES: [&str; 4] = ["pebble", "badger3", "badger", "leveldb"];

/// Examines the peer of a folder, prints what was found and says whether all is well.
pub fn run(folder: &Path, values: &Values) -> Result<bool, Failure> {
    let report = examine(&runtime()?.block_on(facts(folder)));
    match values.text("encoding") {
        "text" => print!("{}", report.text()),
        "json" => println!("{}", json(&report)?),
        _ => return Err(Failure::new("", "unsupported encoding")),
    }
    Ok(report.ok)
}

fn json(report: &Report) -> Result<String, Failure> {
    serde_json::to_string_pretty(report).map_err(|e| Failure::new("writing the report", e))
}

async fn facts(folder: &Path) -> Facts {
    let environment = Environment::of_process();
    let (loaded, template) = file(folder).await;
    let keys = loaded.as_ref().map_or_else(|_| Vec::new(), |file| unknown_keys(file).collect());
    let config = loaded.and_then(|file| check(&file, &environment, folder).map_err(|faults| faults.0));
    let config = config.map(|(config, _)| config);
    let (is_running, stale_lock) = lock(folder);
    let (kubo, skew) = match &config {
        Ok(config) => kubo(&config.ipfshttp.node_multiaddress).await,
        Err(_) => (None, None),
    };
    let peers = config.as_ref().map(|config| config.cluster.peer_addresses.clone()).unwrap_or_default();
    Facts {
        unknown_keys: keys,
        template,
        identity: Identity::load(&folder.join("identity.json"), &environment)
            .map(|identity| identity.id())
            .map_err(|(_, e)| format!("{}: {e}", folder.join("identity.json").display())),
        open_files: ["identity.json", "service.json"].iter().filter_map(|name| open(&folder.join(name))).collect(),
        is_running,
        stale_lock,
        ports: config.as_ref().map(ports).unwrap_or_default(),
        unreachable: unreachable(peers).await,
        skews: skew.into_iter().map(|skew| ("the IPFS daemon's machine".to_owned(), skew)).collect(),
        epoch: offline::epoch(folder).map_err(|e| e.to_string()),
        go_store: go_store(folder),
        kubo,
        free: free_space(folder).map_err(|e| format!("{}: {e}", folder.display())),
        config,
    }
}

/// The file as it counts, and where it is when it is elsewhere.
async fn file(folder: &Path) -> (Result<File, Vec<Fault>>, Option<(String, Option<String>)>) {
    let source = File::read(&folder.join("service.json")).ok().and_then(|file| file.source().map(shown));
    let loaded = load_file(folder, &mut Notes::default()).await;
    match (loaded, source) {
        (Ok(file), source) => (Ok(file), source.map(|source| (source, None))),
        // What is wrong with a template is told of the template.
        (Err(error), Some(source)) => (Err(Vec::new()), Some((source, Some(error.to_string())))),
        (Err(error), None) => (Err(vec![unreadable(&error)]), None),
    }
}

fn unreadable(error: &LoadError) -> Fault {
    Fault { path: String::new(), message: error.to_string() }
}

/// A file that more than its owner may read.
fn open(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| path.display().to_string())
}

/// Whether another process has the lock, and a lock file that nobody can take.
fn lock(folder: &Path) -> (bool, Option<String>) {
    let path = folder.join("cluster.lock");
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.len() > 0 => (false, Some(path.display().to_string())),
        Ok(_) => (Lock::take(folder).is_err(), None),
        Err(_) => (false, None),
    }
}

fn ports(config: &Config) -> Vec<Port> {
    let swarm =
        config.cluster.listen_multiaddress.iter().map(|address| ("cluster.listen_multiaddress", address.clone()));
    let api = config.restapi.iter().flat_map(|api| &api.http_listen_multiaddress);
    let api = api.filter_map(|endpoint| match endpoint {
        Endpoint::Address(address) => Some(("api.restapi.http_listen_multiaddress", address.clone())),
        Endpoint::Unix(_) => None,
    });
    let tried = swarm.chain(api).filter_map(|(key, address)| {
        let error = TcpListener::bind(probe::target(&address)?).err().map(|e| e.to_string());
        Some(Port { key, address: address.to_string(), error })
    });
    tried.collect()
}

/// The peers whose port does not answer.
async fn unreachable(peers: Vec<Multiaddr>) -> Vec<(Multiaddr, String)> {
    let dials: FuturesUnordered<_> = peers
        .into_iter()
        .map(|address| async move { probe::connect(&address).await.err().map(|e| (address, e.to_string())) })
        .collect();
    dials.filter_map(|dialled| async move { dialled }).collect().await
}

/// What Kubo says, and how far its clock is from ours.
async fn kubo(node: &Endpoint) -> (Option<KuboAnswer>, Option<Duration>) {
    let answer = match probe::post(node, "/api/v0/version").await {
        Ok(answer) => answer,
        Err(e) => return (Some(KuboAnswer::Nothing(e.to_string())), None),
    };
    let skew = answer.date.and_then(skew);
    let version = serde_json::from_slice::<serde_json::Value>(&answer.body).ok();
    let version = version.as_ref().and_then(|version| version["Version"].as_str()).map(str::to_owned);
    let other = KuboAnswer::Other(answer.status);
    (Some(version.filter(|_| answer.status == 200).map_or(other, KuboAnswer::Version)), skew)
}

fn skew(date: OffsetDateTime) -> Option<Duration> {
    let here = OffsetDateTime::from_unix_timestamp_nanos(i128::from(task::wall().nanos())).ok()?;
    Some((here - date).unsigned_abs())
}

fn go_store(folder: &Path) -> Option<String> {
    let found = GO_STORES.iter().map(|name| folder.join(name)).find(|path| path.is_dir());
    found.map(|path| path.display().to_string())
}
