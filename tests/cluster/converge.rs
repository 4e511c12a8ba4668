//! Peers that are connected end with one pinset.
use crate::rig::{Home, acquainted, alike, cids, shared};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_each_of_three_peers_pins_and_unpins_is_so_on_all() {
    let _turn = shared().await;
    let homes = [Home::new(), Home::new(), Home::new()];
    let a = homes[0].start(&[]).await;
    let b = homes[1].start(&[a.address().await]).await;
    let c = homes[2].start(&[a.address().await]).await;
    acquainted(&[&a, &b, &c]).await;
    tokio::join!(a.pin_many(0..20), b.pin_many(20..40), c.pin_each(40..60));
    alike(60, &[&a, &b, &c]).await;
    // Each removes what another one wrote.
    for n in 0..5 {
        tokio::join!(a.unpin(20 + n), b.unpin(40 + n), c.unpin(n));
    }
    alike(45, &[&a, &b, &c]).await;
    let left = cids((5..20).chain(25..40).chain(45..60));
    for node in [&a, &b, &c] {
        assert_eq!(node.pins().await, left);
        assert_eq!((node.summary().pending, node.summary().staged), (0, 0));
    }
    for node in [a, b, c] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_that_one_peer_renews_while_another_removes_it_stays() {
    let _turn = shared().await;
    let homes = [Home::new(), Home::new()];
    let a = homes[0].start(&[]).await;
    a.pin(1).await;
    let b = homes[1].start(&[a.address().await]).await;
    alike(1, &[&a, &b]).await;
    let address = a.address().await;
    b.stop().await;
    a.unpin(1).await;
    std::fs::remove_file(&homes[1].config.cluster.peerstore_file).unwrap();
    let b = homes[1].start(&[]).await;
    b.pin(1).await;
    b.stop().await;
    assert_eq!(a.entries(), 0);
    let b = homes[1].start(&[address]).await;
    alike(1, &[&a, &b]).await;
    assert!(a.has(1) && b.has(1));
}
