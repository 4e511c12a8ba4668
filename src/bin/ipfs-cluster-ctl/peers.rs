//! `version`, `peers`.
use futures::TryStreamExt;
use ipfs_cluster::client::Client;
use ipfs_cluster::wire::rest::{PeerInfo, Version, parse_peer};

use super::common::Run;
use super::exit::Failure;
use super::output::Output;

pub async fn version(client: &Client, output: &mut Output) -> Result<(), Failure> {
    output.show(&Version { version: client.version().await? })
}

/// Text is sorted by peer, JSON comes as the peers answer.
pub async fn list(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let peers = client.peers().await?;
    if output.is_json() {
        return output.show_all(peers).await;
    }
    let mut peers: Vec<PeerInfo> = peers.try_collect().await?;
    peers.sort_by(|a, b| a.id.cmp(&b.id));
    output.show_list(&peers)
}

pub async fn remove(client: &Client, run: &Run) -> Result<(), Failure> {
    let text = run.arguments.first().map_or("", String::as_str);
    let fault = |error| Failure::argument("parsing peer ID", &format!("failed to parse peer ID: {error}"));
    Ok(client.remove_peer(parse_peer(text).map_err(fault)?).await?)
}
