use futures::{StreamExt, TryStreamExt};

use super::*;
use crate::cluster::SetupError;
use crate::cluster::build::stores;
use crate::cluster::testing::{Lone, between, cid};
use crate::model::PinMode;

async fn names(cluster: &Cluster) -> Vec<String> {
    cluster.allocations(PinTypes::ALL).map_ok(|pin| pin.name).try_collect().await.unwrap()
}

fn named(name: &str) -> PinOptions {
    PinOptions { name: name.into(), ..PinOptions::default() }
}

#[tokio::test]
async fn a_lone_peers_pin_is_kept_listed_and_let_go_of() {
    let lone = Lone::start(|_| ()).await;
    let pin = lone.cluster.pin(cid(1), named("one")).await.unwrap();
    assert_eq!((pin.name.as_str(), pin.replication), ("one", Replication::Everywhere));
    assert_eq!(lone.cluster.allocation(cid(1)).unwrap().name, "one");
    assert_eq!(names(&lone.cluster).await, ["one"]);
    assert_eq!(lone.cluster.unpin(cid(1)).await.unwrap().name, "one");
    assert!(matches!(lone.cluster.unpin(cid(1)).await, Err(Error::NotFound)));
    assert!(matches!(lone.cluster.allocation(cid(1)), Err(Error::NotFound)));
    assert!(names(&lone.cluster).await.is_empty());
    lone.stop().await;
}

#[tokio::test]
async fn a_follower_refuses_writes_in_gos_words() {
    let lone = Lone::start(|config| config.cluster.follower_mode = true).await;
    let words = "this peer is configured to be in follower mode. Write operations are disabled";
    let cluster = &lone.cluster;
    assert_eq!(cluster.pin(cid(1), PinOptions::default()).await.unwrap_err().to_string(), words);
    assert_eq!(cluster.unpin(cid(1)).await.unwrap_err().to_string(), words);
    assert_eq!(cluster.pin_path("/ipfs/x".into(), PinOptions::default()).await.unwrap_err().to_string(), words);
    assert_eq!(cluster.unpin_path("/ipfs/x".into()).await.unwrap_err().to_string(), words);
    lone.stop().await;
}

#[tokio::test]
async fn too_few_peers_with_space_are_an_error_in_gos_words() {
    let lone = Lone::start(|_| ()).await;
    let roomy = lone.hear_of(&[("ping", 0), ("freespace", 100)]);
    // A member that does not tell its space is no candidate.
    lone.hear_of(&[("ping", 0)]);
    let error = lone.cluster.pin(cid(1), between(2, 3)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "not enough peers to allocate CID. Needed at least: 2. Wanted at most: 3. Available candidates: 1. See logs for more info."
    );
    assert!(matches!(lone.cluster.allocation(cid(1)), Err(Error::NotFound)));
    assert_eq!(lone.cluster.pin(cid(1), between(1, 2)).await.unwrap().allocations, [roomy]);
    lone.stop().await;
}

#[tokio::test]
async fn the_trust_list_decides_who_may_hold_pins_and_can_be_replaced() {
    let lone = Lone::start(|config| {
        config.cluster.pin_only_on_trusted_peers = true;
        config.crdt.trusted_peers = Trust::Only([].into());
    })
    .await;
    let peer = lone.hear_of(&[("freespace", 100)]);
    assert!(matches!(lone.cluster.pin(cid(1), between(1, 1)).await, Err(Error::Allocate(_))));
    lone.cluster.set_trust(Trust::Only([peer].into())).await.unwrap();
    assert_eq!(lone.cluster.pin(cid(1), between(1, 1)).await.unwrap().allocations, [peer]);
    lone.stop().await;
}

#[tokio::test]
async fn an_update_copies_a_pin_that_is_there() {
    let lone = Lone::start(|_| ()).await;
    let update = |from| PinOptions { pin_update: Some(cid(from)), ..named("new") };
    assert!(matches!(lone.cluster.pin(cid(2), update(1)).await, Err(Error::NotFound)));
    lone.cluster.pin(cid(1), named("old")).await.unwrap();
    let pin = lone.cluster.pin(cid(2), update(1)).await.unwrap();
    assert_eq!((pin.name.as_str(), pin.pin_update), ("new", Some(cid(1))));
    let direct = PinOptions { mode: PinMode::Direct, ..PinOptions::default() };
    let error = lone.cluster.pin(cid(1), direct).await.unwrap_err();
    assert!(matches!(error, Error::Setup(SetupError::OtherMode(PinMode::Direct))), "{error}");
    lone.stop().await;
}

#[tokio::test]
async fn of_many_who_write_one_pin_each_is_the_last_or_is_told_so() {
    let lone = Lone::start(|_| ()).await;
    let writes = (0..64).map(|n| lone.cluster.pin(cid(1), named(&n.to_string())));
    let mut written = Vec::new();
    for answer in futures::future::join_all(writes).await {
        match answer {
            Ok(pin) => written.push(pin.name),
            Err(error) => assert!(matches!(error, Error::Contended(_)), "{error}"),
        }
    }
    // Those who lost are decided anew: more than one got through.
    assert!(written.len() > 1, "{written:?}");
    assert!(written.contains(&lone.cluster.allocation(cid(1)).unwrap().name));
    lone.stop().await;
}

#[tokio::test]
async fn a_path_that_is_a_cid_needs_no_daemon_and_another_does() {
    let lone = Lone::start(|_| ()).await;
    let path = format!("/ipfs/{}", cid(1));
    assert_eq!(lone.cluster.pin_path(path.clone(), named("one")).await.unwrap().cid, cid(1));
    assert!(matches!(lone.cluster.pin_path(format!("{path}/deep"), named("two")).await, Err(Error::Ipfs(_))));
    assert_eq!(lone.cluster.unpin_path(path).await.unwrap().name, "one");
    lone.stop().await;
}

#[tokio::test]
async fn a_member_that_is_not_reached_is_a_row_with_its_error() {
    let lone = Lone::start(|_| ()).await;
    let far = lone.hear_of(&[("ping", 0)]);
    let peers: Vec<PeerInfo> = lone.cluster.peers().collect().await;
    let row = |id| peers.iter().find(|peer| peer.id == id).unwrap();
    assert_eq!(peers.len(), 2);
    assert_eq!(row(far).error, "routing: not found");
    let own = row(lone.cluster.own_id());
    assert!(own.error.is_empty() && own.cluster_peers.contains(&far) && own.peername == "lone");
    // The daemon is away: that is said inside.
    assert!(own.ipfs.id.is_none() && !own.ipfs.error.is_empty());
    lone.stop().await;
}

#[tokio::test]
async fn leaving_keeps_the_pinset() {
    let lone = Lone::start(|config| config.cluster.leave_on_shutdown = true).await;
    lone.cluster.pin(cid(1), named("one")).await.unwrap();
    let home = lone.stop().await;
    assert!(stores(&home.config.folder).iter().all(|file| file.exists()));
    let again = home.start().await;
    assert_eq!(again.cluster.allocation(cid(1)).unwrap().name, "one");
    again.stop().await;
}

#[tokio::test]
async fn a_handle_that_outlives_its_peer_says_so() {
    let lone = Lone::start(|_| ()).await;
    let cluster = lone.cluster.clone();
    lone.stop().await;
    assert_eq!(cluster.pin(cid(1), PinOptions::default()).await.unwrap_err().to_string(), "cluster is shutdown");
    assert!(matches!(cluster.allocation(cid(1)), Err(Error::Shutdown)));
    assert!(cluster.set_trust(Trust::Everyone).await.is_err());
}
