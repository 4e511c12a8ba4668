//! Pins reach the Kubos that they are for, and leave them.
use crate::harness::{Peer, Test, random_cid, request};

#[test]
fn a_pin_of_everybody_is_held_by_all_until_it_is_unpinned() {
    let test = Test::new();
    let peers: [Peer; 3] = test.peers();
    let cid = peers[1].kubo().add(b"held by everybody");
    peers[0].ctl(["pin", "add", "--name", "everywhere", &cid]).code(0).stdout(&cid).stdout("everywhere");
    peers[2].until("all three hold the pin", |peer| peer.count(&cid, "pinned") == 3);
    for peer in &peers {
        assert!(peer.kubo().holds(&cid));
        assert_eq!(peer.pinset(), [cid.as_str()]);
    }

    peers[2].ctl(["pin", "rm", &cid]).code(0);
    for peer in &peers {
        peer.until("its Kubo has let go", |peer| peer.pinset().is_empty() && !peer.kubo().holds(&cid));
    }
    peers[0].ctl(["pin", "rm", &cid]).code(2).stdout("Code: 404").stdout("pin is not part of the pinset");
}

#[test]
fn a_pin_of_two_is_held_by_exactly_two() {
    let test = Test::new();
    let peers: [Peer; 3] = test.peers();
    let cids: Vec<String> = (0..4).map(|n| peers[0].kubo().add(format!("held by two, {n}").as_bytes())).collect();
    for cid in &cids {
        peers[1].ctl(["pin", "add", "-r", "2", "--no-status", cid]).code(0).stdout("Repl. Factor: 2");
    }
    for cid in &cids {
        peers[0].until("two hold the pin", |peer| peer.count(cid, "pinned") == 2 && peer.count(cid, "remote") == 1);
        assert_eq!(peers.iter().filter(|peer| peer.kubo().holds(cid)).count(), 2, "{cid}");
    }
    peers[0]
        .ctl(["pin", "add", "-r", "4", &cids[0]])
        .code(2)
        .stdout("not enough peers to allocate CID. Needed at least: ");
}

#[test]
fn a_restarted_peer_has_its_pinset_and_what_it_missed() {
    let test = Test::new();
    let mut peers: [Peer; 2] = test.peers();
    let before = peers[0].kubo().add(b"pinned before");
    peers[0].ctl(["pin", "add", &before]).code(0);
    peers[1].until("both hold the pin", |peer| peer.count(&before, "pinned") == 2);

    peers[1].stop();
    let meanwhile = peers[0].kubo().add(b"pinned meanwhile");
    peers[0].ctl(["pin", "add", "--no-status", &meanwhile]).code(0);
    peers[0].ctl(["pin", "rm", "--no-status", &before]).code(0);
    let first = peers[0].swarm_address();
    peers[1].start(&["--bootstrap", &first]);
    peers[1].until("it holds what it missed", |peer| peer.kubo().holds(&meanwhile) && !peer.kubo().holds(&before));
    assert_eq!(peers[1].pinset(), [meanwhile]);
}

#[test]
fn a_direct_pin_with_options_is_kept_as_asked() {
    let test = Test::new();
    let [peer]: [Peer; 1] = test.peers();
    let cid = peer.kubo().add(b"one block");
    let options = ["--mode", "direct", "--metadata", "owner=tests", "--expire-in", "1h", "--name", "direct one"];
    let mut args = vec!["pin", "add", "--no-status"];
    args.extend(options);
    args.push(&cid);
    let args: [&str; 12] = args.try_into().expect("twelve words");
    peer.ctl(args).code(0);
    let pins = peer.json(["pin", "ls", &cid]);
    assert_eq!(pins[0]["mode"], "direct");
    assert_eq!(pins[0]["max_depth"], 0);
    assert_eq!(pins[0]["name"], "direct one");
    assert_eq!(pins[0]["metadata"]["owner"], "tests");
    assert_ne!(pins[0]["expire_at"], "0001-01-01T00:00:00Z");
    peer.until("it is pinned", |peer| peer.count(&cid, "pinned") == 1);
}

#[test]
fn an_answer_waits_until_all_hold_the_pin_or_its_time_is_over() {
    let test = Test::new();
    let peers: [Peer; 2] = test.peers();
    let cid = peers[1].kubo().add(b"waited for");
    let (code, body) = request(peers[0].rest_port(), "POST", &format!("/pins/{cid}?wait=pinned&timeout=25s")).unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let statuses: Vec<_> = body["peer_map"].as_object().unwrap().values().map(|peer| peer["status"].clone()).collect();
    assert_eq!((code, statuses), (200, vec!["pinned".into(); 2]), "{body}");
    assert!(peers.iter().all(|peer| peer.kubo().holds(&cid)));

    let nobody_has = random_cid();
    let path = format!("/pins/ipfs/{nobody_has}?wait=pinned&timeout=2s");
    let (code, body) = request(peers[1].rest_port(), "POST", &path).unwrap();
    assert!(code == 202 && body.contains(&nobody_has) && !body.contains("\"pinned\""), "{code} {body}");
    peers[0].until("the pin is there all the same", |peer| peer.pinset().contains(&nobody_has));
}
