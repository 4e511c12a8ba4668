//! Measures the REST API beside that of the Go peer, with the same pins in real Kubo, and prints the figures and their ratios:
//! `scripts/bench surface`.
//!
//! Both have `--pins N` pins (default 100,000) of CIDs that hold their content themselves, so that Kubo holds them all. One
//! peer runs at a time.
#[path = "../tests/common/mod.rs"]
mod common;
#[path = "bench/daemon.rs"]
mod daemon;
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
#[path = "bench/surface/mod.rs"]
mod surface;

use std::path::Path;

use daemon::{Daemon, own_service};
use report::{Bound, Report};
use surface::Figures;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut pins = 100_000;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--pins" => pins = words.next().ok_or("--pins takes a number")?.replace('_', "").parse()?,
            _ => return Err(format!("{word:?} is no flag: --pins N").into()),
        }
    }
    let dir = tempfile::Builder::new().prefix("cluster-surface").tempdir_in("target")?;
    let mut report = Report::new();
    let measured = beside(dir.path(), pins, &mut report).await;
    report.print();
    measured
}

/// Measures the Go peer, then ours, then compares.
async fn beside(dir: &Path, pins: usize, report: &mut Report) -> Result<(), Error> {
    let cids: Vec<String> = (0..pins).map(surface::cid).collect();
    let export = surface::export(dir, &cids)?;
    eprintln!("pinning {pins} CIDs into Kubo");
    kubo::pin(&dir.join("kubo-go"), &cids)?;
    kubo::copy(&dir.join("kubo-go"), &dir.join("kubo-ours"))?;
    let go = measured(kubo::program("ipfs-cluster-service")?, dir, "go", (&export, pins), report).await?;
    let ours = measured(own_service()?, dir, "ours", (&export, pins), report).await?;
    compare(&go, &ours, report);
    Ok(())
}

/// Starts a peer of a program with all pins, waits until it is at rest, measures it, and ends it.
async fn measured(
    service: std::path::PathBuf,
    dir: &Path,
    name: &str,
    (export, pins): (&Path, usize),
    report: &mut Report,
) -> Result<Figures, Error> {
    let kubo = kubo::start(&dir.join(format!("kubo-{name}")))?;
    let mut peer = Daemon::of(service, dir, name, kubo)?;
    peer.import(export)?;
    peer.start(None).await?;
    surface::wait_until_pinned(&peer, pins).await?;
    let figures = Figures::of(&peer, pins).await?;
    figures.rows(name, report);
    peer.stop()?;
    Ok(figures)
}

fn compare(go: &Figures, ours: &Figures, report: &mut Report) {
    let mut times = |what: &str, bound: f64, ratio: f64| report.row(what, Bound::AtLeast(bound), ratio, "times");
    times("list: pins/s, ours to Go's", 2.0, ours.list.rate / go.list.rate);
    times("status: first row sooner", 10.0, go.status.first.as_secs_f64() / ours.status.first.as_secs_f64());
    times("GET /id, 64 connections", 1.5, ours.id.rate() / go.id.rate());
    times("POST /pins, 64 connections", 1.5, ours.post.rate() / go.post.rate());
    let growth = |figures: &Figures| figures.list.growth.max(figures.status.growth).max(0.1);
    report.row("RSS growth by list and status, of Go's", Bound::AtMost(0.25), growth(ours) / growth(go), "times");
}
