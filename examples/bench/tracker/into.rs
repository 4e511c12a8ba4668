//! Pins of what Kubo has already: how many a second get into it.
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::common::process::now;
use super::daemon::{Daemon, own_service};
use super::http::Connection;
use super::report::{Bound, Report};
use super::{Error, kubo, load, standing};

/// Connections that pin.
const CONNECTIONS: usize = 64;

/// How long it may take.
const PATIENCE: Duration = Duration::from_mins(30);

/// Measures the Go peer, then ours.
pub async fn beside(dir: &Path, pins: usize, report: &mut Report) -> Result<(), Error> {
    let cids = kubo::add_files(&dir.join("kubo-go"), &files(dir, pins)?)?;
    kubo::copy(&dir.join("kubo-go"), &dir.join("kubo-ours"))?;
    let go = rate(kubo::program("ipfs-cluster-service")?, dir, "go", &cids).await?;
    report.row("go: pins into Kubo", Bound::None, go, "pins/s");
    let ours = rate(own_service()?, dir, "ours", &cids).await?;
    report.row("ours: pins into Kubo", Bound::None, ours, "pins/s");
    report.row("ours to Go's", Bound::AtLeast(1.0), ours / go, "times");
    Ok(())
}

/// Small files, each of its own content.
fn files(dir: &Path, pins: usize) -> Result<PathBuf, Error> {
    let files = dir.join("files");
    fs::create_dir(&files)?;
    for n in 0..pins {
        fs::write(files.join(format!("{n:08}")), format!("a small block, number {n}"))?;
    }
    Ok(files)
}

/// From the first request until Kubo holds all, as the peer says.
async fn rate(service: PathBuf, dir: &Path, name: &str, cids: &[String]) -> Result<f64, Error> {
    let kubo = kubo::start(&dir.join(format!("kubo-{name}")))?;
    let mut peer = Daemon::of(service, dir, name, kubo)?;
    peer.start(None).await?;
    let (began, asked, paths) = (now(), cids.len(), cids.to_vec());
    load::each(peer.rest(), CONNECTIONS, asked, move |n| ("POST", format!("/pins/{}", paths[n]))).await?;
    // Only now: a connection that asks nothing for some seconds is closed.
    let mut connection = Connection::open(peer.rest()).await?;
    while standing(&mut connection, "pin_queued,pinning").await? > 0 {
        if began.elapsed() > PATIENCE {
            return Err(format!("{name}: not all are pinned after {PATIENCE:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = began.elapsed();
    let pinned = standing(&mut connection, "pinned").await?;
    if pinned != cids.len() {
        return Err(format!("{name}: {pinned} of {} are pinned", cids.len()).into());
    }
    peer.stop()?;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    Ok(pinned as f64 / took.as_secs_f64())
}
