//! `status`, `recover`.
use ipfs_cluster::client::Client;
use ipfs_cluster::model::{Cid, StatusFilter};
use ipfs_cluster::wire::rest::parse_cid;

use super::common::Run;
use super::exit::Failure;
use super::output::Output;

pub async fn status(client: &Client, run: &Run, output: &mut Output) -> Result<(), Failure> {
    let local = run.values.is_on("local");
    let cids = run.arguments.iter().map(|text| cid(text)).collect::<Result<Vec<_>, _>>()?;
    let filter = run.values.text("filter");
    if StatusFilter::parse(filter).is_none() {
        return Err(Failure::argument("parsing filter flag", &"invalid filter name"));
    }
    match cids.as_slice() {
        [] => output.show_all(client.status_all(filter, local).await?).await,
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

/// Reads a CID that the user gave.
pub fn cid(text: &str) -> Result<Cid, Failure> {
    parse_cid(text).map_err(|error| Failure::argument("parsing cid", &error))
}
