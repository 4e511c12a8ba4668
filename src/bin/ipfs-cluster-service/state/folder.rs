//! The folder of a peer that does not run: its lock, what it is configured as, and how it is emptied.
use std::io;
use std::path::Path;

use ipfs_cluster::cluster::offline;
use ipfs_cluster::config::{Config, Environment, File, Identity, Lock, Notes, load, load_file};

use crate::common::{Values, confirm};
use crate::daemon::{loading, runtime};
use crate::exit::Failure;

/// Takes the lock of a folder with a configuration that is in order.
pub fn ready(folder: &Path) -> Result<(Lock, Config, Identity), Failure> {
    let lock = locked(folder)?;
    let (config, identity, _) = runtime()?.block_on(load(folder, &Environment::of_process())).map_err(loading)?;
    Ok((lock, config, identity))
}

/// Takes the lock of a folder with a configuration, whatever it says.
pub fn locked(folder: &Path) -> Result<Lock, Failure> {
    if !folder.join("service.json").exists() {
        let missing = File::read(&folder.join("service.json"));
        return Err(missing.map_or_else(|e| loading(e.into()), |_| Failure::new("loading configurations", "try again")));
    }
    Lock::take(folder).map_err(|e| Failure::new("obtaining execution lock", e))
}

/// Removes the pinset.
pub fn cleanup(folder: &Path, values: &Values) -> Result<(), Failure> {
    let _lock = ready(folder)?;
    // Two spaces, as scripts know it.
    let question = "The peer state will be removed.  Existing pins may be lost. Continue?";
    if !values.is_on("force") && !confirm(question) {
        return Ok(());
    }
    offline::cleanup(folder).map_err(|e| Failure::new("cleaning state", e))?;
    tracing::info!("data correctly cleaned up");
    Ok(())
}

/// Says why there is no graph of blocks to show or to mark: `state crdt` is about the merkle engine's.
pub fn no_dag(folder: &Path) -> Failure {
    let file = match runtime().map(|runtime| runtime.block_on(load_file(folder, &mut Notes::default()))) {
        Ok(Ok(file)) => file,
        Ok(Err(e)) => return loading(e),
        Err(failure) => return failure,
    };
    if file.has("consensus.raft") {
        return Failure::new("", "crdt subcommands can only be run on peers initialized with crdt consensus");
    }
    Failure::new(
        "",
        "crdt subcommands can only be run on peers with the merkle engine, which this version does not have: \
         \"state verify\" checks the pinset of this peer",
    )
}

/// Says why a file does not open, in Go's words where it has some.
pub fn open_error(path: &str, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        return format!("open {path}: no such file or directory");
    }
    format!("open {path}: {error}")
}
