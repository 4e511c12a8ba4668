//! `info`: how a follower does.
use ipfs_cluster::config::Environment;
use ipfs_cluster::follow::{Profile, ProfileError};
use ipfs_cluster::model::UnixMillis;
use ipfs_cluster::task;
use ipfs_cluster::wire::rest::{ReplicationHealth, Time};

use crate::common::human::{relative, size};
use crate::exit::Failure;
use crate::ipfs;
use crate::place::Place;
use crate::run::runtime;

/// Prints what is there and what is not.
pub fn run(place: &Place) -> Result<(), Failure> {
    runtime()?.block_on(describe(place))
}

async fn describe(place: &Place) -> Result<(), Failure> {
    let (source, signed) = source(place).await?;
    let api = ipfs::api(place);
    let (is_peer_online, pinset) = match &api {
        Some(api) => (api.id().await.is_ok(), api.replication().await.ok()),
        None => (false, None),
    };
    println!("Information about follower peer for Cluster \"{}\":\n", place.name);
    println!("Config folder: {}", place.folder.display());
    println!("Config source URL: {source}");
    if let Some(signed) = signed {
        println!("Config signed by: {signed}");
    }
    println!("Cluster Peer online: {is_peer_online}");
    println!("IPFS peer online: {}", ipfs::is_online(&ipfs::endpoint()).await);
    if let Some(pinset) = pinset {
        let held = ipfs::held_bytes(&ipfs::endpoint()).await;
        print!("{}", standing(&pinset, held, task::wall()));
    }
    Ok(())
}

/// What the peer has, and whether that is all that others have; behind the lines that Go's program has.
fn standing(pinset: &ReplicationHealth, held: Option<u64>, now: UnixMillis) -> String {
    let since = |time: Time| time.millis().map(|at| relative(at.nanos(), now.nanos()));
    let sync = match (pinset.joining, pinset.in_sync, since(pinset.behind_since)) {
        (true, _, _) => "taking the state of another peer".into(),
        (false, true, _) => "in sync with all that it hears".into(),
        (false, false, None) => "behind what others have".into(),
        (false, false, Some(since)) => format!("behind what others have, since {since}"),
    };
    let contact = since(pinset.trusted_at).unwrap_or_else(|| "none since it started".into());
    let held = held.map_or_else(|| "unknown".into(), size);
    let share = pinset.share.map(|of| {
        let [max, held, reserved] = [of.max_bytes, of.held_bytes, of.reserved_bytes].map(size);
        format!("Budget: {max}; held: {held}; reserved: {reserved}\n")
    });
    let share = share.unwrap_or_default();
    format!(
        "Pins: {}\n{share}IPFS repository: {held}\nSync: {sync}\nLast contact with a trusted peer: {contact}\n",
        pinset.pins
    )
}

/// A source that is gone is told; a template that is wrong is a failure unless a good one was kept.
async fn source(place: &Place) -> Result<(String, Option<String>), Failure> {
    match Profile::load(&place.folder, &Environment::of_process()).await {
        Ok(Profile { source, is_fresh, signed, .. }) => {
            let source = if is_fresh {
                format!("Available ({source})")
            } else {
                format!("failed retrieving configuration source ({source}); the last good one is kept")
            };
            Ok((source, signed.map(|(by, at)| format!("{by} at {at}"))))
        }
        Err(ProfileError::Fetch(ipfs_cluster::config::FetchError::Failed { url, .. })) => {
            Ok((format!("failed retrieving configuration source ({url})"), None))
        }
        Err(e) => Err(Failure::new(format!("reading the configurations in {}", place.folder.display()), e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_that_is_behind_says_so() {
        let of = |health: ReplicationHealth| standing(&health, Some(9_600_000_000), UnixMillis(70_000));
        let whole = ReplicationHealth { pins: 7, in_sync: true, ..Default::default() };
        assert_eq!(
            of(whole),
            "Pins: 7\nIPFS repository: 9.6 GB\nSync: in sync with all that it hears\n\
             Last contact with a trusted peer: none since it started\n"
        );
        let at = |seconds: i64| Time::from(UnixMillis(seconds * 1000));
        let behind = ReplicationHealth { behind_since: at(10), trusted_at: at(67), ..Default::default() };
        let text = of(behind.clone());
        assert!(text.contains("Sync: behind what others have, since 1 minute ago\n"), "{text}");
        assert!(text.ends_with("Last contact with a trusted peer: 3 seconds ago\n"), "{text}");
        assert!(of(ReplicationHealth { joining: true, ..behind }).contains("Sync: taking the state of another peer\n"));
    }
}
