//! Measures real peers with real Kubo on loopback and prints the figures beside their bounds: `scripts/bench` builds and runs it.
//! With `one` or `three` it measures only one peer, or only three.
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

use std::time::Duration;

use common::process::now;
use daemon::Daemon;
use http::Connection;
use report::{Bound, Report, millis, percentile};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Pins that the one-peer part ends with.
const PINS: usize = 100_000;
/// Pins whose way to another peer is timed.
const SPREAD: usize = 500;
/// Pins of the burst.
const BURST: usize = 5_000;
/// How long anything may take before the run is given up.
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let dir = tempfile::Builder::new().prefix("cluster-bench").tempdir_in("target")?;
    let mut report = Report::new();
    let part = std::env::args().nth(1);
    let is_wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    if is_wanted("one") {
        one_peer(&dir.path().join("one"), &mut report).await?;
    }
    if is_wanted("three") {
        three_peers(&dir.path().join("three"), &mut report).await?;
    }
    report.print();
    Ok(())
}

async fn one_peer(dir: &std::path::Path, report: &mut Report) -> Result<(), Error> {
    let mut peer = Daemon::init(dir, "peer0", None)?;
    let start = peer.start(None).await?;
    report.row("start to REST, empty", Bound::AtMost(50.0), millis(start), "ms");
    let idle = peer.rss_mb();
    for (connections, pins, bound) in
        [(1, 2_000, None), (64, 48_000, Some(8_000.0)), (256, PINS - 50_000, Some(12_000.0))]
    {
        let cpu = peer.cpu();
        let load = load::run(peer.rest(), connections, pins, "ingest").await?;
        let cpu = peer.cpu().saturating_sub(cpu);
        let bound = bound.map_or(Bound::None, Bound::AtLeast);
        report.row(&format!("REST ingest, fsynced, {connections} connections"), bound, load.rate(), "pins/s");
        report.row(
            &format!("  answer with {connections} connections, p50"),
            Bound::None,
            millis(percentile(&load.answers, 50)),
            "ms",
        );
        report.row(
            &format!("  answer with {connections} connections, p99"),
            Bound::None,
            millis(percentile(&load.answers, 99)),
            "ms",
        );
        #[expect(clippy::cast_precision_loss, reason = "a mean")]
        let each = cpu.as_secs_f64() * 1e6 / pins as f64;
        report.row(&format!("  CPU of the peer with {connections} connections"), Bound::None, each, "us/pin");
    }
    let began = now();
    let listed = Connection::open(peer.rest()).await?.get("/allocations").await?;
    let pins = listed.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    if pins != PINS {
        return Err(format!("{pins} pins are listed where {PINS} were acknowledged").into());
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    report.row("list over REST", Bound::AtLeast(200_000.0), pins as f64 / began.elapsed().as_secs_f64(), "pins/s");
    report.row("RSS, idle and empty", Bound::None, idle, "MB");
    report.row("RSS, 100k pins", Bound::AtMost(200.0), peer.rss_mb(), "MB");
    report.row("disk, 100k pins, pinset.redb", Bound::None, peer.disk_mb("pinset.redb"), "MB");
    report.row("disk, 100k pins, ledger.redb", Bound::None, peer.disk_mb("ledger.redb"), "MB");
    peer.stop()?;
    let start = peer.start(None).await?;
    report.row("start to REST, 100k pins", Bound::AtMost(1_000.0), millis(start), "ms");
    peer.kill()?;
    let start = peer.start(None).await?;
    report.row("start to REST, 100k pins, after SIGKILL", Bound::AtMost(1_000.0), millis(start), "ms");
    peer.stop()
}

async fn three_peers(dir: &std::path::Path, report: &mut Report) -> Result<(), Error> {
    let mut first = Daemon::init(dir, "peer0", None)?;
    first.start(None).await?;
    let mut others = Vec::new();
    for name in ["peer1", "peer2"] {
        let mut peer = Daemon::init(dir, name, Some(&first))?;
        peer.start(Some(&first)).await?;
        others.push(peer);
    }
    for peer in std::iter::once(&first).chain(&others) {
        peer.wait_for_members(3, PATIENCE).await?;
    }
    let mut ways = Vec::new();
    let mut from = Connection::open(first.rest()).await?;
    let mut to = Connection::open(others[0].rest()).await?;
    for n in 0..SPREAD {
        let cid = load::cid("spread", n);
        from.post(&format!("/pins/{cid}")).await?.ok()?;
        let accepted = now();
        while to.get(&format!("/allocations/{cid}")).await?.code != 200 {
            if accepted.elapsed() > PATIENCE {
                return Err(format!("{cid} did not reach the second peer within {PATIENCE:?}").into());
            }
        }
        ways.push(accepted.elapsed());
    }
    ways.sort();
    report.row("accepted on A to visible on B, p50", Bound::AtMost(5.0), millis(percentile(&ways, 50)), "ms");
    report.row("accepted on A to visible on B, p99", Bound::AtMost(25.0), millis(percentile(&ways, 99)), "ms");

    load::run(first.rest(), 64, BURST, "burst").await?;
    let answered = now();
    for peer in &others {
        peer.wait_for_pins(SPREAD + BURST, PATIENCE).await?;
    }
    report.row(
        "burst of 5,000 on all of 3, after the last answer",
        Bound::AtMost(1_000.0),
        millis(answered.elapsed()),
        "ms",
    );
    for peer in others.iter_mut().chain([&mut first]) {
        peer.stop()?;
    }
    Ok(())
}
