//! Writes beside other work, and writes over and over.
use std::path::Path;

use super::super::daemon::Daemon;
use super::super::report::{Bound, Report};
use super::super::{Error, PATIENCE, load};
use super::{JOINED, each};

/// Connections that write.
const CONNECTIONS: usize = 64;

/// Pins of one load.
const LOAD: usize = 40_000;

/// Times that each pin is written again.
const ROUNDS: usize = 10;

/// Pins while a new peer is lent the snapshot, beside as many before.
pub async fn while_lending(dir: &Path, server: &Daemon, report: &mut Report) -> Result<(), Error> {
    let alone = load::run(server.rest(), CONNECTIONS, LOAD, "undisturbed").await?.rate();
    let mut peer = Daemon::bare(dir, "taker", Some(server), &[])?;
    peer.start_at(&[server.address_at(server.swarm())?]).await?;
    let beside = load::run(server.rest(), CONNECTIONS, LOAD, "lending").await?.rate();
    report.row("REST ingest at that size, 64 connections", Bound::AtLeast(8_000.0), alone, "pins/s");
    report.row("  while a new peer joins", Bound::AtLeast(alone / 2.0), beside, "pins/s");
    let is_over = if peer.has_said(JOINED) { 1.0 } else { 0.0 };
    report.row("  whether it had joined before the load was over", Bound::None, is_over, "");
    peer.kill()
}

/// Writes each pin ten times again, under other names.
pub async fn churn(dir: &Path, pins: usize, report: &mut Report) -> Result<(), Error> {
    let mut peer = Daemon::bare(dir, "churned", None, &[])?;
    peer.import(&super::super::export::write(dir, pins)?)?;
    peer.start(None).await?;
    peer.settle(PATIENCE).await?;
    let fresh = each(&peer, "pinset.redb", pins) + each(&peer, "ledger.redb", pins);
    for round in 0..ROUNDS {
        load::again(peer.rest(), CONNECTIONS, pins, "scale", &format!("round-{round}")).await?;
    }
    peer.settle(PATIENCE).await?;
    let churned = each(&peer, "pinset.redb", pins) + each(&peer, "ledger.redb", pins);
    report.row(&format!("disk of {pins} pins, fresh"), Bound::AtMost(600.0), fresh, "B/pin");
    report.row("  after each was written 10 times again", Bound::AtMost(2.0 * fresh), churned, "B/pin");
    peer.stop()
}
