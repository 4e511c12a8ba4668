//! `info`: how a follower does.
use ipfs_cluster::config::Environment;
use ipfs_cluster::follow::{Profile, ProfileError};

use crate::exit::Failure;
use crate::ipfs;
use crate::place::Place;
use crate::run::runtime;

/// Prints what is there and what is not.
pub fn run(place: &Place) -> Result<(), Failure> {
    runtime()?.block_on(describe(place))
}

async fn describe(place: &Place) -> Result<(), Failure> {
    let source = source(place).await?;
    let is_peer_online = match ipfs::api(place) {
        Some(api) => api.id().await.is_ok(),
        None => false,
    };
    println!("Information about follower peer for Cluster \"{}\":\n", place.name);
    println!("Config folder: {}", place.folder.display());
    println!("Config source URL: {source}");
    println!("Cluster Peer online: {is_peer_online}");
    println!("IPFS peer online: {}", ipfs::is_online(&ipfs::endpoint()).await);
    Ok(())
}

/// A source that is gone is told; a template that is wrong is a failure unless a good one was kept.
async fn source(place: &Place) -> Result<String, Failure> {
    match Profile::load(&place.folder, &Environment::of_process()).await {
        Ok(profile) if profile.is_fresh => Ok(format!("Available ({})", profile.source)),
        Ok(profile) => {
            Ok(format!("failed retrieving configuration source ({}); the last good one is kept", profile.source))
        }
        Err(ProfileError::Fetch(ipfs_cluster::config::FetchError::Failed { url, .. })) => {
            Ok(format!("failed retrieving configuration source ({url})"))
        }
        Err(e) => Err(Failure::new(format!("reading the configurations in {}", place.folder.display()), e)),
    }
}
