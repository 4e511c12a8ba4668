//! Peers that were away, or are new, and what they missed.
use std::time::Duration;

use ipfs_cluster::task;

use crate::rig::{Home, acquainted, alike, alone, cids, shared, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_joiner_has_the_whole_pinset_within_a_second_of_its_connection() {
    let _turn = alone().await;
    let homes = [Home::new(), Home::new(), Home::new()];
    let a = homes[0].start(&[]).await;
    let b = homes[1].start(&[a.address().await]).await;
    acquainted(&[&a, &b]).await;
    a.pin_each(0..200).await;
    alike(200, &[&a, &b]).await;
    let late = homes[2].start(&[b.address().await]).await;
    // It dials from now on: the connection is younger than this.
    let begun = task::now();
    alike(200, &[&a, &b, &late]).await;
    let took = begun.elapsed();
    println!("a late joiner has 200 pins, each a change, after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    // Both others offer all that it lacks, and it takes each change once.
    until("they are counted", || late.counted("changes_applied") == 200).await;
    assert!(late.counted("changes_synced") >= 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_peer_learns_what_it_missed_by_sync_alone() {
    let _turn = shared().await;
    let homes = [Home::new(), Home::new(), Home::new()];
    let a = homes[0].start(&[]).await;
    let b = homes[1].start(&[a.address().await]).await;
    let c = homes[2].start(&[a.address().await]).await;
    acquainted(&[&a, &b, &c]).await;
    b.pin_each(0..10).await;
    alike(10, &[&a, &b, &c]).await;
    b.stop().await;
    tokio::join!(a.pin_each(10..20), c.pin_each(20..30));
    a.unpin(0).await;
    c.unpin(25).await;
    alike(28, &[&a, &c]).await;
    let b = homes[1].start(&[c.address().await]).await;
    alike(28, &[&a, &b, &c]).await;
    assert_eq!(b.pins().await, cids((1..25).chain(26..30)));
    until("they are counted", || b.counted("changes_applied") == 22).await;
    assert!(b.counted("changes_synced") >= 22);
    // And it writes on.
    b.pin(99).await;
    alike(29, &[&a, &b, &c]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_two_thousand_pins_behind_catches_up() {
    let _turn = shared().await;
    let homes = [Home::new(), Home::new()];
    let a = homes[0].start(&[]).await;
    let b = homes[1].start(&[a.address().await]).await;
    a.pin(0).await;
    alike(1, &[&a, &b]).await;
    b.stop().await;
    let begun = task::now();
    a.pin_many(1..2_000).await;
    let wrote = begun.elapsed();
    let (address, begun) = (a.address().await, task::now());
    let b = homes[1].start(&[address]).await;
    alike(2_000, &[&a, &b]).await;
    let took = begun.elapsed();
    until("they are counted", || b.counted("changes_synced") > 0).await;
    let changes = b.counted("changes_synced");
    println!("1,999 pins written in {wrote:?}; caught up, {changes} changes, in {took:?}");
    assert!(changes > 100, "only {changes} changes: the history was too short to prove much");
    assert_eq!(b.counted("changes_applied"), changes);
}
