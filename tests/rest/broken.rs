//! The recordings of peers that are followers, killed, gone, or without their daemon.
use serde_json::{Value, json};

use crate::exceptions::is_unasked;
use crate::harness::Test;
use crate::recording::names;
use crate::stage::{Stage, three};

const A: &str = "QmU6PrA9xo7xueMPQ5nAgMdp6KhuyDqtBex18WpaVqnscM";
const B: &str = "QmaRWDKmPxm3ivXqQGLrHsrp9bg2236FND6cHUo3jm22bD";

/// Asked of a peer whose daemon is away.
const AWAY: [&str; 5] = ["gc-local", "gc", "graph", "id", "path"];
/// Asked of a peer while another does not trust it.
const REFUSED: [&str; 6] = ["graph", "peers", "pins", "recover-all", "status", "gc"];

/// Recordings that the tests here ask.
pub fn is_asked_of_broken_peers(name: &str) -> bool {
    let rest = |start: &str| name.strip_prefix(start);
    match (rest("special-kubodown-"), rest("special-untrusted-")) {
        (Some(rest), _) => AWAY.contains(&rest) || matches!(rest, "peers" | "freespace" | "ping"),
        (_, Some(rest)) => REFUSED.contains(&rest) || matches!(rest, "own-graph" | "own-peers"),
        _ => {
            let starts = ["special-follower-", "special-peerdown-", "special-peergone-"];
            starts.iter().any(|start| name.starts_with(start)) && !is_unasked(name)
        }
    }
}

/// Those that are asked and whose name goes on so.
fn named(start: &str) -> Vec<String> {
    names().into_iter().filter(|name| name.starts_with(start) && is_asked_of_broken_peers(name)).collect()
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

fn restart(stage: &mut Stage, number: usize, change: impl FnOnce(&mut Value)) {
    let peer = stage.peer_mut(number);
    peer.stop();
    peer.configure(change);
    peer.start(&[]);
    for number in 0..3 {
        stage.peer(number).wait_for_members(3);
    }
}

fn restart_third(stage: &mut Stage, follower: bool) {
    restart(stage, 2, |config| config["cluster"]["follower_mode"] = json!(follower));
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
    restart_third(&mut stage, true);
    replay(&mut stage, 2, "special-follower-");
    restart_third(&mut stage, false);
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

#[test]
fn a_peer_that_trusts_nobody_is_answered_for_as_recorded() {
    let test = Test::new();
    let mut stage = stage(&test);
    let own = stage.peer(1).id();
    restart(&mut stage, 1, |config| config["consensus"]["crdt"]["trusted_peers"] = json!([own]));
    for name in REFUSED {
        stage.replay(0, &format!("special-untrusted-{name}"));
    }
    for name in ["own-graph", "own-peers"] {
        stage.replay(1, &format!("special-untrusted-{name}"));
    }
    stage.finish();
}

#[test]
fn a_daemon_that_is_away_is_answered_for_as_recorded() {
    let test = Test::new();
    let mut stage = stage(&test);
    stage.peer_mut(0).kubo_mut().stop();
    // Who a daemon is, is remembered for a while.
    stage.peer(0).until("its daemon is missed", |peer| {
        peer.json(["id"]).first().is_some_and(|id| id["ipfs"]["error"].as_str().is_some_and(|error| !error.is_empty()))
    });
    for name in AWAY {
        stage.replay(0, &format!("special-kubodown-{name}"));
    }
    stage.replay(1, "special-kubodown-peers");
    stage.peer(0).until("its space is not known any more", |peer| {
        let known = peer.json(["health", "metrics", "freespace"]);
        known.first().and_then(Value::as_array).is_some_and(|known| known.len() == 2)
    });
    stage.replay(0, "special-kubodown-freespace");
    stage.replay(0, "special-kubodown-ping");
    stage.finish();
}
