//! `doctor`: what is wrong with a cluster, seen through one peer.
use futures::TryStreamExt;
use ipfs_cluster::client::Client;
use ipfs_cluster::doctor::{ApiFacts, Report, examine_api};
use ipfs_cluster::wire::rest::PeerInfo;

use super::common::Values;
use super::exit::Failure;
use super::output::{Output, Text};

impl Text for Report {
    fn text(&self) -> String {
        Self::text(self)
    }
}

/// Prints what was found; a fault is a failure.
pub async fn run(client: &Client, globals: &Values, output: &mut Output) -> Result<(), Failure> {
    let report = examine_api(&facts(client, globals.text("host")).await);
    output.show(&report)?;
    if report.ok { Ok(()) } else { Err(Failure::Unwell) }
}

/// What cannot be asked for is not there: the first question says why.
async fn facts(client: &Client, host: &str) -> ApiFacts {
    let peer = client.id().await;
    let (mut peers, mut metrics) = (Vec::new(), [Vec::new(), Vec::new()]);
    let mut alerts = Vec::new();
    if peer.is_ok() {
        peers = members(client).await;
        for (name, found) in ["ping", "freespace"].iter().zip(&mut metrics) {
            *found = client.metrics(name).await.unwrap_or_default();
        }
        alerts = client.alerts().await.unwrap_or_default();
    }
    let [pings, freespace] = metrics;
    ApiFacts { host: host.into(), peer, peers, pings, freespace, alerts }
}

async fn members(client: &Client) -> Vec<PeerInfo> {
    match client.peers().await {
        Ok(peers) => peers.try_collect().await.unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}
