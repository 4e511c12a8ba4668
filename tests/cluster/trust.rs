//! Whose changes count.
use crate::rig::{Home, acquainted, alike, shared, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_untrusted_publisher_changes_nothing_until_a_trusted_peer_builds_on_it() {
    let _turn = shared().await;
    let (believer, stranger) = (Home::new(), Home::new());
    let mut homes = [Home::new(), Home::new()];
    let trusted = Home::trusting([&homes[0].keypair, &homes[1].keypair, &believer.keypair]);
    for home in &mut homes {
        home.config.crdt.trusted_peers = trusted.config.crdt.trusted_peers.clone();
    }
    let a = homes[0].start(&[]).await;
    let b = homes[1].start(&[a.address().await]).await;
    let addresses = [a.address().await, b.address().await];
    let u = stranger.start(&addresses).await;
    acquainted(&[&a, &b, &u]).await;
    u.pin_each(0..5).await;
    for node in [&a, &b] {
        until("all five are counted and kept aside", || {
            node.counted("changes_untrusted") == 5 && node.summary().staged == 5
        })
        .await;
        assert_eq!(node.entries(), 0);
    }
    // What the trusted ones write does not stand on it, and counts everywhere.
    a.pin(10).await;
    b.pin(11).await;
    alike(2, &[&a, &b]).await;
    until("the stranger has what the others wrote", || u.entries() == 7).await;
    assert_eq!((a.counted("changes_synced"), b.counted("changes_synced")), (0, 0));

    let c = believer.start(&[addresses[0].clone(), u.address().await]).await;
    until("who trusts the stranger has its pins", || c.entries() == 7).await;
    c.pin(12).await;
    alike(8, &[&a, &b, &c, &u]).await;
    for node in [&a, &b] {
        assert_eq!(node.summary().staged, 0);
        assert!((0..5).all(|n| node.has(n)));
    }
    // That vouches for what was, and for nothing that comes.
    u.pin(20).await;
    until("it is kept aside again", || a.counted("changes_untrusted") == 6).await;
    assert!(!a.has(20));
}
