//! Peers that lie: snapshots that are none, attestations of other states, clocks that claim what nobody wrote.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use ipfs_cluster::crdt::{MapRows, Notice, Op, Rows, Table};
use ipfs_cluster::model::Cid;
use rand::Rng;
use rand::rngs::SmallRng;

use super::checks::{check_equal, check_honest, check_sound, joins};
use super::net::Net;
use super::storms::{Ill, Storm, ops, small};
use super::world::{cid, pin};
use super::{each_seed, seeds};
use ipfs_cluster::crdt::automerge::Limits;

/// Reads a number in LEB128; returns it and its length.
fn read_v(bytes: &[u8]) -> (u32, usize) {
    let len = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    (bytes[..len].iter().rev().fold(0, |n, byte| n << 7 | u32::from(byte & 0x7f)), len)
}

fn put_v(out: &mut Vec<u8>, mut n: u32) {
    while n >= 0x80 {
        out.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    out.push(n.to_le_bytes()[0]);
}

/// Says of each actor of `peer` that it wrote more than it did.
fn inflate(rows: &mut MapRows, peer: &[u8], seqs: u32) {
    let clock: Vec<(Vec<u8>, Vec<u8>)> = rows.rows(Table::Clock).map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
    for (actor, row) in clock.iter().filter(|(actor, _)| actor.starts_with(peer)) {
        let (seq, at) = read_v(row);
        let (max_op, len) = read_v(&row[at..]);
        let mut lie = Vec::new();
        put_v(&mut lie, seq + seqs);
        put_v(&mut lie, max_op + 3 * seqs);
        // A head, and a tip that nobody ever wrote.
        lie.push(1);
        lie.extend_from_slice(&[7; 32]);
        assert_eq!(row.len(), at + len + 33);
        rows.put(Table::Clock, actor, &lie).unwrap();
        rows.remove(Table::Tips, actor).unwrap();
    }
}

fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    while let Some(at) = bytes.windows(old.len()).position(|window| window == old) {
        bytes[at..at + old.len()].copy_from_slice(new);
    }
}

/// Changes what the snapshot on this disk holds, and its manifest with it; what was signed stays as it is. Returns whether
/// there was one.
fn forge(rows: &mut MapRows, rng: &mut SmallRng) -> bool {
    let all: Vec<(Vec<u8>, Vec<u8>)> = rows.rows(Table::Snapshots).map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
    let frames: Vec<_> = all.iter().filter(|(key, _)| key[8] == b'f').collect();
    if frames.is_empty() {
        return false;
    }
    let (at, packed) = frames[rng.random_range(0..frames.len())];
    let plain = zstd::bulk::decompress(packed, 1 << 20).unwrap();
    let mut lie = plain.clone();
    // The last bytes of a frame are those of a record: what is pinned is another name.
    let back = rng.random_range(1..4);
    let place = lie.len() - back;
    lie[place] ^= 1;
    rows.put(Table::Snapshots, at, &zstd::bulk::compress(&lie, 1).unwrap()).unwrap();
    let is_manifest = |(key, _): &&(Vec<u8>, Vec<u8>)| key[..8] == at[..8] && key[8] == b'm';
    let (key, manifest) = all.iter().find(is_manifest).unwrap();
    let mut forged = manifest.clone();
    replace(&mut forged, blake3::hash(&plain).as_bytes(), blake3::hash(&lie).as_bytes());
    rows.put(Table::Snapshots, key, &forged).unwrap();
    // Its name is the hash of its first part; the shelf says it.
    let mut shelf = rows.rows(Table::Meta).find(|(key, _)| *key == b"shelf").unwrap().1.to_vec();
    let part = (1..manifest.len()).find(|len| {
        let id = *blake3::hash(&manifest[..*len]).as_bytes();
        shelf.windows(32).any(|window| window == id)
    });
    let Some(part) = part else { return false };
    replace(&mut shelf, blake3::hash(&manifest[..part]).as_bytes(), blake3::hash(&forged[..part]).as_bytes());
    rows.put(Table::Meta, b"shelf", &shelf).unwrap();
    true
}

/// Puts the snapshot of an older disk on this one: a real manifest with a real attestation, of a state that is gone.
fn put_back(rows: &mut MapRows, old: &MapRows) {
    let now: Vec<Vec<u8>> = rows.rows(Table::Snapshots).map(|(key, _)| key.to_vec()).collect();
    for key in &now {
        rows.remove(Table::Snapshots, key).unwrap();
    }
    for (key, row) in old.rows(Table::Snapshots) {
        rows.put(Table::Snapshots, key, row).unwrap();
    }
    let shelf = old.rows(Table::Meta).find(|(key, _)| *key == b"shelf").map(|(_, row)| row.to_vec());
    if let Some(shelf) = shelf {
        rows.put(Table::Meta, b"shelf", &shelf).unwrap();
    }
}

/// Writes at peer 0 and lets all snapshots be made; peer 3 is cut off.
fn behind(seed: u64) -> Net {
    let mut net = Net::of(seed, 4, Limits { log_bytes: 0, ..small(seed) });
    net.part(vec![0, 0, 0, 1]);
    for _ in 0..12 {
        let ops = ops(&mut net, 40);
        net.write(0, ops);
        net.run(400);
    }
    net.run(30_000);
    net
}

#[test]
fn a_peer_that_lends_what_is_no_snapshot_costs_a_download_and_no_more() {
    let refused = AtomicU64::new(0);
    each_seed(40, |seed| {
        let mut net = behind(seed);
        net.liars.insert(1);
        net.run_until_quiet();
        check_equal(&net, 0..4);
        (0..4).for_each(|n| assert_eq!(check_sound(&net, n, |_| true).lacks, 0));
        assert!(joins(&net) > 0, "the log reaches nobody");
        let count = net.peers.iter().filter_map(|peer| peer.counts.get("snapshot_frames_refused")).sum();
        refused.fetch_add(count, Ordering::Relaxed);
    });
    assert!(refused.into_inner() > 0 || seeds(40).count() < 8, "a frame is judged by its own hash, not by the whole");
}

#[test]
fn a_forged_snapshot_with_a_real_attestation_is_refused_and_told() {
    let mut told = std::sync::atomic::AtomicUsize::new(0);
    each_seed(60, |seed| {
        let mut net = behind(seed);
        let mut rows = net.peers[1].rows.clone();
        let mut rng = net.rng.clone();
        if forge(&mut rows, &mut rng) {
            net.restore(1, rows);
        }
        // Nobody else is there at first.
        net.part(vec![0, 1, 0, 1]);
        net.run(40_000);
        let lied = Notice::BadSnapshot { peer: net.peers[1].id };
        told.fetch_add(usize::from(net.peers[3].notices.contains(&lied)), std::sync::atomic::Ordering::Relaxed);
        net.run_until_quiet();
        check_equal(&net, 0..4);
        (0..4).for_each(|n| assert_eq!(check_sound(&net, n, |_| true).lacks, 0));
    });
    assert!(*told.get_mut() > 0 || super::is_one_seed(), "forgeries were seen");
}

#[test]
fn an_old_snapshot_put_in_the_place_of_the_newest_takes_nothing_back() {
    each_seed(40, |seed| {
        let mut net = behind(seed);
        let old = net.peers[1].rows.clone();
        for _ in 0..10 {
            let ops = ops(&mut net, 40);
            net.write(2, ops);
            net.run(400);
        }
        net.run(30_000);
        let mut rows = net.peers[1].rows.clone();
        put_back(&mut rows, &old);
        net.restore(1, rows);
        net.part(vec![0, 1, 0, 1]);
        net.run(40_000);
        net.run_until_quiet();
        check_equal(&net, 0..4);
        (0..4).for_each(|n| assert_eq!(check_sound(&net, n, |_| true).lacks, 0));
    });
}

/// What is pinned and by which name, when each peer alone writes its keys.
type Wishes = BTreeMap<Cid, u64>;

fn wish(net: &mut Net, n: usize, wishes: &mut Wishes) {
    let key = 1_000 * u32::try_from(n).unwrap() + net.rng.random_range(0..8);
    if net.rng.random_bool(0.7) {
        let name = net.rng.random_range(0..1_000);
        if matches!(net.ask(n, Op::Pin(Box::new(pin(key, name)))), Some(Ok(_))) {
            wishes.insert(cid(key), name);
        }
    } else if matches!(net.ask(n, Op::Unpin(cid(key))), Some(Ok(_))) {
        wishes.remove(&cid(key));
    }
}

#[test]
fn a_clock_that_claims_more_than_an_author_wrote_loses_none_of_his_writes() {
    each_seed(60, |seed| {
        let mut net = Net::of(seed, 3, small(seed));
        let mut wishes = Wishes::new();
        // Nobody can speak for who wrote nothing yet.
        while wishes.is_empty() {
            wish(&mut net, 0, &mut wishes);
        }
        for _ in 0..net.rng.random_range(1..12) {
            wish(&mut net, 0, &mut wishes);
            wish(&mut net, 1, &mut wishes);
            let millis = net.rng.random_range(0..4_000);
            net.run(millis);
        }
        net.run(20_000);
        // The liar goes on from a disk with a lie in its clock, and attests it.
        let (mut rows, victim) = (net.peers[2].rows.clone(), net.peers[0].id.to_bytes());
        inflate(&mut rows, &victim, 1_000);
        if net.rng.random_bool(0.5) {
            net.part(vec![0, 1, 1]);
        }
        net.restore(2, rows);
        for _ in 0..net.rng.random_range(1..12) {
            wish(&mut net, 0, &mut wishes);
            wish(&mut net, 1, &mut wishes);
            let millis = net.rng.random_range(0..4_000);
            net.run(millis);
        }
        net.run_until_quiet();
        let held: Wishes = net.pinset(0).into_iter().map(|pin| (pin.cid, pin.name.parse().unwrap())).collect();
        assert_eq!(held, wishes);
        assert_eq!(net.pinset(1), net.pinset(0));
        let alarm = |notice: &Notice| matches!(notice, Notice::OwnActor { .. });
        assert!(net.peers[0].notices.iter().any(alarm), "who is spoken for hears of it");
    });
}

#[test]
fn messages_from_before_said_again_change_nothing() {
    each_seed(40, |seed| {
        let mut net = Net::of(seed, 3, small(seed));
        Storm::of(&[Ill::Replay], 3).run(&mut net);
        net.run_until_quiet();
        let before: Vec<_> = (0..3).map(|n| (net.summary(n).clock_hash, net.pinset(n))).collect();
        for (author, topic, bytes) in net.said.clone() {
            let to = (author + 1) % 3;
            net.hear((author + 2) % 3, to, topic, &bytes);
        }
        net.run_until_quiet();
        let after: Vec<_> = (0..3).map(|n| (net.summary(n).clock_hash, net.pinset(n))).collect();
        assert_eq!(after, before);
        check_equal(&net, 0..3);
        check_honest(&net, 0..3);
    });
}
