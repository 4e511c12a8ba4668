//! `health`.
mod dot;

use dot::dot;
use ipfs_cluster::client::Client;

use super::common::Run;
use super::exit::Failure;
use super::output::Output;

pub async fn metrics(client: &Client, run: &Run, output: &mut Output) -> Result<(), Failure> {
    match run.arguments.first() {
        Some(name) => output.show_list(&client.metrics(name).await?),
        None => output.show_list(&client.metric_names().await?),
    }
}

pub async fn alerts(client: &Client, output: &mut Output) -> Result<(), Failure> {
    output.show_list(&client.alerts().await?)
}

/// Draws who is connected with whom, to a file or to stdout; DOT whatever the encoding.
pub async fn graph(client: &Client, run: &Run, output: &mut Output) -> Result<(), Failure> {
    let drawing = dot(&client.graph().await?, run.values.is_on("all-ipfs-peers"));
    match run.values.given("file").filter(|file| !file.is_empty()) {
        Some(file) => Ok(std::fs::write(file, drawing)?),
        None => output.write(&drawing),
    }
}
