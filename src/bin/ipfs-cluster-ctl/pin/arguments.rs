//! What the user gives: CIDs, metadata, and the flags that choose a part of a list.
use std::collections::BTreeMap;

use ipfs_cluster::client::Part;
use ipfs_cluster::model::Cid;
use ipfs_cluster::wire::rest::{Time, parse_cid};

use super::super::common::{Run, Values};
use super::super::exit::Failure;

/// Reads them; they are no use beside items that are named.
pub fn part(run: &Run) -> Result<Part, Failure> {
    let part = flags(&run.values)?;
    if !run.arguments.is_empty() && !part.is_all() {
        return Err(Failure::argument("parsing flags", &"items that are named are listed whatever they are"));
    }
    Ok(part)
}

fn flags(flags: &Values) -> Result<Part, Failure> {
    let some = |name: &str| Some(flags.text(name)).filter(|text| !text.is_empty());
    let time = |text| Time::parse(text).ok_or_else(|| Failure::argument("parsing created-after", &NO_TIME));
    let limit = match flags.number("limit") {
        0 => None,
        limit => Some(usize::try_from(limit).map_err(|_| Failure::argument("parsing limit", &"it is below 0"))?),
    };
    Ok(Part {
        name: some("name").map(Into::into),
        metadata: metadata(flags.list("meta"))?,
        created_after: some("created-after").map(time).transpose()?,
        limit,
        cursor: some("cursor").map(|text| cid(text).map(|cid| cid.to_string())).transpose()?,
    })
}

const NO_TIME: &str = "it is not like 2026-01-02T15:04:05Z";

/// Reads a CID that the user gave.
pub fn cid(text: &str) -> Result<Cid, Failure> {
    parse_cid(text).map_err(|error| Failure::argument("parsing cid", &error))
}

/// Reads `key=value`, each of them one.
pub fn metadata(pairs: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let fault = || Failure::argument("parsing metadata", &"metadata were not in the format key=value");
    let pair = |text: &String| text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    pairs.iter().map(|text| pair(text).ok_or_else(fault)).collect()
}
