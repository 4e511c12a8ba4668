//! Bad input and missing neighbours: clear words, and the peer goes on where it can.
use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::{Output, Peer, Test};

#[test]
fn a_peer_without_kubo_takes_pins_and_works_when_kubo_appears() {
    let test = Test::new();
    let mut peer = test.peer("early");
    peer.kubo_mut().wait();
    let cid = peer.kubo().add(b"pinned while Kubo was away");
    peer.kubo_mut().stop();

    peer.start_alone(&[]);
    peer.until("it is ready", |peer| peer.log().contains("IPFS Cluster is READY"));
    peer.ctl(["pin", "add", "--no-status", &cid]).code(0);
    peer.until("status says that it waits", |peer| {
        let waits = peer.count(&cid, "pin_queued") + peer.count(&cid, "pinning") + peer.count(&cid, "pin_error");
        waits == 1
    });
    let id = peer.json(["id"]);
    assert_ne!(id[0]["ipfs"]["error"], "", "{id:?}");

    peer.kubo_mut().start();
    peer.kubo_mut().wait();
    peer.until("it is pinned", |peer| peer.count(&cid, "pinned") == 1);
    assert!(peer.kubo().holds(&cid));
}

#[test]
fn a_peer_that_hangs_is_an_error_in_a_list_and_holds_it_up_no_longer_than_a_second() {
    let test = Test::new();
    let [mut first, mut hung] = ["first", "hung"].map(|name| test.peer(name));
    for peer in [&first, &hung] {
        // It is a member for as long as the test takes.
        peer.configure(|config| config["cluster"]["monitor_ping_interval"] = json!("1m"));
    }
    first.start(&[]);
    hung.start(&["--bootstrap", &first.swarm_address()]);
    first.wait_for_members(2);
    hung.kubo().connect(first.kubo());
    let cid = first.kubo().add(b"held by one that hangs");
    first.ctl(["pin", "add", "--no-status", &cid]).code(0);
    first.until("both hold it", |peer| peer.count(&cid, "pinned") == 2);

    hung.signal(Signal::SIGSTOP);
    first.ctl(["status"]).code(0).stdout("CLUSTER_ERROR: no status arrived for 1s");
    hung.signal(Signal::SIGCONT);
    first.until("it is heard again", |peer| peer.ctl(["status"]).code(0).text().matches(": PINNED |").count() == 2);
}

#[test]
fn a_second_daemon_in_one_directory_is_refused_and_the_first_goes_on() {
    let test = Test::new();
    let [peer]: [Peer; 1] = test.peers();
    Output::of(&mut peer.service(&["daemon"])).code(1).stderr("error obtaining execution lock");
    peer.ctl(["id"]).code(0).stdout(&peer.id());
}

#[test]
fn a_wrong_secret_is_named_on_both_sides() {
    let test = Test::new();
    let [peer]: [Peer; 1] = test.peers();
    let mut stranger = test.stranger("stranger");
    stranger.start(&["--bootstrap", &peer.swarm_address()]);
    for side in [&stranger, &peer] {
        side.until("its log names the likely cause", |side| side.log().to_lowercase().contains("secret"));
    }
    peer.wait_for_members(1);
    stranger.wait_for_members(1);
    // Neither side's log may give the secret away.
    for side in [&stranger, &peer] {
        let secret = side.file("service.json")["cluster"]["secret"].as_str().expect("there is a secret").to_owned();
        assert!(!side.log().contains(&secret));
    }
}

#[test]
fn every_fault_of_a_configuration_is_named_at_once() {
    let test = Test::new();
    let peer = test.peer("faulty");
    peer.configure(|file| {
        file["cluster"]["replication_factor_min"] = json!(5);
        file["cluster"]["replication_factor_max"] = json!(2);
        file["monitor"]["pubsubmon"]["check_interval"] = json!("0s");
        file["informer"]["disk"]["metric_type"] = json!("nonsense");
    });
    Output::of(&mut peer.service(&["daemon"]))
        .code(1)
        .stderr("error loading configurations")
        .stderr("cluster.replication_factor_min is larger than max")
        .stderr("pubsubmon.check_interval")
        .stderr("disk.metric_type");
}

#[test]
fn the_configuration_of_a_go_cluster_is_refused_with_its_remedy() {
    let test = Test::new();
    let peer = test.peer("merkle");
    peer.configure(|file| {
        let crdt = file["consensus"]["crdt"].as_object_mut().expect("there is a crdt section");
        crdt.remove("engine");
    });
    Output::of(&mut peer.service(&["daemon"])).code(1).stderr("CLUSTER_CRDT_ENGINE=automerge");
}

#[test]
fn a_broken_configuration_is_refused_with_its_place() {
    let test = Test::new();
    let peer = test.peer("broken");
    std::fs::write(test.path("broken/service.json"), "{ \"cluster\": [").expect("the file can be written");
    Output::of(&mut peer.service(&["daemon"])).code(1).stderr("error loading configurations");
}
