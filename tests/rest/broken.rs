//! The recordings of peers that are followers, killed, gone, or without their daemon.
use serde_json::json;

use crate::harness::Test;
use crate::recording::names;
use crate::stage::{Stage, three};

const A: &str = "QmU6PrA9xo7xueMPQ5nAgMdp6KhuyDqtBex18WpaVqnscM";
const B: &str = "QmaRWDKmPxm3ivXqQGLrHsrp9bg2236FND6cHUo3jm22bD";

/// Those whose name goes on so, but for `/add` and what another test has.
fn named(start: &str) -> Vec<String> {
    let names = names().into_iter().filter(|name| name.starts_with(start));
    names.filter(|name| !name.contains("-add") && !name.ends_with("-second")).collect()
}

/// Three peers with a pin of everybody and one of the last two.
fn stage(test: &Test) -> Stage {
    let told: Vec<String> = ["special-peerdown", "special-follower", "special-untrusted", "peers"]
        .iter()
        .flat_map(|start| names().into_iter().filter(move |name| name.starts_with(start)))
        .filter(|name| !name.contains("-add"))
        .collect();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    let stage = Stage::new(three(test), &told);
    stage.content();
    stage.put(&format!("{A}?name=a"));
    let [one, two] = [1, 2].map(|number| stage.peer(number).id());
    stage.put(&format!("{B}?name=nostat&meta-a=b&replication=2&user-allocations={one},{two}"));
    settle(&stage, 2);
    stage
}

fn settle(stage: &Stage, holders: usize) {
    stage.peer(0).until("all is pinned", |peer| peer.count(A, "pinned") == 3 && peer.count(B, "pinned") == holders);
}

fn restart(stage: &mut Stage, follower: bool) {
    let peer = stage.peer_mut(2);
    peer.stop();
    peer.configure(|config| config["cluster"]["follower_mode"] = json!(follower));
    peer.start(&[]);
    for number in 0..3 {
        stage.peer(number).wait_for_members(3);
    }
    settle(stage, 2);
}

fn replay(stage: &mut Stage, number: usize, start: &str) {
    for name in named(start) {
        stage.replay(number, &name);
    }
}

#[test]
fn a_follower_and_a_killed_peer_are_answered_for_as_recorded() {
    let test = Test::new();
    let mut stage = stage(&test);
    restart(&mut stage, true);
    replay(&mut stage, 2, "special-follower-");
    restart(&mut stage, false);
    // The recordings that follow were made with another pin.
    stage.peer(0).ctl(["pin", "rm", "--no-status", B]).code(0);
    stage.put(&format!("{B}?name=b&replication=1&user-allocations={}", stage.peer(2).id()));
    settle(&stage, 1);
    stage.peer_mut(2).kill();
    replay(&mut stage, 0, "special-peerdown-");
    stage.peer(0).until("the killed peer is no member", |peer| peer.json(["peers", "ls"]).len() == 2);
    stage.peer(0).until("its alerts are told", |peer| {
        let alerts = peer.json(["health", "alerts"]);
        alerts.first().and_then(|alerts| alerts.as_array()).is_some_and(|alerts| alerts.len() >= 3)
    });
    replay(&mut stage, 0, "special-peergone-");
    stage.finish();
}
