//! `health`.
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
