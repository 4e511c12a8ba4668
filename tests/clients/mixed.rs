//! A peer of Go's and one of ours under one secret: each keeps its own pinset, and ours shows where both stand.
use crate::harness::Test;
use crate::host::{Host, Place, Whose};

const GOS: usize = 20;
const OURS: usize = 3;

#[test]
fn what_a_go_peer_holds_is_shown_though_it_tells_it_in_an_order_of_its_own() {
    let test = Test::new();
    let places = ["ours", "gos"].map(|name| Place::new(&test.path(&format!("kubo of {name}"))));
    let secret = hex::encode(rand::random::<[u8; 32]>());
    let host = |number: usize, whose, name: &str| Host::new(whose, &places[number], test.path(name), &secret);
    let (mut ours, mut go) = (host(0, Whose::Ours, "ours"), host(1, Whose::Go, "go"));
    for host in [&ours, &go] {
        host.types("ipfs-cluster-service init", str::to_owned);
    }
    ours.starts("ipfs-cluster-service daemon");
    go.starts(&format!("ipfs-cluster-service daemon --bootstrap {}", ours.address()));
    ours.until("ipfs-cluster-ctl peers ls", |peers| peers.matches("Sees 1 other peers").count() == 2);

    for (host, number, count) in [(&go, 1, GOS), (&ours, 0, OURS)] {
        for n in 0..count {
            let cid = places[number].kubo.add(format!("{} {n}", host.name).as_bytes());
            host.types(&format!("ipfs-cluster-ctl pin add --no-status {cid}"), str::to_owned);
        }
    }
    let is_whole = |status: &str| status.matches(": PINNED |").count() == GOS + OURS && !status.contains("ERROR");
    ours.until("ipfs-cluster-ctl status", is_whole);
    for host in [&mut go, &mut ours] {
        assert_eq!(host.interrupts(), Some(0));
    }
}
