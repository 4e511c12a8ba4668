//! Pins whose holder is gone or drained get another one, and come back to no harm.
use serde_json::json;

use crate::harness::{Peer, Test, random_cid};

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

/// Pins content on two of the peers, which come first then; returns its CID.
fn pin_on_two(peers: &mut [Peer; 3], content: &[u8]) -> String {
    let cid = peers[0].kubo().add(content);
    peers[0].ctl(["pin", "add", "--replication-min", "2", "--replication-max", "2", &cid]).code(0);
    peers[0].until("two hold it", |peer| peer.count(&cid, "pinned") == 2);
    let holders = holders(&peers[0], &cid);
    peers.sort_by_key(|peer| holders.iter().position(|holder| *holder == peer.id()).unwrap_or(2));
    cid
}

#[test]
fn a_pin_whose_holder_is_killed_gets_another_one() {
    let test = Test::new();
    let mut peers = trio(&test);
    let cid = pin_on_two(&mut peers, b"to be held by two, whoever is there");
    let [first, second, spare] = &mut peers;

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

#[test]
fn a_drained_peer_keeps_its_pin_until_the_third_has_it_and_gets_new_ones_when_it_is_back() {
    let test = Test::new();
    let mut peers = trio(&test);
    let cid = pin_on_two(&mut peers, b"to be held by two, one of which is to be taken away");
    let [drained, other, spare] = &mut peers;
    let id = drained.id();

    // The third cannot have it yet.
    spare.kubo_mut().stop();
    let answer = other.ctl(["--enc=json", "peers", "drain", &id]).code(0).json();
    assert_eq!((&answer[0]["leaving"], &answer[0]["peer"]), (&json!(true), &json!(id)));
    other.until("the third is to hold it", |peer| holders(peer, &cid).contains(&spare.id()));
    assert_eq!(holders(other, &cid).len(), 2);
    other.until("nothing is allocated to the drained one, which keeps the pin", |peer| {
        let drain = &peer.json(["peers", "drain", &id])[0];
        (&drain["pins_left"], &drain["pins_kept"]) == (&json!(0), &json!(1))
    });
    assert!(drained.kubo().holds(&cid) && other.kubo().holds(&cid));
    other.ctl(["peers", "drain", &id]).code(0).stdout("is being drained\n  pins that are allocated to it: 0\n");

    spare.kubo_mut().start();
    spare.kubo_mut().wait();
    spare.kubo().connect(other.kubo());
    other.ctl(["peers", "drain", "--wait", &id]).code(0).stdout("is drained: it can be taken away");
    assert!(!drained.kubo().holds(&cid) && other.kubo().holds(&cid) && spare.kubo().holds(&cid));

    // It stays so over a restart, and gets nothing, also when it is asked for.
    drained.stop();
    drained.start(&["--bootstrap", &other.swarm_address()]);
    drained.wait_for_members(3);
    other.until("it says that it leaves", |peer| leaving(peer) == [id.clone()]);
    assert!(!new_holders(other, &id).contains(&id));
    other.ctl(["peers", "drain", "--undo", &id]).code(0).stdout("is not being drained");
    other.until("it is a peer like the others", |peer| leaving(peer).is_empty());
    assert!(new_holders(other, &id).contains(&id));
}

/// The peers that say that they are being drained.
fn leaving(peer: &Peer) -> Vec<String> {
    let metrics = peer.json(["health", "metrics", "leaving"]);
    let metrics = metrics[0].as_array().into_iter().flatten();
    metrics.map(|metric| metric["peer"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Who is to hold a new pin that is wished on `wanted`.
fn new_holders(peer: &Peer, wanted: &str) -> Vec<String> {
    let cid = random_cid();
    let add = ["pin", "add", "--no-status", "--replication", "1", "--allocations", wanted, &cid];
    peer.ctl(add).code(0);
    holders(peer, &cid)
}
