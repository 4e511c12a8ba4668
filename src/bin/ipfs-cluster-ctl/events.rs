//! `events`: what happens to the pins, line by line.
use futures::StreamExt;
use ipfs_cluster::client::{Client, Error};

use super::common::Run;
use super::exit::Failure;
use super::output::Output;

/// Prints events as they come, until the peer goes down or who reads has enough.
pub async fn follow(client: &Client, run: &Run, output: &mut Output) -> Result<(), Failure> {
    let mut events = client.events(run.values.given("since")).await?;
    while let Some(event) = events.next().await {
        let event = event?;
        if event.event == "error" {
            return Err(Error::new(500, event.error).into());
        }
        output.show(&event)?;
        output.flush()?;
    }
    Ok(())
}
