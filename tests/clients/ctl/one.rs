//! One peer and its daemon: every command but `add`.
use super::pair::Pair;
use crate::harness::{Peer, Test};

/// What a peer says before there is a pin.
const EMPTY: [&str; 34] = [
    "id",
    "version",
    "commands",
    "peers ls",
    "peers rm {absent-peer}",
    "peers rm abc",
    "peers rm",
    "peers add {absent-peer}",
    "pin ls",
    "pin ls --filter all,meta-pin",
    "pin ls --filter nonsense",
    "pin ls {absent}",
    "pin ls abc",
    "status",
    "status --local",
    "status --filter nonsense",
    "status {absent}",
    "status abc",
    "recover",
    "recover --local",
    "recover {absent}",
    "recover abc",
    "health metrics",
    "health metrics ping",
    "health metrics freespace",
    "health metrics pinqueue",
    "health metrics nothing",
    "health alerts",
    "health bandwidth",
    "health graph",
    "health graph --all-ipfs-peers",
    "health graph -f /nowhere/graph.dot",
    "ipfs gc",
    "ipfs gc --local",
];

/// Pins that are printed as they were taken.
const TAKEN: [&str; 21] = [
    "pin add --no-status {a}",
    "pin add -ns --name {words} {a}",
    "pin add --no-status -r 1 {b}",
    "pin add --no-status -rmin 1 -rmax 2 --name c {c}",
    "pin add --no-status --replication-min -1 --replication-max -1 {c}",
    "pin add --no-status -r 1 --allocations {peer} {d}",
    "pin add --no-status -r 1 -allocs {absent-peer} {d}",
    "pin add --no-status --metadata k=v --metadata l=m=n {e}",
    "pin add --no-status --expire-in 100h {e}",
    "pin add --no-status --mode direct {f}",
    "pin add --no-status --mode nonsense {g}",
    "pin add --no-status /ipfs/{tree}",
    "pin add --no-status /ipfs/{tree}/leaf",
    "pin add --no-status /ipld/{tree}",
    "pin add /ipfs/{tree}/nothing",
    "pin add -r 2 {a}",
    "pin add -rmin 3 -rmax 2 {a}",
    "pin update --no-status {a} {h}",
    "pin update --no-status --name later --expire-in 50h {e} {h}",
    "pin update {absent} {h}",
    "pin update abc {h}",
];

/// What is wrong before a peer is asked, or what it has not got.
const REFUSED: [&str; 14] = [
    "pin add",
    "pin add abc",
    "pin add /ipns/abc/",
    "pin add --allocations x {a}",
    "pin add --metadata x {a}",
    "pin add --expire-in x {a}",
    "pin add --expire-in -5s {a}",
    "pin update",
    "pin update {a}",
    "pin rm",
    "pin rm abc",
    "pin rm {absent}",
    "pin rm /ipfs/{tree}/nothing",
    "pin nothing {a}",
];

/// Lists of many pins; nothing moves.
const LISTS: [&str; 16] = [
    "pin ls",
    "pin ls --filter nonsense",
    "pin ls {a}",
    "pin ls {f}",
    "pin ls --filter pin",
    "pin ls --filter shard-pin",
    "status",
    "status --local",
    "status --filter pinned",
    "status --filter pin_error,remote",
    "status --local --filter pinned",
    "status {a}",
    "status --local {a}",
    "status {b} {c} {absent}",
    "status {b} abc",
    "recover {a}",
];

#[test]
fn every_command_but_add_does_the_same() {
    let test = Test::new();
    let mut peer = test.peer("peer0");
    peer.configure(|config| config["ipfs_connector"]["ipfshttp"]["pin_timeout"] = "2s".into());
    peer.start(&[]);
    peer.wait_for_members(1);
    let mut pair = Pair::new("one", &peer);
    pair.nothing(&["absent", "lost", "gone"]);
    pair.name("words", "two words & <more>");
    pair.name("peer", &peer.id());
    pair.name("absent-peer", "12D3KooWPwrYuiHPYV5hmCHmmqd4ynTSWHELVJ9NSuZhtb3bGrXk");
    pair.all(&EMPTY);
    // What is not pinned yet does not outlive a collection.
    pair.content(&peer, &["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    pair.name("tree", &peer.kubo().add_folder("leaf", b"a leaf"));
    pair.all(&TAKEN);
    pair.all(&REFUSED);
    drawn(&mut pair, &test);
    waits(&mut pair);
    peer.until("nothing is on its way", |peer| {
        peer.json(["status", "--filter", "queued,pinning,unpinning"]).is_empty()
    });
    pair.all(&LISTS);
    // What failed would be recovered by whoever comes first.
    pair.together(&["pin rm --no-status {lost}", "pin rm --no-status {gone}"]);
    pair.all(&["recover", "recover --local"]);
    one_by_one(&mut pair, &peer);
    removed(&mut pair);
    pair.finish();
}

fn drawn(pair: &mut Pair, test: &Test) {
    let file = test.path("graph.dot");
    pair.name("file", &file.to_string_lossy());
    pair.text("health graph --file {file}");
    assert!(std::fs::read_to_string(&file).expect("the graph is written").starts_with("digraph cluster {"));
}

/// Pins that are waited for, and what becomes of those that nobody has.
fn waits(pair: &mut Pair) {
    pair.together(&[
        "pin add {g}",
        "--enc=json pin add {a}",
        "pin add -w -wl 2 -wt 40s --name waited {i}",
        "--enc=json pin add --wait --no-status {b}",
        "pin update --wait {e} {h}",
        "pin add --wait --wait-timeout 1100ms {gone}",
        "--enc=json pin add --wait {lost}",
    ]);
    pair.text("recover {lost}");
    pair.text("--enc=json recover --local {lost}");
}

/// What is gone after one run is there again before the next.
fn one_by_one(pair: &mut Pair, peer: &Peer) {
    let tree = pair.both("tree")[0].clone();
    peer.ctl(["ipfs", "gc"]).code(0);
    let litter = || drop(peer.kubo().add(b"nobody wants it"));
    for line in ["ipfs gc", "ipfs gc --local"] {
        pair.same_after(line, &litter);
    }
    pair.same_after("pin rm --no-status /ipfs/{tree}/", &|| drop(peer.ctl(["pin", "add", "-ns", &tree]).code(0)));
}

fn removed(pair: &mut Pair) {
    pair.together(&[
        "pin rm {b}",
        "pin rm --no-status {c}",
        "--enc=json pin rm --no-status {e}",
        "--enc=json pin rm -w -wl 1 -wt 30s {i}",
        "pin rm --wait {g}",
    ]);
    pair.same("status {b}");
}
