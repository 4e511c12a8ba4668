//! `status`, `recover`.
use ipfs_cluster::client::Client;
use ipfs_cluster::model::StatusFilter;

use super::common::Run;
use super::exit::Failure;
use super::output::Output;
use super::pin::arguments::{cid, part};

pub async fn status(client: &Client, run: &Run, output: &mut Output) -> Result<(), Failure> {
    let local = run.values.is_on("local");
    let cids = run.arguments.iter().map(|text| cid(text)).collect::<Result<Vec<_>, _>>()?;
    let filter = run.values.text("filter");
    if StatusFilter::parse(filter).is_none() {
        return Err(Failure::argument("parsing filter flag", &"invalid filter name"));
    }
    let part = part(run)?;
    match cids.as_slice() {
        [] => output.show_all(client.status_of(filter, local, &part).await?).await,
        [cid] => output.show(&client.status(*cid, local).await?),
        cids => output.show_all(client.status_cids(cids, local).await?).await,
    }
}

pub async fn recover(client: &Client, run: &Run, output: &mut Output) -> Result<(), Failure> {
    let local = run.values.is_on("local");
    match run.arguments.first() {
        Some(text) => output.show(&client.recover(cid(text)?, local).await?),
        None => output.show_all(client.recover_all(local).await?).await,
    }
}
