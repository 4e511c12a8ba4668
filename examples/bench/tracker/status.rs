//! Where a million pins stand.
use std::path::Path;
use std::time::Duration;

use super::common::process::now;
use super::daemon::Daemon;
use super::http::Connection;
use super::report::{Bound, Report, millis, percentile};
use super::yes::Yes;
use super::{Error, export, standing, stream};

/// Pins.
const PINS: usize = 1_000_000;

/// Times that they are counted.
const COUNTED: usize = 500;

/// How long it may take until all are pinned.
const PATIENCE: Duration = Duration::from_mins(30);

/// Lists and counts them, when all are pinned.
pub async fn of_very_many(dir: &Path, report: &mut Report) -> Result<(), Error> {
    let yes = Yes::start().await?;
    let mut peer = Daemon::bare(dir, "many", None, &[("CLUSTER_IPFSHTTP_NODEMULTIADDRESS", &yes.address())])?;
    peer.import(&export::write(dir, PINS)?)?;
    let began = now();
    peer.start(None).await?;
    until_all_pinned(&peer).await?;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = PINS as f64 / began.elapsed().as_secs_f64();
    report.row("pins into a daemon that says yes", Bound::None, rate, "pins/s");
    peer.settle(PATIENCE).await?;
    report.row("RSS at rest, all pinned", Bound::AtMost(200.0), peer.rss_mb(), "MB");
    for path in ["/pins?local=true", "/pins"] {
        let rows = stream::stream(&peer, path, PINS).await?;
        report.row(&format!("GET {path}: first row"), Bound::AtMost(100.0), millis(rows.first), "ms");
        report.row("  rows", Bound::None, rows.rate, "1/s");
        report.row("  RSS growth", Bound::AtMost(64.0), rows.growth, "MB");
    }
    let began = now();
    let mut connection = Connection::open(peer.rest()).await?;
    let failed = standing(&mut connection, "error").await?;
    report.row(&format!("GET /pins?filter=error ({failed} rows)"), Bound::AtMost(100.0), millis(began.elapsed()), "ms");
    counts(&mut connection, report).await?;
    peer.stop()
}

async fn counts(connection: &mut Connection, report: &mut Report) -> Result<(), Error> {
    let mut took = Vec::new();
    for _ in 0..COUNTED {
        let began = now();
        connection.get("/pins/counts").await?.ok()?;
        took.push(began.elapsed());
    }
    took.sort();
    report.row("GET /pins/counts, p99", Bound::AtMost(10.0), millis(percentile(&took, 99)), "ms");
    Ok(())
}

async fn until_all_pinned(peer: &Daemon) -> Result<(), Error> {
    let (began, mut connection) = (now(), Connection::open(peer.rest()).await?);
    loop {
        let counts: serde_json::Value = serde_json::from_slice(&connection.get("/pins/counts").await?.ok()?.body)?;
        let pinned = counts["status"]["pinned"].as_u64().unwrap_or_default();
        if pinned == PINS as u64 {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("not all are pinned after {PATIENCE:?}: {counts}").into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
