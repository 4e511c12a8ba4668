//! Peers that end without a word.
use std::sync::atomic::{AtomicU32, Ordering};

use ipfs_cluster::model::PinOptions;

use crate::rig::{Home, acquainted, alike, cid, shared, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_ends_in_the_middle_of_its_writes_comes_back_with_all_that_it_acknowledged() {
    let _turn = shared().await;
    let homes = [Home::new(), Home::new(), Home::new()];
    let a = homes[0].start(&[]).await;
    let mut b = homes[1].start(&[a.address().await]).await;
    let c = homes[2].start(&[a.address().await]).await;
    acquainted(&[&a, &b, &c]).await;
    let mut acknowledged = 0;
    for round in 0..3_u32 {
        let first = 1_000 * round;
        let (done, writes) = (AtomicU32::new(0), b.cluster.clone());
        let stream = async {
            for n in first.. {
                match writes.pin(cid(n), PinOptions::default()).await {
                    Ok(_) => drop(done.fetch_add(1, Ordering::Relaxed)),
                    Err(_) => break,
                }
            }
        };
        let cut = async {
            until("some are written", || done.load(Ordering::Relaxed) >= 20).await;
            drop(b);
            a.pin(first + 900).await;
        };
        tokio::join!(stream, cut);
        drop(writes);
        b = homes[1].start_again(&[a.address().await, c.address().await]).await;
        let done = done.into_inner();
        assert!((first..first + done).all(|n| b.has(n)), "of {done} in round {round} some are lost");
        acknowledged += u64::from(done) + 1;
        until("all hold what was acknowledged", || [&a, &b, &c].iter().all(|n| n.entries() >= acknowledged)).await;
        // A write that was cut off before its answer may have been made.
        acknowledged = b.entries();
        alike(acknowledged, &[&a, &b, &c]).await;
    }
}
