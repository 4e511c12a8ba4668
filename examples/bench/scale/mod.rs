//! New peers that join many pins, and what those take on the disk.
pub mod lists;
pub mod loads;
pub mod scan;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::common::process::now;
use super::daemon::Daemon;
use super::http::Connection;
use super::proxy::Proxy;
use super::report::{Bound, Report};
use super::{Error, PATIENCE};

/// What a peer says when it has joined.
const JOINED: &str = "joined the state of";

/// How far a long line is, each way.
const FAR: Duration = Duration::from_millis(50);

/// Bytes of one file, a pin.
#[expect(clippy::cast_precision_loss, reason = "a mean")]
pub fn each(peer: &Daemon, file: &str, pins: usize) -> f64 {
    peer.disk_mb(file) * 1e6 / pins as f64
}

/// Adds what the files take.
pub fn disk(when: &str, peer: &Daemon, pins: usize, report: &mut Report) {
    let (pinset, ledger) = (each(peer, "pinset.redb", pins), each(peer, "ledger.redb", pins));
    report.row(&format!("disk {when}, pinset.redb: pins, log, snapshot"), Bound::None, pinset, "B/pin");
    report.row(&format!("disk {when}, all files"), Bound::AtMost(600.0), pinset + ledger, "B/pin");
}

/// Lets new peers join: from one server, from two, over a long line, and as a follower.
pub async fn joins(dir: &Path, server: &Daemon, pins: usize, report: &mut Report) -> Result<(), Error> {
    let straight = server.address_at(server.swarm())?;
    let first = join(dir, server, "new", std::slice::from_ref(&straight), &[], pins, report).await?;
    let second = first.address_at(first.swarm())?;
    drop(join(dir, server, "two servers", &[straight, second], &[], pins, report).await?);
    drop(first);
    let proxy = Proxy::start(server.swarm(), FAR).await?;
    let far = join(dir, server, "100 ms away", &[server.address_at(proxy.port())?], &[], pins, report).await?;
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    let wire = proxy.bytes() as f64 / pins as f64;
    report.row("  on the wire", Bound::None, wire, "B/pin");
    drop((far, proxy));
    let trusted = server.id()?;
    let follows = [("CLUSTER_FOLLOWERMODE", "true"), ("CLUSTER_CRDT_TRUSTEDPEERS", trusted.as_str())];
    let straight = server.address_at(server.swarm())?;
    let follower = join(dir, server, "follower", &[straight], &follows, pins, report).await?;
    report.row("RSS idle, follower", Bound::AtMost(100.0), follower.rss_mb(), "MB");
    Ok(())
}

/// Lets one new peer join, from one server.
pub async fn one_join(dir: &Path, server: &Daemon, pins: usize, report: &mut Report) -> Result<(), Error> {
    let straight = server.address_at(server.swarm())?;
    let peer = join(dir, server, "new", &[straight], &[], pins, report).await?;
    report.row("RSS idle, joined peer", Bound::None, peer.rss_mb(), "MB");
    Ok(())
}

async fn join(
    dir: &Path,
    server: &Daemon,
    name: &str,
    addresses: &[String],
    variables: &[(&str, &str)],
    pins: usize,
    report: &mut Report,
) -> Result<Daemon, Error> {
    let mut peer = Daemon::bare(dir, &name.replace(' ', "-"), Some(server), variables)?;
    server.forget_peak()?;
    let before = server.rss_mb();
    let began = now();
    peer.start_at(addresses).await?;
    let mut connection = Connection::open(peer.rest()).await?;
    let mut first = None;
    loop {
        let told: Value = serde_json::from_slice(&connection.get("/health/replication").await?.ok()?.body)?;
        let known = told["pins"].as_u64().unwrap_or_default();
        if known > 0 {
            first.get_or_insert_with(|| began.elapsed());
        }
        if known == pins as u64 && told["joining"] == false {
            break;
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("{name}: not joined within {PATIENCE:?}: {told}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let joined = began.elapsed();
    let listed = lists::pins(peer.rest()).await?;
    if listed != pins {
        return Err(format!("{name}: {listed} pins are listed of {pins}").into());
    }
    let bound = if pins <= 100_000 { 3.0 } else { 15.0 };
    report.row(
        &format!("{name}: first pin known"),
        Bound::AtMost(1_000.0),
        super::millis(first.unwrap_or(joined)),
        "ms",
    );
    report.row(&format!("{name}: joined"), Bound::None, joined.as_secs_f64(), "s");
    report.row(&format!("{name}: listed and READY"), Bound::AtMost(bound), began.elapsed().as_secs_f64(), "s");
    report.row("  peak RSS of the new peer", Bound::None, peer.peak_mb(), "MB");
    report.row("  peak RSS of the server, above before", Bound::None, server.peak_mb() - before, "MB");
    peer.settle(PATIENCE).await?;
    report.row("  until its statuses are written too", Bound::None, began.elapsed().as_secs_f64(), "s");
    report.row("  its peak RSS then", Bound::None, peer.peak_mb(), "MB");
    disk(&format!("of {name}"), &peer, pins, report);
    Ok(peer)
}
