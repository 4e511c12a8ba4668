//! `state`: the pinset of a peer that does not run.
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use ipfs_cluster::config::{Config, Environment, Identity, Lock, load, parse_peer_id};

use crate::common::{Run, Values, confirm};
use crate::daemon::{loading, runtime};
use crate::exit::Failure;
use crate::pinset::{self, Overrides};

/// Writes the pinset to stdout or a file.
pub fn export(folder: &Path, values: &Values) -> Result<(), Failure> {
    let _lock = ready(folder)?;
    let doing = "exporting state";
    let count = match values.text("file") {
        "" => pinset::export(folder, &mut BufWriter::new(io::stdout().lock())),
        path => {
            let mut file = BufWriter::new(
                File::create(path).map_err(|e| Failure::new("creating export file", open_error(path, &e)))?,
            );
            pinset::export(folder, &mut file).and_then(|count| Ok(file.flush().map(|()| count)?))
        }
    };
    let count = count.map_err(|e| Failure::new(doing, e))?;
    tracing::info!(pins = count, "state successfully exported");
    Ok(())
}

/// Replaces the pinset by what a file or stdin holds.
pub fn import(folder: &Path, run: &Run) -> Result<(), Failure> {
    let (_lock, config, identity) = ready(folder)?;
    let question = "The pinset (state) of this peer will be replaced. Continue?";
    if !run.values.is_on("force") && !confirm(question) {
        return Ok(());
    }
    let mut input: Box<dyn BufRead> = if let Some(path) = run.arguments.first() {
        let file = File::open(path).map_err(|e| Failure::new("reading import file", open_error(path, &e)))?;
        Box::new(BufReader::new(file))
    } else {
        println!("reading from stdin, Ctrl-D to finish");
        Box::new(BufReader::new(io::stdin()))
    };
    let bar = bar();
    let mut progress = |pins| bar.set_position(pins);
    let overrides = overrides(&run.values);
    let importing = pinset::import((&config, &identity), &mut input, &overrides, &mut progress);
    let imported = runtime()?.block_on(importing);
    bar.finish_and_clear();
    let count = imported.map_err(|e| Failure::new("importing state", e))?;
    tracing::info!(pins = count, "state successfully imported. Make sure all peers have consistent states");
    Ok(())
}

/// Removes the pinset.
pub fn cleanup(folder: &Path, values: &Values) -> Result<(), Failure> {
    let _lock = ready(folder)?;
    // Two spaces, as scripts know it.
    let question = "The peer state will be removed.  Existing pins may be lost. Continue?";
    if !values.is_on("force") && !confirm(question) {
        return Ok(());
    }
    pinset::cleanup(folder).map_err(|e| Failure::new("cleaning state", e))?;
    tracing::info!("data correctly cleaned up");
    Ok(())
}

/// What `state crdt` says: those commands are about another engine's log.
pub fn no_dag() -> Failure {
    Failure::new(
        "",
        "crdt subcommands can only be run on peers with the merkle engine, which this version does not have",
    )
}

/// Takes the lock of a folder with a configuration that is in order.
fn ready(folder: &Path) -> Result<(Lock, Config, Identity), Failure> {
    if !folder.join("service.json").exists() {
        let missing = ipfs_cluster::config::File::read(&folder.join("service.json"));
        return Err(missing.map_or_else(|e| loading(e.into()), |_| Failure::new("loading configurations", "try again")));
    }
    let lock = Lock::take(folder).map_err(|e| Failure::new("obtaining execution lock", e))?;
    let (config, identity, _) = runtime()?.block_on(load(folder, &Environment::of_process())).map_err(loading)?;
    Ok((lock, config, identity))
}

fn overrides(values: &Values) -> Overrides {
    let factor = |name: &str| i32::try_from(values.number(name)).unwrap_or(0);
    let allocations = values.text("allocations").split(',').filter_map(|id| parse_peer_id(id.trim()).ok()).collect();
    Overrides { replication_min: factor("replication-min"), replication_max: factor("replication-max"), allocations }
}

fn open_error(path: &str, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        return format!("open {path}: no such file or directory");
    }
    format!("open {path}: {error}")
}

/// How many pins are in, on a terminal.
fn bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} pins, {per_sec}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}
