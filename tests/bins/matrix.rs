//! Whatever is asked for, and whoever dies amid it: in the end Kubo holds what the pinset says, and what others pinned.
use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use crate::harness::{Peer, Test, random_cid, request, wait_for};

/// Rounds of one run, and what they begin with; `ROUNDS` and `SEED` override them.
const ROUNDS: u64 = 6;
const SEED: u64 = 1;

/// CIDs that are there, and requests of one round.
const CONTENT: usize = 24;
const REQUESTS: usize = 30;

/// What dies in the middle of a round.
#[derive(Clone, Copy, Debug)]
enum Death {
    Nobody,
    Peer,
    Kubo,
    Both,
}

#[test]
fn after_kills_of_peer_and_kubo_it_holds_exactly_its_share() {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (rounds, seed) = (number("ROUNDS", ROUNDS), number("SEED", SEED));
    let test = Test::new();
    let mut peer = test.peer("lone");
    // Content that nobody has stalls soon, and is in nobody's way.
    peer.configure(|file| file["ipfs_connector"]["ipfshttp"]["pin_timeout"] = json!("2s"));
    peer.start(&[]);
    let content: Vec<String> =
        (0..CONTENT).map(|n| peer.kubo().add(format!("{n} ").repeat(200_000).as_bytes())).collect();
    let dead = [random_cid(), random_cid()];
    peer.kubo().pin(&peer.kubo().add(b"pinned by somebody else"));
    let foreign = peer.kubo().pins();
    assert!(!foreign.is_empty());
    for cid in &dead {
        ask(&peer, "POST", &format!("/pins/{cid}"));
    }
    for round in 0..rounds {
        let mut random = StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(round));
        let deaths = [Death::Nobody, Death::Peer, Death::Kubo, Death::Both];
        let death = deaths[usize::try_from(round % 4).expect("a small number")];
        let at = random.random_range(0..REQUESTS);
        for n in 0..REQUESTS {
            change(&peer, &content, &mut random);
            if n == at {
                kill(&mut peer, death);
            }
        }
        let settled = || is_settled(&peer, &dead, &foreign);
        let told = || format!("seed {seed}, round {round}, {death:?}: {:?}", differences(&peer, &dead));
        wait_for("Kubo holds exactly the share", crate::harness::PATIENCE, told, settled);
    }
}

/// Pins, pins directly, updates or unpins something.
fn change(peer: &Peer, content: &[String], random: &mut StdRng) {
    let pinset = peer.pinset();
    let cid = content.choose(random).expect("there is content");
    match random.random_range(0..10) {
        0..4 => ask(peer, "POST", &format!("/pins/{cid}?name=matrix")),
        4 | 5 if !pinset.contains(cid) => ask(peer, "POST", &format!("/pins/{cid}?mode=direct")),
        6 if pinset.contains(cid) => {
            let other = content.choose(random).expect("there is content");
            ask(peer, "POST", &format!("/pins/{other}?pin-update={cid}"));
        }
        _ if pinset.contains(cid) => ask(peer, "DELETE", &format!("/pins/{cid}")),
        _ => {}
    }
}

fn ask(peer: &Peer, method: &str, path: &str) {
    let (code, body) = request(peer.rest_port(), method, path).expect("the peer answers");
    assert!(code == 200 || body.contains("update"), "{method} {path}: {code} {body}");
}

fn kill(peer: &mut Peer, death: Death) {
    if matches!(death, Death::Kubo | Death::Both) {
        peer.kubo_mut().stop();
    }
    if matches!(death, Death::Peer | Death::Both) {
        peer.kill();
    }
    if matches!(death, Death::Kubo | Death::Both) {
        peer.kubo_mut().start();
    }
    if matches!(death, Death::Peer | Death::Both) {
        peer.start_alone(&[]);
    }
}

/// What Kubo is to hold by the pinset: each CID, and whether it is the whole of it.
fn share(peer: &Peer, dead: &[String]) -> BTreeMap<String, bool> {
    let pins = peer.json(["pin", "ls"]);
    let pin = |pin: &serde_json::Value| (pin["cid"].as_str().unwrap_or_default().to_owned(), pin["max_depth"] != 0);
    pins.iter().map(pin).filter(|(cid, _)| !dead.contains(cid)).collect()
}

/// A pin that was whole before it was let go of and asked for directly may still be whole.
fn is_settled(peer: &Peer, dead: &[String], foreign: &BTreeMap<String, bool>) -> bool {
    let (mut held, share) = (peer.kubo().pins(), share(peer, dead));
    let are_foreign_held = foreign.iter().all(|(cid, is_whole)| held.remove(cid) == Some(*is_whole));
    let is_enough = |(cid, is_whole): (&String, &bool)| held.get(cid).is_some_and(|held| *held || !is_whole);
    let is_settled = are_foreign_held && held.len() == share.len() && share.iter().all(is_enough);
    if !is_settled {
        // What a kill cut short is tried again in a minute, or when somebody asks for it.
        peer.ctl(["recover"]);
    }
    is_settled
}

/// What Kubo holds or lacks by the pinset, and what the peer says of it.
fn differences(peer: &Peer, dead: &[String]) -> Vec<String> {
    let (held, share) = (peer.kubo().pins(), share(peer, dead));
    let odd = held.keys().chain(share.keys()).filter(|cid| held.get(*cid) != share.get(*cid));
    let told = |cid: &String| {
        format!("{cid}: held {:?}, wanted {:?}, {:?}", held.get(cid), share.get(cid), peer.statuses(cid))
    };
    odd.map(told).collect()
}
