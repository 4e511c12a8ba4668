//! How fast a pin travels, measured and shown.
use std::time::Duration;

use ipfs_cluster::task;

use crate::rig::{Home, acquainted, alike, alone};

const PINS: u32 = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_pins_travel_from_peer_to_peer() {
    let _turn = alone().await;
    let homes = [Home::new(), Home::new(), Home::new()];
    let a = homes[0].start(&[]).await;
    let b = homes[1].start(&[a.address().await]).await;
    let c = homes[2].start(&[a.address().await]).await;
    acquainted(&[&a, &b, &c]).await;
    let (mut written, mut travelled) = (Vec::new(), Vec::new());
    for n in 0..PINS {
        let begun = task::now();
        let (accepted, arrived) = tokio::join!(
            async {
                a.pin(n).await;
                task::now()
            },
            b.got(n)
        );
        written.push(accepted - begun);
        travelled.push(arrived.saturating_duration_since(accepted));
    }
    show("accepted", written);
    show("accepted at one peer to visible at another", travelled);
    alike(u64::from(PINS), &[&a, &b, &c]).await;
    assert_eq!(b.counted("changes_synced"), 0, "all came by gossip");
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!("{what}, {} single pins: p50 {:?}, p99 {:?}, slowest {:?}", times.len(), at(50), at(99), at(100));
}
