//! `id`: who this peer is.
use std::path::Path;

use ipfs_cluster::config::{Environment, Identity};

use crate::exit::Failure;

/// Prints the peer ID of a folder.
pub fn run(folder: &Path) -> Result<(), Failure> {
    let path = folder.join("identity.json");
    let identity = Identity::load(&path, &Environment::of_process())
        .map_err(|(_, e)| Failure::new(format!("loading identity from {}", path.display()), e))?;
    println!("{}", identity.id());
    Ok(())
}
