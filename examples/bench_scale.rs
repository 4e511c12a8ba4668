//! Measures peers with very many pins on loopback, without an IPFS daemon, and prints the figures beside their bounds: `scripts/bench scale`.
//!
//! `--pins N` pins (default 1,000,000). With names of parts it runs only those: `joins` (or `join`, only the first
//! of them), `list`, `ingest`, `starts`, `churn`, `repair`.
#[path = "../src/bin/common/allocator.rs"]
mod allocator;
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
#[path = "bench/proxy.rs"]
mod proxy;
#[path = "bench/report.rs"]
mod report;
#[path = "bench/scale/mod.rs"]
mod scale;

use std::path::Path;
use std::time::Duration;

use daemon::Daemon;
use report::{Bound, Report, millis};
use scale::{lists, loads};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How long anything may take before the run is given up.
const PATIENCE: Duration = Duration::from_mins(10);

/// What is measured, and with how many pins.
struct Plan {
    pins: usize,
    parts: Vec<String>,
}

impl Plan {
    fn of_arguments() -> Result<Self, Error> {
        let mut plan = Self { pins: 1_000_000, parts: Vec::new() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--pins" => plan.pins = words.next().ok_or("--pins takes a number")?.replace('_', "").parse()?,
                "join" | "joins" | "list" | "ingest" | "starts" | "churn" | "repair" => plan.parts.push(word),
                _ => {
                    return Err(format!("{word:?} is no part: join, joins, list, ingest, starts, churn, repair").into());
                }
            }
        }
        Ok(plan)
    }

    fn has(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|known| known == part)
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let plan = Plan::of_arguments()?;
    let dir = tempfile::Builder::new().prefix("cluster-scale").tempdir_in("target")?;
    let mut report = Report::new();
    let measured = measure(&plan, dir.path(), &mut report).await;
    report.print();
    measured
}

async fn measure(plan: &Plan, dir: &Path, report: &mut Report) -> Result<(), Error> {
    if plan.has("churn") {
        loads::churn(dir, plan.pins / 10, report).await?;
    }
    if plan.has("repair") {
        scale::scan::repair(dir, plan.pins, report)?;
    }
    if plan.parts == ["repair"] {
        return Ok(());
    }
    let mut server = filled(dir, plan.pins, report).await?;
    if plan.has("list") {
        lists::list(&server, plan.pins, report).await?;
    }
    if plan.has("joins") {
        scale::joins(dir, &server, plan.pins, report).await?;
    }
    if plan.parts.iter().any(|part| part == "join") {
        scale::one_join(dir, &server, plan.pins, report).await?;
    }
    if plan.has("list") {
        lists::slow_reader(&server, report).await?;
    }
    if plan.has("ingest") {
        loads::while_lending(dir, &server, report).await?;
    }
    if plan.has("starts") {
        starts(&mut server, report).await?;
    }
    server.stop()
}

/// A peer with all pins, at rest.
async fn filled(dir: &Path, pins: usize, report: &mut Report) -> Result<Daemon, Error> {
    let mut server = Daemon::bare(dir, "server", None, &[])?;
    let file = export::write(dir, pins)?;
    let took = server.import(&file)?;
    std::fs::remove_file(&file)?;
    report.row("state import", Bound::AtLeast(20_000.0), ratio(pins, took), "pins/s");
    report.row(
        "disk after the import, pins + log",
        Bound::AtMost(300.0),
        scale::each(&server, "pinset.redb", pins),
        "B/pin",
    );
    let start = server.start(None).await?;
    report.row("first start after it, to REST", Bound::None, millis(start), "ms");
    let began = common::process::now();
    server.settle(PATIENCE).await?;
    report.row("  work after it: statuses, snapshot", Bound::None, began.elapsed().as_secs_f64(), "s");
    report.row("RSS idle, peer", Bound::AtMost(200.0), server.rss_mb(), "MB");
    report.row("  its peak since the start", Bound::None, server.peak_mb(), "MB");
    scale::disk("settled", &server, pins, report);
    Ok(server)
}

async fn starts(server: &mut Daemon, report: &mut Report) -> Result<(), Error> {
    server.settle(PATIENCE).await?;
    server.stop()?;
    report.row("start to REST, after a clean stop", Bound::AtMost(1_000.0), millis(server.start(None).await?), "ms");
    server.settle(PATIENCE).await?;
    report.row("  RSS idle after it", Bound::AtMost(200.0), server.rss_mb(), "MB");
    server.kill()?;
    let files = server.disk_mb("pinset.redb") + server.disk_mb("ledger.redb");
    let start = server.start(None).await?;
    report.row("start to REST, after SIGKILL", Bound::AtMost(files * 5.0), millis(start), "ms");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn ratio(pins: usize, took: Duration) -> f64 {
    pins as f64 / took.as_secs_f64()
}
