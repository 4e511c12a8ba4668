//! A follower holds what the publishers pin, and writes nothing.
use serde_json::json;

use crate::harness::{Follower, Peer, Test, random_cid};

#[test]
fn a_follower_pins_and_refuses_writes() {
    let test = Test::new();
    let [publisher]: [Peer; 1] = test.peers();
    let cid = publisher.kubo().add(b"followed");
    publisher.ctl(["pin", "add", "--name", "followed pin", &cid]).code(0);

    let mut follower = test.follower(&[&publisher]);
    follower.start();
    follower.kubo().connect(publisher.kubo());
    follower.until("it holds the publisher's pin", |follower| follower.kubo().holds(&cid));
    publisher.until("the publisher sees it", |peer| peer.count(&cid, "pinned") == 2);
    follower.until("it lists the pin", |follower| {
        let list = follower.follow(&["list"]).code(0);
        list.text().lines().any(|line| line.starts_with("pinned") && line.contains(&cid))
    });
    follower.follow(&["info"]).code(0).stdout("Cluster Peer online: true");

    let refusal = "this peer is configured to be in follower mode. Write operations are disabled";
    follower.ctl(["pin", "add", &random_cid()]).code(2).stdout(refusal);
    follower.ctl(["pin", "rm", &cid]).code(2).stdout(refusal);
    assert_eq!(publisher.pinset(), [cid.as_str()]);

    publisher.ctl(["pin", "rm", &cid]).code(0);
    follower.until("its Kubo has let go", |follower| !follower.kubo().holds(&cid));
}

#[test]
fn a_follower_starts_with_its_template_gone() {
    let test = Test::new();
    let [publisher]: [Peer; 1] = test.peers();
    let mut follower = test.follower(&[&publisher]);
    follower.start();
    follower.stop();
    std::fs::remove_file(test.path("template.json")).expect("the template was there");
    follower.start();
    let cid = publisher.kubo().add(b"after the template went");
    follower.kubo().connect(publisher.kubo());
    publisher.ctl(["pin", "add", &cid]).code(0);
    follower.until("it still follows", |follower| follower.kubo().holds(&cid));
}

#[test]
fn a_template_may_be_under_a_name_that_the_gateway_resolves() {
    let test = Test::new();
    let [publisher]: [Peer; 1] = test.peers();
    let cid = publisher.kubo().add(b"followed by a name");
    publisher.ctl(["pin", "add", "--no-status", &cid]).code(0);
    let mut follower = test.follower(&[&publisher]);
    let name = follower.init_by_name();
    follower.start();
    follower.kubo().connect(publisher.kubo());
    follower.until("it holds the publisher's pin", |follower| follower.kubo().holds(&cid));
    let source = format!("Available (http://{}/ipns/{name})", follower.kubo().gateway());
    follower.until("it has heard of the publisher", |follower| {
        let info = follower.follow(&["info"]).code(0).stdout(&source).stdout("Pins: 1\nIPFS repository: ");
        info.text().contains("Sync: in sync") && info.text().contains("ago\n") && !info.text().contains("none since")
    });
}

#[test]
fn a_follower_reads_anew_whom_it_trusts() {
    let test = Test::new();
    let [publisher]: [Peer; 1] = test.peers();
    let cid = publisher.kubo().add(b"of a publisher who is trusted later");
    publisher.ctl(["pin", "add", "--no-status", &cid]).code(0);

    let mut follower = test.follower(&[&publisher]);
    let stranger = "12D3KooWFBHzB7anQizc7z6ivNdfGmGTDqnXUcSJfiMYMdxsDy6s";
    follower.retemplate(|template| template["consensus"]["crdt"]["trusted_peers"] = json!([stranger]));
    follower.start();
    follower.kubo().connect(publisher.kubo());
    publisher.wait_for_members(2);
    follower.retemplate(|template| template["consensus"]["crdt"]["trusted_peers"] = json!(["x"]));
    follower.until("the fault is told", |follower| {
        follower.log().contains("the trusted peers stay as they were: the template at ")
    });
    assert!(!follower.kubo().holds(&cid));

    follower.retemplate(|template| template["consensus"]["crdt"]["trusted_peers"] = json!([publisher.id()]));
    follower.until("it holds the publisher's pin", |follower| follower.kubo().holds(&cid));
    let told = format!("added: {}; removed: {stranger}", publisher.id());
    assert!(follower.log().contains(&told), "{}", follower.log());
}

/// Content that has no two blocks alike.
fn noise(seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; 700_000];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn a_follower_with_a_budget_holds_what_fits_and_says_so() {
    let test = Test::new();
    let [publisher]: [Peer; 1] = test.peers();
    let cids: Vec<String> = (0..4_u8)
        .map(|n| {
            let cid = publisher.kubo().add(&noise(n));
            publisher.ctl(["pin", "add", "--no-status", &cid]).code(0);
            cid
        })
        .collect();
    let mut follower = test.follower(&[&publisher]);
    follower.retemplate(|template| template["cluster"]["monitor_ping_interval"] = json!("500ms"));
    follower.init_with_budget("2MiB");
    follower.start();
    follower.kubo().connect(publisher.kubo());
    let held = |follower: &Follower| -> Vec<String> {
        cids.iter().filter(|cid| follower.kubo().holds(cid)).cloned().collect()
    };
    follower.until("it holds what fits", |follower| held(follower).len() == 2);
    follower.until("the others are not for it", |follower| {
        follower.follow(&["list"]).code(0).text().lines().filter(|line| line.starts_with("remote")).count() == 2
    });
    // Kubo has a pin a moment before the follower hears of it.
    follower.until("info tells what is spent", |follower| {
        let info = follower.follow(&["info"]).code(0).text().to_owned();
        info.contains("Pins: 4\nBudget: 2.1 MB; held: 1.4 MB; reserved: 0 B\n")
    });

    publisher.ctl(["pin", "rm", &held(&follower)[0]]).code(0);
    follower.until("another has its place", |follower| held(follower).len() == 2);
}
