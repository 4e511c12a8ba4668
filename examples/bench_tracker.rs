//! Measures how pins get into the IPFS daemon, and what it costs to say where they stand, and prints the figures beside their
//! bounds and beside those of the Go peer: `scripts/bench tracker`.
//!
//! `into` pins `--pins N` small blocks (default 20,000) that Kubo has already, with Go's peer and then with ours. `dead` lets
//! 100,000 CIDs go first that nobody has, and pins some that are there. `status` tells of 1,000,000 pins; it takes a daemon of
//! its own that says yes to everything, because what is measured never asks one.
#[path = "../tests/common/mod.rs"]
mod common;
#[path = "bench/daemon.rs"]
mod daemon;
#[path = "bench/export.rs"]
mod export;
#[path = "bench/http.rs"]
mod http;
#[path = "bench/kubo.rs"]
mod kubo;
#[path = "bench/load.rs"]
mod load;
#[path = "bench/report.rs"]
mod report;
#[path = "bench/stream.rs"]
mod stream;
#[path = "bench/tracker/mod.rs"]
mod tracker;

use std::path::Path;

use report::Report;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What can be measured by itself.
const PARTS: [&str; 3] = ["into", "dead", "status"];

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (mut pins, mut parts) = (20_000, Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--pins" => pins = words.next().ok_or("--pins takes a number")?.replace('_', "").parse()?,
            part if PARTS.contains(&part) => parts.push(word),
            _ => return Err(format!("{word:?} is neither --pins N nor one of {PARTS:?}").into()),
        }
    }
    let is_wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    let dir = tempfile::Builder::new().prefix("cluster-tracker").tempdir_in("target")?;
    let mut report = Report::new();
    let measured = measure(dir.path(), pins, is_wanted, &mut report).await;
    report.print();
    measured
}

async fn measure(dir: &Path, pins: usize, is_wanted: impl Fn(&str) -> bool, report: &mut Report) -> Result<(), Error> {
    if is_wanted("into") {
        tracker::into::beside(dir, pins, report).await?;
    }
    if is_wanted("dead") {
        tracker::dead::behind(dir, report).await?;
    }
    if is_wanted("status") {
        tracker::status::of_very_many(dir, report).await?;
    }
    Ok(())
}
