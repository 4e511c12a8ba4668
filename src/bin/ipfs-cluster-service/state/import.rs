//! `state import`: another pinset in the place of the one that is there.
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use ipfs_cluster::cluster::offline::{self, BATCH, Done, Import};
use ipfs_cluster::config::{Config, Identity, parse_peer_id};
use ipfs_cluster::model::Pin;
use ipfs_cluster::task::Fatal;

use super::folder::{open_error, ready};
use super::format::Format;
use super::input::{Input, Overrides};
use super::progress::Progress;
use crate::common::{Run, Values, confirm};
use crate::exit::Failure;

/// Batches that are parsed while one is written.
const BATCHES_MAX: usize = 2;

/// Bytes read from the input at a time.
const BUFFER: usize = 1 << 20;

/// Replaces the pinset by what a file or stdin holds.
pub fn run(folder: &Path, run: &Run) -> Result<(), Failure> {
    let format = Format::of(&run.values)?;
    let (_lock, config, identity) = ready(folder)?;
    let question = "The pinset (state) of this peer will be replaced. Continue?";
    if !run.values.is_on("force") && !confirm(question) {
        return Ok(());
    }
    let input: Box<dyn BufRead + Send> = if let Some(path) = run.arguments.first() {
        let file = File::open(path).map_err(|e| Failure::new("reading import file", open_error(path, &e)))?;
        Box::new(BufReader::with_capacity(BUFFER, file))
    } else {
        println!("reading from stdin, Ctrl-D to finish");
        Box::new(BufReader::new(io::stdin()))
    };
    let imported = if format == Format::Snapshot {
        snapshot(&config, &identity, input, &run.values)
    } else {
        pins(&config, &identity, Input::new(format, input, overrides(&run.values)), &run.values)
    };
    let count = imported.map_err(|e| Failure::new("importing state", e))?;
    tracing::info!(pins = count, "state successfully imported. Make sure all peers have consistent states");
    Ok(())
}

fn overrides(values: &Values) -> Overrides {
    let factor = |name: &str| i32::try_from(values.number(name)).unwrap_or(0);
    let allocations = values.text("allocations").split(',').filter_map(|id| parse_peer_id(id.trim()).ok()).collect();
    Overrides { replication_min: factor("replication-min"), replication_max: factor("replication-max"), allocations }
}

/// Replaces the pinset by that of a snapshot, which is taken as it was attested.
fn snapshot(
    config: &Config,
    identity: &Identity,
    mut input: Box<dyn BufRead + Send>,
    values: &Values,
) -> Result<u64, Fatal> {
    let changes = ["replication-min", "replication-max"].iter().any(|name| values.number(name) != 0);
    if changes || !values.text("allocations").is_empty() || values.is_on("resume") {
        return Err(
            "a snapshot is taken whole and as it is: import it without --resume and other pins' settings".into()
        );
    }
    let progress = Progress::of_parts();
    let imported = offline::restore(config, identity.keypair(), &mut input, &mut |done, total| {
        progress.of(total);
        progress.at(done);
    });
    progress.end();
    imported
}

fn pins(
    config: &Config,
    identity: &Identity,
    input: Input<Box<dyn BufRead + Send>>,
    values: &Values,
) -> Result<u64, Fatal> {
    let progress = Progress::of_pins(true);
    let imported = import(config, identity, input, values.is_on("resume"), &progress);
    progress.end();
    imported
}

/// Replaces the pinset, once all of `input` has been read; returns the number of pins in it.
fn import(
    config: &Config,
    identity: &Identity,
    mut input: Input<Box<dyn BufRead + Send>>,
    is_resumed: bool,
    progress: &Progress,
) -> Result<u64, Fatal> {
    let keypair = identity.keypair();
    let mut import = if is_resumed {
        let import = Import::resume(config, keypair)?;
        skip(&mut input, import.done())?;
        import
    } else {
        Import::begin(config, keypair)?
    };
    let (sender, batches) = mpsc::sync_channel(BATCHES_MAX);
    let written = thread::scope(|scope| {
        // Ends when the input does, or when nobody writes any more.
        scope.spawn(move || parse(input, &sender));
        batches.into_iter().try_fold(0, |_, batch: Result<Batch, Fatal>| {
            let Batch { pins, done } = batch?;
            let count = done.objects;
            import.add_to(pins, done)?;
            progress.at(count);
            Ok::<u64, Fatal>(count)
        })
    });
    match (written, import.done().map_or(0, |done| done.objects)) {
        (Ok(count), _) => import.finish().map(|()| count),
        (Err(error), 0) => Err(error),
        (Err(error), kept) => Err(format!(
            "{error}\nThe first {kept} pins are kept: mend the input and go on with --resume, or import anew"
        )
        .into()),
    }
}

/// Pins that are written together, and how far the input is read with them.
struct Batch {
    pins: Vec<Pin>,
    done: Done,
}

/// Parses batches until nobody takes them, or with an error as the last one.
fn parse(mut input: Input<Box<dyn BufRead + Send>>, batches: &mpsc::SyncSender<Result<Batch, Fatal>>) {
    loop {
        let batch = gather(&mut input).transpose();
        let Some(batch) = batch else { return };
        let is_last = batch.is_err();
        if batches.send(batch).is_err() || is_last {
            return;
        }
    }
}

fn gather(input: &mut Input<Box<dyn BufRead + Send>>) -> Result<Option<Batch>, Fatal> {
    let mut pins = Vec::new();
    while pins.len() < BATCH
        && let Some(pin) = input.pin()?
    {
        pins.push(pin);
    }
    let (count, hash) = input.read();
    Ok((!pins.is_empty()).then(|| Batch { pins, done: Done::new(count, &hash) }))
}

/// Passes over what is in already.
fn skip(input: &mut Input<Box<dyn BufRead + Send>>, done: Option<&Done>) -> Result<(), Fatal> {
    let Some(done) = done else { return Ok(()) };
    input.skip(done.objects)?;
    let (count, hash) = input.read();
    if Done::new(count, &hash) == *done {
        return Ok(());
    }
    let n = done.objects;
    Err(format!("the first {n} pins are others than those of the interrupted import, or other flags were given: begin anew, without --resume").into())
}
