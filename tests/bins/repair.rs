//! Pins whose holder is gone get another one, and come back to no harm.
use serde_json::json;

use crate::harness::{Peer, Test};

/// Three peers that wait two seconds for one that is missing.
fn trio(test: &Test) -> [Peer; 3] {
    let mut peers: [Peer; 3] = std::array::from_fn(|n| test.peer(&format!("peer{n}")));
    let first = peers[0].swarm_address();
    for (n, peer) in peers.iter_mut().enumerate() {
        peer.configure(|file| file["cluster"]["repin_grace"] = json!("2s"));
        let bootstrap = ["--bootstrap", first.as_str()];
        peer.start(if n == 0 { &[] } else { &bootstrap });
    }
    for peer in &peers {
        peer.wait_for_members(3);
        peer.kubo().connect(peers[0].kubo());
    }
    peers
}

fn holders(peer: &Peer, cid: &str) -> Vec<String> {
    let pins = peer.json(["pin", "ls", cid]);
    let holders = pins[0]["allocations"].as_array().expect("a pin has allocations");
    holders.iter().map(|holder| holder.as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_pin_whose_holder_is_killed_gets_another_one() {
    let test = Test::new();
    let mut peers = trio(&test);
    let cid = peers[0].kubo().add(b"to be held by two, whoever is there");
    peers[0].ctl(["pin", "add", "--replication-min", "2", "--replication-max", "2", &cid]).code(0);
    peers[0].until("two hold it", |peer| peer.count(&cid, "pinned") == 2);
    let before = holders(&peers[0], &cid);
    let (left, right): (Vec<&mut Peer>, Vec<&mut Peer>) =
        peers.iter_mut().partition(|peer| before.contains(&peer.id()));
    let [first, second] = <[&mut Peer; 2]>::try_from(left).expect("two hold it");
    let [spare] = <[&mut Peer; 1]>::try_from(right).expect("one does not");

    let lost = second.id();
    second.kill();
    spare.until("it holds the pin", |peer| peer.kubo().holds(&cid));
    let now = holders(spare, &cid);
    assert!(!now.contains(&lost) && now.contains(&first.id()), "{now:?}");

    second.start(&["--bootstrap", &first.swarm_address()]);
    second.until("it has let go", |peer| !peer.kubo().holds(&cid));
    assert_eq!(holders(second, &cid), now);
    assert!(first.kubo().holds(&cid) && spare.kubo().holds(&cid));
}
