//! What is measured of the tracker.
pub mod dead;
pub mod into;
pub mod status;
mod yes;

use serde_json::Value;

use super::http::{self, Connection};
use super::{Error, common, daemon, export, kubo, load, report, stream};

/// How many pins of this peer alone stand where `filter` says.
async fn standing(connection: &mut Connection, filter: &str) -> Result<usize, Error> {
    let answer = connection.get(&format!("/pins?local=true&filter={filter}")).await?;
    // Go answers nothing at all where there is nothing.
    if answer.code == 204 {
        return Ok(0);
    }
    let body = answer.ok()?.body;
    Ok(body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count())
}

/// Where this peer stands with one CID.
async fn status_of(connection: &mut Connection, cid: &str) -> Result<String, Error> {
    let body = connection.get(&format!("/pins/{cid}?local=true")).await?.ok()?.body;
    let info: Value = serde_json::from_slice(&body)?;
    let short = info["peer_map"].as_object().and_then(|map| map.values().next());
    Ok(short.and_then(|short| short["status"].as_str()).unwrap_or_default().to_owned())
}
