//! `version`, `peers`.
mod drain;
mod rebalance;

use ipfs_cluster::client::Client;
use ipfs_cluster::model::PeerId;
use ipfs_cluster::wire::rest::{Version, parse_peer};

use super::common::Run;
use super::exit::Failure;
use super::output::Output;

pub async fn version(client: &Client, output: &mut Output) -> Result<(), Failure> {
    output.show(&Version { version: client.version().await? })
}

pub async fn list(client: &Client, output: &mut Output) -> Result<(), Failure> {
    output.show_all(client.peers().await?).await
}

pub async fn remove(client: &Client, run: &Run) -> Result<(), Failure> {
    Ok(client.remove_peer(named(run)?).await?)
}

pub async fn drain(client: &Client, run: &Run, output: &mut Output) -> Result<(), Failure> {
    drain::drain(client, named(run)?, run, output).await
}

pub use rebalance::run as rebalance;

/// The peer that the first argument names.
fn named(run: &Run) -> Result<PeerId, Failure> {
    let text = run.arguments.first().map_or("", String::as_str);
    let fault = |error| Failure::argument("parsing peer ID", &format!("failed to parse peer ID: {error}"));
    parse_peer(text).map_err(fault)
}
