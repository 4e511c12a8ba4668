//! Copies move to a peer that has room.
use serde_json::{Value, json};

use crate::harness::{Peer, Test};

const PINS: usize = 10;
const BYTES: usize = 1_000_000;

/// A peer that is compared by the size of its repository.
fn peer(test: &Test, name: &str) -> Peer {
    let peer = test.peer(name);
    peer.configure(|file| {
        file["informer"]["disk"] = json!({ "metric_ttl": "2s", "metric_type": "reposize" });
        file["allocator"]["balanced"]["allocate_by"] = json!(["reposize"]);
    });
    peer
}

/// Pins content on a peer that has to fetch it, and so knows its size.
fn fill(full: &Peer, source: &Peer) -> Vec<String> {
    full.kubo().connect(source.kubo());
    let content =
        |n: usize| (0..BYTES).map(|byte| u8::try_from((byte * (n + 1)) % 251).unwrap_or(0)).collect::<Vec<_>>();
    let cids: Vec<String> = (0..PINS).map(|n| source.kubo().add(&content(n))).collect();
    for cid in &cids {
        full.ctl(["pin", "add", "--no-status", "--replication-min", "1", "--replication-max", "1", cid]).code(0);
    }
    full.until("it holds all", |peer| cids.iter().all(|cid| peer.count(cid, "pinned") == 1));
    cids
}

/// What `member` says that it holds, as `peer` has heard.
fn size(peer: &Peer, member: &str) -> Option<i64> {
    let metrics = peer.json(["health", "metrics", "reposize"]);
    let metric = metrics.first().and_then(Value::as_array)?.iter().find(|metric| metric["peer"] == member)?.clone();
    metric["weight"].as_i64().map(i64::wrapping_neg)
}

#[test]
fn copies_move_to_a_peer_that_has_room_and_the_one_without_lets_go_of_them() {
    let test = Test::new();
    let (mut full, mut roomy) = (peer(&test, "full"), peer(&test, "roomy"));
    full.start(&[]);
    let cids = fill(&full, &roomy);
    roomy.start(&["--bootstrap", &full.swarm_address()]);
    roomy.ctl(["ipfs", "gc", "--local"]).code(0);
    full.until("one holds all and the other nothing", |peer| {
        size(peer, &full.id()) > Some(10_000_000) && size(peer, &roomy.id()).is_some_and(|size| size < 1_500_000)
    });

    full.ctl(["rebalance", "--max-bytes", "much"]).code(1).stderr("error reading --max-bytes");
    full.ctl(["rebalance", "--dry-run", "--max-bytes", "1"]).code(0).stdout("would move 0 copies");
    let lines = full.ctl(["--enc=json", "rebalance", "--dry-run"]).code(0).json();
    let (planned, end) = lines.split_at(lines.len() - 1);
    assert!((3..=5).contains(&planned.len()) && end[0]["moved"] == planned.len(), "{lines:?}");
    assert!(planned.iter().all(|line| line["from"] == full.id() && line["to"] == roomy.id()), "{lines:?}");
    assert!(planned.iter().all(|line| line["bytes"].as_u64() >= Some(BYTES as u64)), "{lines:?}");
    assert!(cids.iter().all(|cid| full.kubo().holds(cid)));

    full.ctl(["rebalance"]).code(0).stdout(&format!("\nmoved {} copies", planned.len()));
    let moved = |cid: &&String| planned.iter().any(|line| line["cid"] == **cid);
    full.until("each is on one of them", |full| {
        cids.iter().all(|cid| (roomy.kubo().holds(cid), full.kubo().holds(cid)) == (moved(&cid), !moved(&cid)))
    });
    full.ctl(["rebalance"]).code(0).stdout("moved 0 copies");
}
