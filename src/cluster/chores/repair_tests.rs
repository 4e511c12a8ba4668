use std::collections::BTreeSet;

use super::*;
use crate::cluster::testing::{Lone, between, cid, metric_of};
use crate::model::{PeerId, PinOptions, Trust, UnixMillis};
use crate::monitor::LEAVING;

const GRACE: Duration = Duration::from_millis(20);

async fn lone(rate: Option<u64>) -> Lone {
    let rate = rate.and_then(std::num::NonZeroU64::new);
    Lone::start(|config| {
        (config.cluster.repin_grace, config.cluster.repin_rate) = (GRACE, rate);
        // The others are not there: nobody is to wait for them.
        config.crdt.trusted_peers = Trust::Only(BTreeSet::new());
    })
    .await
}

fn hear(lone: &Lone, weight: i64) -> PeerId {
    lone.hear_of(&[("ping", 0), ("freespace", weight)])
}

/// The peer says that it leaves, or that it does not any more.
fn say_leaving(lone: &Lone, peer: PeerId, valid: bool) {
    let said = crate::model::Metric { valid, ..metric_of(LEAVING, peer, 0) };
    assert!(lone.cluster.inner.members.receive(said, task::wall()));
}

/// Some grace ago.
fn long_ago() -> UnixMillis {
    UnixMillis(task::wall().0 - 1000)
}

/// The peer's last ping came and ended some grace ago.
fn lose(lone: &Lone, peer: PeerId) {
    let ping = crate::model::Metric { expire_nanos: long_ago().nanos(), ..metric_of("ping", peer, 0) };
    assert!(lone.cluster.inner.members.receive(ping, long_ago()));
}

/// Repairs that have listened for some grace already.
fn repairs(lone: &Lone) -> Repairs {
    let listening = std::sync::Mutex::new(Listening::new(long_ago(), 0));
    Repairs { listening, ..Repairs::new(lone.cluster.clone(), Args { grace: GRACE }) }
}

async fn until(lone: &Lone, done: impl Fn() -> bool) {
    let mut news = lone.cluster.inner.pinset.news_watch();
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !done() {
            news.changed().await.unwrap();
        }
    });
    waited.await.expect("a round comes every second");
}

fn holders(lone: &Lone, n: u64) -> Vec<PeerId> {
    lone.cluster.allocation(cid(n)).unwrap().allocations
}

#[tokio::test]
async fn pins_of_a_peer_that_is_gone_get_new_holders_and_others_are_left_alone() {
    let lone = lone(None).await;
    let (dead, well) = (hear(&lone, 30), hear(&lone, 20));
    lone.cluster.pin(cid(1), between(1, 1)).await.unwrap();
    lone.cluster.pin(cid(2), between(1, 2)).await.unwrap();
    lone.cluster.pin(cid(3), PinOptions::default()).await.unwrap();
    assert_eq!((holders(&lone, 1), holders(&lone, 2)), (vec![dead], vec![dead, well]));
    let before = lone.cluster.allocation(cid(1)).unwrap();
    lose(&lone, dead);
    until(&lone, || holders(&lone, 1) == [well]).await;
    let after = lone.cluster.allocation(cid(1)).unwrap();
    assert_eq!(after, Pin { allocations: vec![well], ..before });
    // One of two holders is enough for a minimum of one.
    assert_eq!(holders(&lone, 2), [dead, well]);
    lone.stop().await;
}

#[tokio::test]
async fn what_nobody_can_hold_waits_for_a_new_member() {
    let lone = lone(None).await;
    let dead = hear(&lone, 30);
    lone.cluster.pin(cid(1), between(1, 1)).await.unwrap();
    lose(&lone, dead);
    assert_eq!(repairs(&lone).round(0).await.unwrap(), 1);
    assert_eq!(holders(&lone, 1), [dead]);
    let new = hear(&lone, 10);
    until(&lone, || holders(&lone, 1) == [new]).await;
    lone.stop().await;
}

#[tokio::test]
async fn a_peer_that_comes_back_keeps_what_was_not_moved_yet() {
    // A byte a second: after the first pin everything waits.
    let lone = lone(Some(1)).await;
    let (dead, well) = (hear(&lone, 30), hear(&lone, 20));
    for n in 1..=5 {
        lone.cluster.pin(cid(n), between(1, 1)).await.unwrap();
    }
    lose(&lone, dead);
    let moved = || (1..=5).filter(|n| holders(&lone, *n) == [well]).count();
    until(&lone, || moved() == 1).await;
    lone.cluster.inner.members.receive(metric_of("ping", dead, 0), task::wall());
    // The round that is under way sees it, too; this one would have to move what that one does not.
    assert_eq!(repairs(&lone).round(0).await.unwrap(), 0);
    assert_eq!(moved(), 1);
    assert_eq!((1..=5).filter(|n| holders(&lone, *n) == [dead]).count(), 4);
    lone.stop().await;
}

#[tokio::test]
async fn a_pin_is_moved_once_by_many() {
    let lone = lone(None).await;
    let (dead, well) = (hear(&lone, 30), hear(&lone, 20));
    lone.cluster.pin(cid(1), between(1, 1)).await.unwrap();
    lose(&lone, dead);
    until(&lone, || holders(&lone, 1) == [well]).await;
    let census = repairs(&lone).census();
    assert!(!lone.cluster.reallocate(cid(1), &census).await.unwrap(), "there is nothing left to write");
    lone.stop().await;
}

#[tokio::test]
async fn pins_of_a_peer_that_is_drained_move_and_new_ones_avoid_it_until_it_is_back() {
    let lone = lone(None).await;
    let (leaving, other, spare) = (hear(&lone, 30), hear(&lone, 20), hear(&lone, 10));
    lone.cluster.pin(cid(1), between(1, 1)).await.unwrap();
    lone.cluster.pin(cid(2), between(1, 2)).await.unwrap();
    lone.cluster.pin(cid(3), PinOptions::default()).await.unwrap();
    assert_eq!((holders(&lone, 1), holders(&lone, 2)), (vec![leaving], vec![leaving, other]));
    say_leaving(&lone, leaving, true);
    until(&lone, || holders(&lone, 1) == [other] && holders(&lone, 2) == [other, spare]).await;
    assert!(holders(&lone, 3).is_empty());
    lone.cluster.pin(cid(4), between(1, 1)).await.unwrap();
    let asked = PinOptions { user_allocations: vec![leaving], ..between(1, 1) };
    lone.cluster.pin(cid(5), asked).await.unwrap();
    assert_eq!((holders(&lone, 4), holders(&lone, 5)), (vec![other], vec![other]));
    say_leaving(&lone, leaving, false);
    lone.cluster.pin(cid(6), between(1, 1)).await.unwrap();
    assert_eq!((holders(&lone, 6), holders(&lone, 1)), (vec![leaving], vec![other]));
    lone.stop().await;
}

#[tokio::test]
async fn a_drain_goes_on_without_a_replacement_where_the_minimum_is_kept() {
    let lone = lone(None).await;
    let (leaving, other) = (hear(&lone, 30), hear(&lone, 20));
    lone.cluster.pin(cid(1), between(1, 2)).await.unwrap();
    lone.cluster.pin(cid(2), between(2, 2)).await.unwrap();
    say_leaving(&lone, leaving, true);
    until(&lone, || holders(&lone, 1) == [other]).await;
    assert_eq!(holders(&lone, 2), [leaving, other], "two are wanted, and there is no other");
    lone.stop().await;
}

#[tokio::test]
async fn with_repinning_disabled_a_drained_peer_is_emptied_and_a_dead_one_is_not() {
    let lone = Lone::start(|config| {
        (config.cluster.disable_repinning, config.cluster.repin_grace) = (true, GRACE);
        config.crdt.trusted_peers = Trust::Only(BTreeSet::new());
    })
    .await;
    let (dead, leaving, well) = (hear(&lone, 40), hear(&lone, 30), hear(&lone, 20));
    lone.cluster.pin(cid(1), between(1, 1)).await.unwrap();
    lose(&lone, dead);
    // What is dead has told how much space it has, and is not asked for more.
    assert!(
        lone.cluster
            .inner
            .members
            .receive(crate::model::Metric { valid: false, ..metric_of("freespace", dead, 0) }, task::wall())
    );
    lone.cluster.pin(cid(2), between(1, 1)).await.unwrap();
    assert_eq!((holders(&lone, 1), holders(&lone, 2)), (vec![dead], vec![leaving]));
    say_leaving(&lone, leaving, true);
    until(&lone, || holders(&lone, 2) == [well]).await;
    assert_eq!(holders(&lone, 1), [dead]);
    lone.stop().await;
}
