//! `daemon`: the peer itself.
use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use ipfs_cluster::config::{Config, Environment, Identity, LoadError, Lock, Notes, load, load_config, parse_multiaddr};
use ipfs_cluster::model::{Multiaddr, PeerId};
use libp2p::multiaddr::Protocol;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::common::{Control, Log, ReadTrust, Reload, Values, run_peer, watch_signals};
use crate::exit::Failure;

/// Runs the peer of a folder until a signal or a failure ends it.
pub fn run(folder: &Path, values: &Values, log: Log) -> Result<(), Failure> {
    tracing::info!("Initializing. For verbose output run with \"-l debug\". Please wait...");
    let bootstrap = bootstrap(values.text("bootstrap"))?;
    if values.is_on("init") {
        crate::init::run_unless_there(folder)?;
    }
    let _lock = Lock::take(folder).or_else(|e| without_folder(folder, e))?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let (mut config, identity, notes) = load(folder, &Environment::of_process()).await.map_err(loading)?;
        tell(&notes);
        apply(&mut config, values, &bootstrap);
        let read = trust_of(folder, values, &bootstrap);
        run_until_signal(config, identity, bootstrap, (read, log)).await
    })
}

/// A folder that is not there has no configuration, which is the better thing to say.
fn without_folder(folder: &Path, error: ipfs_cluster::config::LockError) -> Result<Lock, Failure> {
    match ipfs_cluster::config::File::read(&folder.join("service.json")) {
        Err(e) if !folder.exists() => Err(loading(e.into())),
        Ok(_) | Err(_) => Err(Failure::new("obtaining execution lock", error)),
    }
}

/// The executor of everything that waits.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|e| Failure::new("starting the executor", e))
}

/// Says what failed while a configuration was loaded, in Go's words.
pub fn loading(error: LoadError) -> Failure {
    if let LoadError::Faults(faults) = &error
        && let [fault] = faults.0.as_slice()
    {
        match fault.path.as_str() {
            "consensus" => return Failure::new("creating state manager", &fault.message),
            "informer" => return Failure::new("starting cluster", &fault.message),
            _ => {}
        }
    }
    Failure::new("loading configurations", error)
}

/// Logs what is worth a line.
pub fn tell(notes: &Notes) {
    notes.infos.iter().for_each(|info| tracing::info!("{info}"));
    notes.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
}

fn bootstrap(list: &str) -> Result<Vec<Multiaddr>, Failure> {
    let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| {
            parse_multiaddr(item).map_err(|e| Failure::new(format!("parsing bootstrap multiaddress ({item})"), e))
        })
        .collect()
}

/// Puts the flags over the configuration, for this run only.
fn apply(config: &mut Config, values: &Values, bootstrap: &[Multiaddr]) {
    trust_bootstrap(config, values, bootstrap);
    if values.is_on("leave") {
        config.cluster.leave_on_shutdown = true;
    }
    if let (true, Some(metrics)) = (values.is_on("stats"), config.metrics.as_mut()) {
        metrics.enable_stats = true;
    }
    if let (true, Some(tracing)) = (values.is_on("tracing"), config.tracing.as_mut()) {
        tracing.enable_tracing = true;
    }
}

fn trust_bootstrap(config: &mut Config, values: &Values, bootstrap: &[Multiaddr]) {
    if !values.is_on("no-trust") {
        config.trust(bootstrap.iter().filter_map(peer_of));
    }
}

/// Whom a start with these flags would trust, with the configuration as it then is.
fn trust_of(folder: &Path, values: &Values, bootstrap: &[Multiaddr]) -> ReadTrust {
    let (folder, values, bootstrap) = (folder.to_owned(), values.clone(), bootstrap.to_vec());
    Box::new(move || {
        let (folder, values, bootstrap) = (folder.clone(), values.clone(), bootstrap.clone());
        async move {
            let (mut config, _) = load_config(&folder, &Environment::of_process()).await?;
            trust_bootstrap(&mut config, &values, &bootstrap);
            Ok(config.crdt.trusted_peers)
        }
        .boxed()
    })
}

fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    address.iter().find_map(|part| if let Protocol::P2p(peer) = part { Some(peer) } else { None })
}

async fn run_until_signal(
    config: Config,
    identity: Identity,
    bootstrap: Vec<Multiaddr>,
    (read, log): (ReadTrust, Log),
) -> Result<(), Failure> {
    let (stop, hangup) = (CancellationToken::new(), Arc::new(Notify::new()));
    let signals = watch_signals(stop.clone(), hangup.clone());
    let _signals = signals.map_err(|e| Failure::new("watching for signals", e))?;
    let control = Control { stop, reload: Reload { hangup, read, log } };
    run_peer(config, identity, bootstrap, control).await.map_err(|e| Failure::new(e.doing, e.cause))
}
