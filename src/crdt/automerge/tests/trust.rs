//! (test) What a peer applies is what its trusted authors vouch for, by whatever way it came.
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::sites::{Site, gossip, hello_to, sync};
use super::testing::peer;
use crate::crdt::automerge::formats::envelope::{Signed, reload};
use crate::crdt::automerge::sync::check::{CHANGES_TOPIC, HEARTBEATS_TOPIC};
use crate::crdt::automerge::tables::pending::{Id, id};
use crate::crdt::{Input, MapRows, Rows, Table};
use crate::model::Trust;

/// The one trusted author; peer 1 follows it, 2 and 3 are strangers to it.
const TRUSTED: u8 = 4;
const SEEDS: u64 = 60;

fn log(rows: &MapRows) -> BTreeMap<Id, Signed> {
    let change = |row: &[u8]| reload(Bytes::copy_from_slice(&row[8..])).unwrap();
    rows.rows(Table::Changes).map(|(_, row)| change(row)).map(|change| (id(&change), change)).collect()
}

/// Changes of trusted authors and what they stand on: dependencies, replaced entries, own earlier changes.
fn vouched(all: &BTreeMap<Id, Signed>) -> BTreeSet<Id> {
    let mut todo: Vec<&Signed> = all.values().filter(|change| change.header.actor.peer() == peer(TRUSTED)).collect();
    let mut found = BTreeSet::new();
    while let Some(change) = todo.pop() {
        if !found.insert(id(change)) {
            continue;
        }
        let actor = &change.header.actor;
        let deps = change.deps.iter().map(|dep| (dep.actor.clone(), dep.seq));
        let own = [(actor.clone(), change.header.seq - 1)];
        todo.extend(deps.chain(own).filter_map(|id| all.get(&id)));
        for pred in change.ops.iter().flat_map(|op| &op.preds) {
            let named = |other: &&Signed| {
                let header = &other.header;
                header.actor == pred.actor && (header.start_op..=header.max_op).contains(&pred.counter)
            };
            todo.extend(all.values().find(named));
        }
    }
    found
}

/// Three writers that hear each other now and then; the last one is a relay that heard everything.
fn history(rng: &mut SmallRng) -> Site {
    let mut sites: Vec<Site> = [3, TRUSTED, 2].map(|n| Site::new(n, Trust::Everyone)).into();
    for _ in 0..rng.random_range(3..30) {
        let at = rng.random_range(0..3);
        let said = gossip(&sites[at].pin(rng.random_range(0..6)), CHANGES_TOPIC);
        for (n, site) in sites.iter_mut().enumerate().filter(|(n, _)| *n != at) {
            if n == 2 || rng.random_bool(0.5) {
                for bytes in &said {
                    site.hear(CHANGES_TOPIC, bytes);
                }
            }
        }
    }
    sites.remove(2)
}

/// Lets the follower ask the relay; returns how many changes came, none when it does not ask.
fn ask(follower: &mut Site, relay: &mut Site) -> usize {
    follower.turn(vec![Input::PeerSeen(peer(2))]);
    let heartbeat = relay.heartbeat();
    match hello_to(&follower.hear(HEARTBEATS_TOPIC, &heartbeat), 2) {
        Some(hello) => sync(follower, (2, relay), &hello),
        None => 0,
    }
}

fn follower() -> Site {
    Site::new(1, Trust::Only([peer(TRUSTED)].into()))
}

#[test]
fn a_sync_with_a_stranger_brings_exactly_what_is_vouched_for() {
    for seed in 0..SEEDS {
        let mut relay = history(&mut SmallRng::seed_from_u64(seed));
        let mut follower = follower();
        let all = log(&relay.rows);
        let came = ask(&mut follower, &mut relay);
        let applied: BTreeSet<Id> = log(&follower.rows).into_keys().collect();
        assert_eq!(applied, vouched(&all), "seed {seed}");
        assert_eq!((came, follower.engine.summary().staged), (applied.len(), 0), "seed {seed}: nothing else comes");
        assert_eq!(ask(&mut follower, &mut relay), 0, "seed {seed}");
    }
}

#[test]
fn gossip_in_any_order_brings_exactly_what_is_vouched_for() {
    for seed in 0..SEEDS {
        let rng = &mut SmallRng::seed_from_u64(seed);
        let relay = history(rng);
        let all = log(&relay.rows);
        let mut order: Vec<&Signed> = all.values().collect();
        order.shuffle(rng);
        let mut follower = follower();
        for change in order {
            follower.hear(CHANGES_TOPIC, &change.bytes);
        }
        let applied: BTreeSet<Id> = log(&follower.rows).into_keys().collect();
        let wanted = vouched(&all);
        let lost = follower.engine.summary().pending;
        assert_eq!(applied, wanted, "seed {seed}, {lost} wait");
        assert_eq!(follower.engine.summary().staged, all.len() - wanted.len(), "seed {seed}");
        assert_eq!(crate::crdt::automerge::inspect::audit(&follower.rows).unwrap().faults, [""; 0]);
    }
}

#[test]
fn what_cannot_be_applied_for_a_cut_log_is_not_sent() {
    let mut cut_short = 0;
    for seed in 0..SEEDS {
        let rng = &mut SmallRng::seed_from_u64(seed);
        let mut relay = history(rng);
        let all = log(&relay.rows);
        let gone: Vec<Vec<u8>> = relay.rows.rows(Table::Changes).map(|(key, _)| key.to_vec()).collect();
        for key in gone.iter().filter(|key| key[3] == gone[rng.random_range(0..gone.len())][3] && key[7] == 1) {
            relay.rows.remove(Table::Changes, key).unwrap();
        }
        let mut follower = follower();
        let came = ask(&mut follower, &mut relay);
        let applied = log(&follower.rows).len();
        assert_eq!(
            (came, follower.engine.summary().staged, follower.engine.summary().pending),
            (applied, 0, 0),
            "seed {seed}"
        );
        cut_short += usize::from(applied < vouched(&all).len());
    }
    assert!(cut_short > 5, "the cut was felt");
}
