//! Lists of very many pins: how fast, and what they cost who answers.
use std::time::Duration;

use super::super::common::process::now;
use super::super::daemon::Daemon;
use super::super::http::Connection;
use super::super::report::{Bound, Report};
use super::super::{Error, load, ratio};

/// How long the slow reader reads.
const SLOW: Duration = Duration::from_mins(2);

/// Pins that are written meanwhile, in so many rounds.
const ROUND: usize = 2_500;
const ROUNDS: usize = 20;

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

/// Reads pins and statuses slowly while others write, beside as many writes without it.
pub async fn slow_reader(peer: &Daemon, report: &mut Report) -> Result<(), Error> {
    let before = peer.disk_mb("pinset.redb");
    for n in 0..ROUNDS {
        load::run(peer.rest(), 64, ROUND, &format!("alone {n}")).await?;
    }
    let alone = peer.disk_mb("pinset.redb") - before;
    report.row("file growth by 50,000 pins", Bound::None, alone, "MB");
    slowly(peer, "/allocations", report).await?;
    slowly(peer, "/pins", report).await
}

async fn slowly(peer: &Daemon, path: &str, report: &mut Report) -> Result<(), Error> {
    let files = || peer.disk_mb("pinset.redb") + peer.disk_mb("ledger.redb");
    peer.forget_peak()?;
    let (before, rss) = (files(), peer.rss_mb());
    let reading = async {
        let (began, mut bytes) = (now(), 0);
        let slowly = async |piece: hyper::body::Bytes| {
            bytes += piece.len();
            tokio::time::sleep(REST).await;
            began.elapsed() < SLOW
        };
        Connection::open(peer.rest()).await?.read(path, slowly).await?;
        Ok::<_, Error>((bytes, began.elapsed()))
    };
    let writing = async {
        for n in 0..ROUNDS {
            load::run(peer.rest(), 64, ROUND, &format!("beside {path} {n}")).await?;
            tokio::time::sleep(SLOW / u32::try_from(ROUNDS)?).await;
        }
        Ok::<_, Error>(())
    };
    let (read, written) = tokio::join!(reading, writing);
    written?;
    let (bytes, took) = read?;
    report.row(&format!("slow {path} under ingest of 50,000: for"), Bound::None, took.as_secs_f64(), "s");
    #[expect(clippy::cast_precision_loss, reason = "megabytes for people")]
    report.row("  read", Bound::None, bytes as f64 / 1e6, "MB");
    report.row("  RSS growth", Bound::AtMost(32.0), peer.peak_mb() - rss, "MB");
    report.row("  growth of the files", Bound::AtMost(64.0), files() - before, "MB");
    Ok(())
}
