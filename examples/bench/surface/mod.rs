//! What is measured of one peer's REST API.
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Error;
use super::common::process::now;
use super::daemon::Daemon;
use super::http::Connection;
use super::load::{self, Load};
use super::report::{Bound, Report, millis, percentile};
use super::stream::{Stream, stream};

/// Connections of the loads.
const CONNECTIONS: usize = 64;

/// Requests for `/id`.
const ASKED: usize = 30_000;

/// Pins that are posted; Kubo looks for their content in vain behind the answers.
const POSTED: usize = 20_000;

/// How long a peer may take until all pins are pinned.
const PATIENCE: Duration = Duration::from_mins(20);

/// All figures of a peer.
pub struct Figures {
    pub rss: f64,
    pub list: Stream,
    pub status: Stream,
    pub id: Load,
    pub post: Load,
}

impl Figures {
    /// Measures a peer that is at rest.
    pub async fn of(peer: &Daemon, pins: usize) -> Result<Self, Error> {
        let rss = peer.rss_mb();
        let list = stream(peer, "/allocations", pins).await?;
        let status = stream(peer, "/pins", pins).await?;
        let id = load::each(peer.rest(), CONNECTIONS, ASKED, |_| ("GET", "/id".into())).await?;
        let post = load::run(peer.rest(), CONNECTIONS, POSTED, "surface").await?;
        Ok(Self { rss, list, status, id, post })
    }

    /// Tells them, each with whose it is.
    pub fn rows(&self, name: &str, report: &mut Report) {
        let mut row =
            |what: &str, figure: f64, unit: &str| report.row(&format!("{name}: {what}"), Bound::None, figure, unit);
        row("RSS at rest", self.rss, "MB");
        for (what, stream) in [("list", &self.list), ("status", &self.status)] {
            row(what, stream.rate, "pins/s");
            row(&format!("  {what}, first row"), millis(stream.first), "ms");
            row(&format!("  {what}, RSS growth"), stream.growth, "MB");
        }
        for (what, load) in [("GET /id", &self.id), ("POST /pins", &self.post)] {
            row(what, load.rate(), "1/s");
            row(&format!("  {what}, p50"), millis(percentile(&load.answers, 50)), "ms");
            row(&format!("  {what}, p99"), millis(percentile(&load.answers, 99)), "ms");
        }
    }
}

/// Waits until the peer says that all pins are pinned.
pub async fn wait_until_pinned(peer: &Daemon, pins: usize) -> Result<(), Error> {
    let began = now();
    loop {
        let mut rows = 0;
        let count = async |piece: hyper::body::Bytes| {
            rows += piece.split(|byte| *byte == b'\n').count() - 1;
            true
        };
        Connection::open(peer.rest()).await?.read("/pins?local=true&filter=pinned", count).await?;
        if rows == pins {
            return peer.settle(PATIENCE).await;
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("{rows} of {pins} pins are pinned after {PATIENCE:?}").into());
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// The CID of number `n`, with its content in itself.
pub fn cid(n: usize) -> String {
    const RAW: u64 = 0x55;
    const IDENTITY: u64 = 0;
    let content = format!("surface {n:08}");
    let hash = multihash::Multihash::<64>::wrap(IDENTITY, content.as_bytes()).expect("it is short");
    cid::Cid::new_v1(RAW, hash).to_string()
}

/// Writes an export of pins, as both programs import it.
pub fn export(dir: &Path, cids: &[String]) -> Result<PathBuf, Error> {
    let path = dir.join("export.json");
    let mut out = BufWriter::new(File::create(&path)?);
    for (n, cid) in cids.iter().enumerate() {
        let pin = serde_json::json!({
            "cid": cid, "name": format!("pin-{n:08}"), "type": "pin", "allocations": [], "max_depth": -1,
            "reference": null, "replication_factor_min": -1, "replication_factor_max": -1, "mode": "recursive",
            "shard_size": 0, "user_allocations": [], "expire_at": "0001-01-01T00:00:00Z", "metadata": null,
            "pin_update": null, "origins": [], "timestamp": "2026-01-01T00:00:00Z",
        });
        writeln!(out, "{pin}")?;
    }
    out.flush()?;
    Ok(path)
}
