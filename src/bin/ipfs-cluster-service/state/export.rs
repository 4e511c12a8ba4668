//! `state export`: the pinset to stdout or a file.
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use ipfs_cluster::cluster::offline::{self, Pages};
use ipfs_cluster::model::PeerId;
use ipfs_cluster::task::Fatal;
use ipfs_cluster::wire::{json, rest};

use super::folder::{open_error, ready};
use super::format::Format;
use super::progress::Progress;
use crate::common::Values;
use crate::daemon::runtime;
use crate::exit::Failure;

/// Bytes that are written to a file at a time.
const BUFFER: usize = 1 << 20;

/// Writes the pinset of a folder.
pub fn run(folder: &Path, values: &Values) -> Result<(), Failure> {
    let format = Format::of(values)?;
    let (_lock, config, identity) = ready(folder)?;
    let path = values.text("file");
    let mut out: Box<dyn Write> = if path.is_empty() {
        Box::new(BufWriter::new(io::stdout().lock()))
    } else {
        let file = File::create(path).map_err(|e| Failure::new("creating export file", open_error(path, &e)))?;
        Box::new(BufWriter::with_capacity(BUFFER, file))
    };
    // On a terminal, pins and progress would run into each other.
    let progress = Progress::of_pins(!path.is_empty() || !io::stdout().is_terminal());
    let count = match format {
        Format::Json => json(folder, &mut out, &progress),
        Format::Automerge => document(folder, identity.id(), &mut out, &progress),
        Format::Snapshot => runtime()?.block_on(offline::save(&config, identity.keypair(), &mut out)),
    };
    progress.end();
    let count = count.map_err(|e| Failure::new("exporting state", e))?;
    if format == Format::Snapshot {
        tracing::info!(bytes = count, "state successfully exported");
    } else {
        tracing::info!(pins = count, "state successfully exported");
    }
    Ok(())
}

/// Writes every pin, one JSON object a line, in key order; returns how many.
fn json(folder: &Path, out: &mut dyn Write, progress: &Progress) -> Result<u64, Fatal> {
    let Some(mut pages) = Pages::open(folder)? else { return Ok(0) };
    progress.of(pages.total());
    let mut count = 0;
    while let Some(pins) = pages.page()? {
        for pin in &pins {
            json::write(&mut *out, &rest::Pin::stored(pin))?;
            out.write_all(b"\n")?;
        }
        count += pins.len() as u64;
        progress.at(count);
    }
    out.flush()?;
    Ok(count)
}

fn document(folder: &Path, own: PeerId, out: &mut dyn Write, progress: &Progress) -> Result<u64, Fatal> {
    offline::export_document(folder, own, out, &mut |done, total| {
        progress.of(total);
        progress.at(done);
    })
}
