//! What was acknowledged survives SIGKILL.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::{Peer, Test, random_cid, request};

/// Kills in one run; `ROUNDS` overrides it.
const ROUNDS: usize = 5;

/// Connections that write at once.
const WRITERS: usize = 4;

#[test]
fn nothing_acknowledged_is_lost_when_peers_are_killed_amid_writes() {
    let test = Test::new();
    let mut peers: [Peer; 3] = test.peers();
    let addresses: Vec<String> = peers.iter().map(Peer::swarm_address).collect();
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..rounds {
        // In turn the peer that is written to, and one that only merges.
        let victim = usize::from(round % 3 == 2);
        acknowledged.extend(kill_amid_writes(&mut peers, victim, round));
        peers[victim].start(&["--bootstrap", &addresses[(victim + 1) % 3]]);
        if victim == 0 {
            assert_has(&peers[0], &acknowledged, "just after its start");
        }
    }
    println!("{rounds} kills, {} pins acknowledged", acknowledged.len());
    for peer in &peers {
        peer.until("it has all that was acknowledged", |peer| missing(peer, &acknowledged).is_empty());
    }
    let pinset = peers[0].pinset();
    for peer in &peers {
        peer.until("the pinsets are equal", |peer| peer.pinset() == pinset);
    }
}

/// Writes to the first peer until `victim` is killed; returns what was acknowledged.
fn kill_amid_writes(peers: &mut [Peer; 3], victim: usize, round: usize) -> Vec<String> {
    let port = peers[0].rest_port();
    let (stop, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(|| write_until(port, &stop, &written))).collect();
        peers[0].until("writes are acknowledged", |_| written.load(Ordering::Relaxed) >= WRITERS);
        // Each round ends at another place of a batch.
        thread::sleep(Duration::from_millis(400 + 137 * u64::try_from(round % 7).expect("a small number")));
        peers[victim].kill();
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().flat_map(|writer| writer.join().expect("a writer does not panic")).collect()
    })
}

fn write_until(port: u16, stop: &AtomicBool, written: &AtomicUsize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let cid = random_cid();
        match request(port, "POST", &format!("/pins/{cid}?name=stream")) {
            Ok((200, _)) => {
                acknowledged.push(cid);
                written.fetch_add(1, Ordering::Relaxed);
            }
            Ok((code, body)) => panic!("{code}: {body}"),
            Err(_) => break,
        }
    }
    acknowledged
}

fn missing<'a>(peer: &Peer, acknowledged: &'a [String]) -> Vec<&'a String> {
    let pinset = peer.pinset();
    acknowledged.iter().filter(|cid| pinset.binary_search(cid).is_err()).collect()
}

fn assert_has(peer: &Peer, acknowledged: &[String], when: &str) {
    let missing = missing(peer, acknowledged);
    assert!(missing.is_empty(), "{} of {} acknowledged pins are lost {when}", missing.len(), acknowledged.len());
}
