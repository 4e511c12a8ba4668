use super::*;
use crate::cluster::testing::{Lone, cid};
use crate::model::PinOptions;

const HOUR: Duration = Duration::from_hours(1);

fn until(moment: UnixMillis) -> PinOptions {
    PinOptions { expire_at: Some(moment), ..PinOptions::default() }
}

#[tokio::test]
async fn what_expired_is_unpinned_however_much_others_have_to_remove() {
    let lone = Lone::start(|_| ()).await;
    let now = task::wall();
    // Nearly all of what expires first is closer to one of these, who do nothing.
    let others: Vec<PeerId> = (0..8).map(|_| lone.hear_of(&[("ping", 0)])).collect();
    let count = EXPIRED_PAGE as u64 + 500;
    let pins = (0..count).map(|n| lone.cluster.pin(cid(n), until(now.plus(HOUR))));
    futures::future::try_join_all(pins).await.unwrap();
    lone.cluster.pin(cid(count), until(now.plus(HOUR * 3))).await.unwrap();
    lone.cluster.pin(cid(count + 1), PinOptions::default()).await.unwrap();
    expire(&lone.cluster, now.plus(HOUR * 2)).await.unwrap();
    let distance = Distance::new(&lone.cluster.own_id(), &others);
    for n in 0..count {
        assert_eq!(lone.cluster.allocation(cid(n)).is_err(), distance.is_closest(&cid(n)), "{n}");
    }
    assert!(lone.cluster.allocation(cid(count)).is_ok() && lone.cluster.allocation(cid(count + 1)).is_ok());
    lone.stop().await;
}

#[tokio::test]
async fn a_pin_that_was_renewed_meanwhile_stays() {
    let lone = Lone::start(|_| ()).await;
    let now = task::wall();
    lone.cluster.pin(cid(1), until(now.plus(HOUR * 3))).await.unwrap();
    assert!(!lone.cluster.unpin_expired(cid(1), now.plus(HOUR * 2)).await.unwrap());
    assert!(lone.cluster.unpin_expired(cid(1), now.plus(HOUR * 4)).await.unwrap());
    assert!(unpin(&lone.cluster, cid(1), now).await.is_none());
    lone.stop().await;
}

#[test]
fn addresses_that_were_heard_of_are_sorted_by_peer_and_bounded() {
    let [a, b] = [PeerId::random(), PeerId::random()];
    let address = |peer: PeerId, port: usize| format!("/ip4/10.0.0.1/tcp/{port}/p2p/{peer}").parse().unwrap();
    let mut addresses: Vec<Multiaddr> = vec![address(a, 1), address(b, 2), address(a, 3)];
    addresses.push("/ip4/10.0.0.1/tcp/4".parse().unwrap());
    let heard = addresses_by_peer(&addresses);
    assert_eq!((heard.len(), heard[&a].len(), heard[&b].len()), (2, 2, 1));
    let many: Vec<Multiaddr> = (0..HEARD_MAX + 10).map(|n| address(a, n)).collect();
    assert_eq!(addresses_by_peer(&many)[&a].len(), HEARD_MAX);
}
