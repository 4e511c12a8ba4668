//! Answers that go on while the pinset changes: lists that are read slowly, and events over many connections.
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::peer::{Cluster, PATIENCE, Peer, random_cid};

/// Pins of the lists: some ten megabytes of rows.
const PINS: usize = 20_000;

/// Writes while a list stands still: pages of old commits that a reader held would be some hundred megabytes.
const WRITES: usize = 1_500;

/// What a list may cost, in mebibytes.
const RSS_MAX: u64 = 32;
const FILES_MAX: u64 = 64;

/// A peer with pins, as an import leaves them.
fn filled(cluster: &Cluster) -> (Peer, Vec<String>) {
    let mut peer = cluster.peer("peer0");
    let cids: Vec<String> = (0..PINS).map(|_| random_cid()).collect();
    let export = cids.iter().fold(String::new(), |mut text, cid| {
        let pin = json!({
            "cid": cid, "name": "imported", "type": "pin", "allocations": [], "max_depth": -1, "reference": null,
            "replication_factor_min": -1, "replication_factor_max": -1, "mode": "recursive", "shard_size": 0,
            "user_allocations": [], "expire_at": "0001-01-01T00:00:00Z", "metadata": null, "pin_update": null,
            "origins": [], "timestamp": "2026-01-01T00:00:00Z",
        });
        let _ = writeln!(text, "{pin}");
        text
    });
    let file = cluster.dir.path().join("export.json");
    std::fs::write(&file, export).expect("a file can be written");
    peer.import(&file);
    peer.start(&[]);
    (peer, cids)
}

/// Asks for something that goes on, and reads the head of its answer.
fn ask(peer: &Peer, path: &str, more: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", peer.port())).expect("the peer listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
    // Without chunks: the answer ends with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).expect("the peer reads");
    let mut answer = BufReader::with_capacity(4096, stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert_ne!(answer.read_line(&mut line).expect("the peer answers"), 0, "{path}: no answer");
    }
    answer
}

/// Reads a little of a list, writes very much, and reads the rest.
fn read_slowly(peer: &Peer, path: &str, cids: &[String]) {
    let mut list = ask(peer, path, "");
    list.read_exact(&mut vec![0; 64 << 10]).expect("there is more");
    let (rss, files) = (peer.rss_mib(), peer.files_mib());
    for (n, cid) in cids.iter().take(WRITES).enumerate() {
        peer.pin(cid, &format!("again-{n}"));
    }
    let (rss, files) = (peer.rss_mib().saturating_sub(rss), peer.files_mib().saturating_sub(files));
    assert!(rss < RSS_MAX, "{path}: {rss} MiB more memory");
    assert!(files < FILES_MAX, "{path}: {files} MiB more on disk");
    let rows = list.lines().map_while(Result::ok).count();
    assert!(rows > PINS / 2, "{path}: only {rows} rows followed");
}

#[test]
fn lists_that_are_read_slowly_cost_no_memory_and_no_pages() {
    let cluster = Cluster::new();
    let (peer, cids) = filled(&cluster);
    read_slowly(&peer, "/allocations", &cids);
    read_slowly(&peer, "/pins", &cids);
}

/// The ID and the document of the next pin event; other events are passed over, but for their IDs.
fn next_pin(events: &mut impl BufRead, seen: &mut BTreeSet<String>) -> (String, Value) {
    let (mut id, mut kind) = (String::new(), String::new());
    for line in events.lines() {
        let line = line.expect("the stream goes on");
        if let Some(text) = line.strip_prefix("id:") {
            text.trim().clone_into(&mut id);
            assert!(seen.insert(id.clone()), "{id} came twice");
        } else if let Some(text) = line.strip_prefix("event:") {
            text.trim().clone_into(&mut kind);
        } else if let Some(text) = line.strip_prefix("data:")
            && kind == "pin"
        {
            return (id, serde_json::from_str(text).expect("an event is JSON"));
        }
    }
    panic!("the events ended after {id}");
}

#[test]
fn a_client_that_comes_back_a_hundred_times_sees_each_event_once() {
    let cluster = Cluster::new();
    let mut peer = cluster.peer("peer0");
    peer.start(&[]);
    let mut events = ask(&peer, "/events", "");
    peer.pin(&random_cid(), "before");
    let mut seen = BTreeSet::new();
    let (mut last, _) = next_pin(&mut events, &mut seen);
    drop(events);
    for n in 0..100 {
        // Two of them come while nobody listens, or one while somebody does.
        let pinned: Vec<String> = (0..=n % 2).map(|_| random_cid()).collect();
        if n % 2 == 1 {
            peer.pin_all(&pinned, "away");
        }
        let mut events = ask(&peer, "/events", &format!("Last-Event-ID: {last}\r\n"));
        if n % 2 == 0 {
            peer.pin_all(&pinned, "here");
        }
        for cid in &pinned {
            let (id, event) = next_pin(&mut events, &mut seen);
            assert!(event.to_string().contains(cid.as_str()), "{event} instead of {cid}");
            last = id;
        }
        if n == 50 {
            peer.kill();
            peer.start(&[]);
        }
    }
}
