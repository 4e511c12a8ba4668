//! `version`, `peers`.
use ipfs_cluster::client::Client;
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
    let text = run.arguments.first().map_or("", String::as_str);
    let fault = |error| Failure::argument("parsing peer ID", &format!("failed to parse peer ID: {error}"));
    Ok(client.remove_peer(parse_peer(text).map_err(fault)?).await?)
}
