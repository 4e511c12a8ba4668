//! Lists of very many pins: how fast, and what they cost who answers.
use std::time::Duration;

use super::super::common::process::now;
use super::super::daemon::Daemon;
use super::super::http::Connection;
use super::super::report::{Bound, Report};
use super::super::{Error, load, ratio};

/// How long the slow reader reads.
const SLOW: Duration = Duration::from_secs(15);

/// How long it rests after each piece.
const REST: Duration = Duration::from_millis(20);

/// Pins that are listed.
pub async fn pins(port: u16) -> Result<usize, Error> {
    let mut pins = 0;
    let lines = async |piece: hyper::body::Bytes| {
        pins += piece.split(|byte| *byte == b'\n').count() - 1;
        true
    };
    Connection::open(port).await?.read("/allocations", lines).await?;
    Ok(pins)
}

/// Reads the whole list as fast as it comes.
pub async fn list(peer: &Daemon, wanted: usize, report: &mut Report) -> Result<(), Error> {
    peer.forget_peak()?;
    let (before, cpu, began) = (peer.rss_mb(), peer.cpu(), now());
    let listed = pins(peer.rest()).await?;
    let took = began.elapsed();
    if listed != wanted {
        return Err(format!("{listed} pins are listed of {wanted}").into());
    }
    report.row("list over REST", Bound::AtLeast(200_000.0), ratio(listed, took), "pins/s");
    let cpu = peer.cpu().saturating_sub(cpu);
    report.row("  by processor time of the peer alone", Bound::None, ratio(listed, cpu), "pins/s");
    report.row("  RSS growth", Bound::AtMost(32.0), peer.peak_mb() - before, "MB");
    Ok(())
}

/// Reads a list slowly while others write, beside as many writes without it.
pub async fn slow_reader(peer: &Daemon, report: &mut Report) -> Result<(), Error> {
    let before = peer.disk_mb("pinset.redb");
    load::run(peer.rest(), 64, 50_000, "alone").await?;
    let alone = peer.disk_mb("pinset.redb") - before;
    peer.forget_peak()?;
    let (before, rss) = (peer.disk_mb("pinset.redb"), peer.rss_mb());
    let reading = async {
        let (began, mut bytes) = (now(), 0);
        let slowly = async |piece: hyper::body::Bytes| {
            bytes += piece.len();
            tokio::time::sleep(REST).await;
            began.elapsed() < SLOW
        };
        Connection::open(peer.rest()).await?.read("/allocations", slowly).await?;
        Ok::<_, Error>(bytes)
    };
    let (bytes, written) = tokio::join!(reading, load::run(peer.rest(), 64, 50_000, "beside"));
    written?;
    #[expect(clippy::cast_precision_loss, reason = "megabytes for people")]
    report.row("slow list under ingest: read", Bound::None, bytes? as f64 / 1e6, "MB");
    report.row("  RSS growth", Bound::AtMost(32.0), peer.peak_mb() - rss, "MB");
    report.row("  file growth", Bound::AtMost(64.0), peer.disk_mb("pinset.redb") - before, "MB");
    report.row("  file growth by as many pins without it", Bound::None, alone, "MB");
    Ok(())
}
