//! `info`: how a follower does.
use ipfs_cluster::config::Environment;
use ipfs_cluster::follow::{Profile, ProfileError};
use ipfs_cluster::wire::rest::ReplicationHealth;

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
    let api = ipfs::api(place);
    let (is_peer_online, pinset) = match &api {
        Some(api) => (api.id().await.is_ok(), api.replication().await.ok()),
        None => (false, None),
    };
    println!("Information about follower peer for Cluster \"{}\":\n", place.name);
    println!("Config folder: {}", place.folder.display());
    println!("Config source URL: {source}");
    println!("Cluster Peer online: {is_peer_online}");
    println!("IPFS peer online: {}", ipfs::is_online(&ipfs::endpoint()).await);
    if let Some(pinset) = pinset {
        print!("{}", standing(&pinset));
    }
    Ok(())
}

/// What the peer has, and whether that is all that others have; behind the lines that Go's program has.
fn standing(pinset: &ReplicationHealth) -> String {
    let sync = match (pinset.joining, pinset.in_sync) {
        (true, _) => "taking the state of another peer",
        (false, true) => "in sync with all that it hears",
        (false, false) => "behind what others have",
    };
    format!("Pins: {}\nSync: {sync}\n", pinset.pins)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_that_is_behind_says_so() {
        let of = |joining, in_sync| standing(&ReplicationHealth { pins: 7, joining, in_sync, ..Default::default() });
        assert_eq!(of(false, true), "Pins: 7\nSync: in sync with all that it hears\n");
        assert_eq!(of(false, false), "Pins: 7\nSync: behind what others have\n");
        assert!(of(true, false).ends_with("Sync: taking the state of another peer\n"));
    }
}
