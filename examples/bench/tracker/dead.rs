//! What is there, behind very much that nobody has.
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::common::process::now;
use super::daemon::{Daemon, own_service};
use super::http::Connection;
use super::report::{Bound, Report, millis};
use super::{Error, kubo, load, standing, status_of};

/// CIDs that nobody has.
const DEAD: usize = 100_000;

/// Connections that pin them.
const CONNECTIONS: usize = 64;

/// Probes that run when all are taken: a little less, for some end and begin.
const PROBING: usize = 250;

/// Pins of what is there.
const LIVE: usize = 20;

/// How long one may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Lets the dead go first, and pins the others one by one.
pub async fn behind(dir: &Path, report: &mut Report) -> Result<(), Error> {
    let files = dir.join("live");
    fs::create_dir(&files)?;
    for n in 0..LIVE {
        fs::write(files.join(n.to_string()), format!("live {n}"))?;
    }
    let live = kubo::add_files(&dir.join("kubo-dead"), &files)?;
    let mut peer = Daemon::of(own_service()?, dir, "dead", kubo::start(&dir.join("kubo-dead"))?)?;
    peer.start(None).await?;
    load::run(peer.rest(), CONNECTIONS, DEAD, "dead").await?;
    let mut connection = Connection::open(peer.rest()).await?;
    while standing(&mut connection, "pinning").await? < PROBING {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut waits = Vec::new();
    for cid in &live {
        waits.push(until_pinned(&mut connection, cid).await?);
    }
    waits.sort();
    let what = format!("{LIVE} live CIDs behind {DEAD} dead ones: the slowest");
    report.row(&what, Bound::AtMost(2_000.0), waits.last().copied().map_or(f64::NAN, millis), "ms");
    report.row("  the median", Bound::None, millis(waits[waits.len() / 2]), "ms");
    report.row("  RSS of the peer", Bound::None, peer.rss_mb(), "MB");
    peer.stop()
}

async fn until_pinned(connection: &mut Connection, cid: &str) -> Result<Duration, Error> {
    let began = now();
    connection.post(&format!("/pins/{cid}")).await?.ok()?;
    while status_of(connection, cid).await? != "pinned" {
        if began.elapsed() > PATIENCE {
            return Err(format!("{cid} is not pinned after {PATIENCE:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(began.elapsed())
}
