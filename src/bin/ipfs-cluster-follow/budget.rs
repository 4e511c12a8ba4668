//! `--max-bytes`: how much a follower holds, which it says itself.
use ipfs_cluster::config::{Environment, File, parse_size, rewrite};

use crate::common::Values;
use crate::exit::Failure;
use crate::place::Place;

/// Reads the flag, when it is given.
pub fn read(values: &Values) -> Result<Option<&str>, Failure> {
    let Some(size) = values.given("max-bytes") else { return Ok(None) };
    if size != "none" {
        parse_size(size).map_err(|e| Failure::new("reading --max-bytes", e))?;
    }
    Ok(Some(size))
}

/// Keeps what the command line says for later starts; returns the environment in which it counts now.
pub fn given(place: &Place, values: &Values) -> Result<Environment, Failure> {
    let environment = Environment::of_process();
    let Some(size) = read(values)? else { return Ok(environment) };
    let path = place.folder.join("service.json");
    let of_path = |e| Failure::new(format!("reading {}", path.display()), e);
    File::read(&path).map_err(of_path)?;
    rewrite(&path, "follower.max_bytes", size).map_err(|e| Failure::new("saving configuration", e))?;
    Ok(environment.with("CLUSTER_FOLLOWER_MAXBYTES", size))
}
