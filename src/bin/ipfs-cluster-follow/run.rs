//! `run`: the follower itself.
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use ipfs_cluster::cluster::offline;
use ipfs_cluster::config::{Environment, Lock};
use ipfs_cluster::follow::Profile;
use ipfs_cluster::task::{self, Fatal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::common::{Control, Log, ReadTrust, Reload, run_peer, watch_signals};
use crate::exit::Failure;
use crate::ipfs;
use crate::place::Place;

/// How long the IPFS daemon is waited for.
const IPFS_WAIT_MAX: Duration = Duration::from_mins(2);
/// How often it is asked for.
const IPFS_ASK: Duration = Duration::from_secs(1);
/// After how many questions the person is told again.
const ASKS_A_LINE: u32 = 10;

/// The executor of everything that waits.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|e| Failure::new("starting the executor", e))
}

/// Runs a follower until a signal or a failure ends it.
pub fn run(place: &Place, environment: &Environment, log: Log) -> Result<(), Failure> {
    println!("Starting the IPFS Cluster follower peer for \"{}\".", place.name);
    println!("CTRL-C to stop it.");
    println!("Checking if IPFS is online (will wait for 2 minutes)...");
    runtime()?.block_on(async {
        let (stop, hangup) = (CancellationToken::new(), Arc::new(Notify::new()));
        let signals = watch_signals(stop.clone(), hangup.clone());
        let _signals = signals.map_err(|e| Failure::new("watching for signals", e))?;
        let (profile, _lock) = tokio::select! {
            () = stop.cancelled() => return Err(Failure::Stopped),
            prepared = prepare(place, environment) => prepared?,
        };
        profile.notes.infos.iter().for_each(|info| tracing::info!("{info}"));
        profile.notes.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let control = Control { stop, reload: Reload { hangup, read: trust_of(&place.folder), log } };
        let ended = run_peer(profile.config, profile.identity, Vec::new(), control).await;
        ended.map_err(|e| Failure::Other(e.to_string()))
    })
}

/// Whom the template trusts as it now is; one that is of no use changes nothing.
fn trust_of(folder: &Path) -> ReadTrust {
    let folder = folder.to_owned();
    Box::new(move || {
        let folder = folder.clone();
        async move {
            let profile = Profile::load(&folder, &Environment::of_process()).await?;
            match profile.notes.warnings.into_iter().next() {
                Some(warning) if !profile.is_fresh => Err(warning.into()),
                _ => Ok(profile.config.crdt.trusted_peers),
            }
        }
        .boxed()
    })
}

async fn prepare(place: &Place, environment: &Environment) -> Result<(Profile, Lock), Failure> {
    let lock = Lock::take(&place.folder)
        .map_err(|e| Failure::new(format!("the follower peer for \"{}\" runs already", place.name), e))?;
    wait_for_ipfs().await?;
    let profile = Profile::load(&place.folder, environment).await;
    let profile =
        profile.map_err(|e| Failure::new(format!("reading the configurations in {}", place.folder.display()), e))?;
    follow_epoch(&place.folder, profile.config.crdt.epoch)?;
    Ok((profile, lock))
}

/// A follower has nothing of its own: when its cluster has begun anew, it does, too.
fn follow_epoch(folder: &Path, epoch: u64) -> Result<(), Failure> {
    let failed = |e: Fatal| Failure::new("reading the pinset", e);
    match offline::epoch(folder).map_err(failed)? {
        Some(found) if u64::from(found) < epoch => {
            tracing::warn!(
                "the cluster has begun epoch {epoch}: the pinset of epoch {found} is removed, and fetched anew"
            );
            offline::cleanup(folder).map_err(|e| failed(e.into()))
        }
        Some(_) | None => Ok(()),
    }
}

async fn wait_for_ipfs() -> Result<(), Failure> {
    let endpoint = ipfs::endpoint();
    let due = task::now() + IPFS_WAIT_MAX;
    let mut asks = 0;
    while task::now() < due {
        if asks % ASKS_A_LINE == 0 {
            println!("waiting for IPFS to become available on {endpoint}...");
        }
        if ipfs::is_online(&endpoint).await {
            return Ok(());
        }
        asks += 1;
        tokio::time::sleep(IPFS_ASK).await;
    }
    Err(Failure::NoIpfs)
}
