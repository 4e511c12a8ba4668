//! Two peers, and one of them killed.
use serde_json::json;

use super::pair::Pair;
use crate::harness::{Peer, Test};

/// What two say of themselves and of each other.
const MEMBERS: [&str; 9] = [
    "id",
    "peers ls",
    "peers rm {peer1}",
    "health metrics ping",
    "health metrics freespace",
    "health metrics tag:group",
    "health graph",
    "health graph --all-ipfs-peers",
    "health alerts",
];

/// Pins of both, of one and of the other.
const TAKEN: [&str; 7] = [
    "pin add --no-status {a}",
    "pin add --no-status -r 1 --allocations {peer0} {b}",
    "pin add --no-status -r 1 -allocs {peer1} {c}",
    "pin add --no-status -rmin 1 -rmax 2 -allocs {peer1},{peer0} {d}",
    "pin add --no-status -r 2 {e}",
    "pin add -r 3 {e}",
    "pin add -r 2 -allocs {peer1} --no-status {e}",
];

/// Where these stand.
const STATUSES: [&str; 13] = [
    "status {a}",
    "status {b}",
    "status {c}",
    "status {a} {b}",
    "status --local {c}",
    "status",
    "status --local",
    "status --filter remote",
    "status --filter pinned",
    "status --local --filter remote,pinned",
    "pin ls",
    "pin ls {d}",
    "recover {c}",
];

/// What the one that is left says, before the other is missed and when it is.
const ALONE: [&str; 9] =
    ["id", "peers ls", "health graph", "ipfs gc", "status {a}", "status {c}", "status", "recover {b}", "recover"];

#[test]
fn two_peers_and_one_that_is_killed() {
    let test = Test::new();
    let mut peers: [Peer; 2] = std::array::from_fn(|number| test.peer(&format!("peer{number}")));
    let first = peers[0].swarm_address();
    for (number, peer) in peers.iter_mut().enumerate() {
        peer.configure(|config| {
            config["informer"]["tags"]["tags"] = json!({"group": format!("g{number}")});
            config["informer"]["pinqueue"]["metric_ttl"] = json!("4s");
        });
        if number == 0 { peer.start(&[]) } else { peer.start(&["--bootstrap", &first]) }
    }
    for peer in &peers {
        peer.wait_for_members(2);
    }
    peers[1].kubo().connect(peers[0].kubo());
    let mut pair = Pair::new("two", &peers[0]);
    pair.name("peer0", &peers[0].id());
    pair.name("peer1", &peers[1].id());
    pair.all(&MEMBERS);
    pair.content(&peers[0], &["a", "b", "c", "f"]);
    // The CID decides in what order they are listed.
    for name in ["d", "e"] {
        pair.name(name, &peers[0].kubo().add(name.as_bytes()));
    }
    pair.all(&TAKEN);
    pair.together(&["pin add --wait {a}", "pin add --wait -r 2 {e}", "pin update --wait {d} {f}"]);
    peers[0].until("nothing is on its way", |peer| {
        peer.json(["status", "--filter", "queued,pinning,unpinning"]).is_empty()
    });
    pair.all(&STATUSES);
    // There is nothing left that only the first of both could collect.
    peers[0].ctl(["ipfs", "gc"]).code(0);
    peers[1].kill();
    pair.settled(&ALONE);
    peers[0].until("the killed peer is missed", |peer| {
        let alerts = peer.json(["health", "alerts"]);
        peer.json(["peers", "ls"]).len() == 1 && alerts[0].as_array().is_some_and(|alerts| alerts.len() >= 4)
    });
    pair.settled(&["health alerts"]);
    pair.settled(&ALONE);
    pair.same("pin add -r 2 {b}");
    pair.finish();
}
