//! Lists that a peer answers row by row: how soon, how fast, and what they cost it.
use std::time::Duration;

use super::Error;
use super::common::process::now;
use super::daemon::Daemon;
use super::http::Connection;

/// Lists that are read; the median counts.
const ROUNDS: usize = 3;

/// One stream of rows.
#[derive(Clone, Copy, Default)]
pub struct Stream {
    /// Until the first bytes of a row came.
    pub first: Duration,
    /// Rows a second.
    pub rate: f64,
    /// By how much the resident memory rose above what it was before, in megabytes.
    pub growth: f64,
}

/// Reads all rows some times; the median by rate.
pub async fn stream(peer: &Daemon, path: &str, wanted: usize) -> Result<Stream, Error> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        peer.forget_peak()?;
        let (before, began, mut first, mut rows) = (peer.rss_mb(), now(), None, 0);
        let read = async |piece: hyper::body::Bytes| {
            first.get_or_insert_with(|| began.elapsed());
            rows += piece.split(|byte| *byte == b'\n').count() - 1;
            true
        };
        Connection::open(peer.rest()).await?.read(path, read).await?;
        let took = began.elapsed();
        if rows != wanted {
            return Err(format!("{rows} rows of {path} instead of {wanted}").into());
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = rows as f64 / took.as_secs_f64();
        rounds.push(Stream { first: first.unwrap_or_default(), rate, growth: peer.peak_mb() - before });
    }
    // What the first list made the peer keep is growth too.
    let growth = rounds.iter().map(|round| round.growth).fold(0.0, f64::max);
    rounds.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    Ok(Stream { growth, ..rounds[ROUNDS / 2] })
}
