//! Peers that trust differently: followers, strangers, chains of trust; with the log dropped everywhere.
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use ipfs_cluster::crdt::automerge::Limits;
use ipfs_cluster::crdt::{Op, Table};
use ipfs_cluster::model::Trust;

use super::checks::{check_equal, check_honest, check_sound};
use super::net::Net;
use super::storms::{Ill, Storm, small};
use super::world::{peer_id, pin};
use super::{each_seed, is_one_seed, pending};

fn only(peers: impl IntoIterator<Item = usize>) -> Trust {
    Trust::Only(peers.into_iter().map(peer_id).collect())
}

#[test]
fn followers_hold_what_their_publishers_wrote_and_make_snapshots_at_a_barrier() {
    let made = AtomicUsize::new(0);
    each_seed(60, |seed| {
        let limits = Limits { log_bytes: [0, 600][usize::try_from(seed % 2).unwrap()], ..small(seed) };
        let mut net = Net::new(seed, vec![only(0..2); 5], limits);
        Storm::of(&[Ill::Crash, Ill::Link, Ill::Away], 2).run(&mut net);
        net.run_until_quiet();
        // What a follower could not copy at a barrier it copies at the next one.
        net.run(1_300_000);
        net.run_until_quiet();
        check_equal(&net, 0..5);
        check_honest(&net, 0..2);
        (2..5).for_each(|n| assert_eq!(check_sound(&net, n, |author| author < 2).lacks, 0));
        // And who made one hears on.
        net.write(0, vec![Op::Pin(Box::new(pin(99, seed)))]);
        net.run(30_000);
        (1..5).for_each(|n| assert!(net.pinset(n).contains(&pin(99, seed)), "peer {n} does not hear any more"));
        made.fetch_add(net.peers[2..].iter().map(|peer| peer.surveys).sum(), Ordering::Relaxed);
    });
    assert!(made.into_inner() > 0 || is_one_seed(), "followers make snapshots");
}

#[test]
fn a_stranger_has_no_effect_on_who_does_not_trust_him() {
    each_seed(60, |seed| {
        let trusts = vec![only(0..3), only(0..3), only(0..3), only(0..4)];
        let mut net = Net::new(seed, trusts, small(seed));
        Storm::of(&[Ill::Crash, Ill::Replay], 4).run(&mut net);
        net.run_until_quiet();
        check_equal(&net, 0..3);
        check_honest(&net, 0..3);
        assert_eq!(check_sound(&net, 3, |_| true).lacks, 0, "who trusts all holds all");
        for n in 0..3 {
            assert_eq!(net.pinset(n), net.pinset(0));
        }
    });
}

#[test]
fn three_trust_lists_go_quiet_and_stay_so() {
    each_seed(60, |seed| {
        let lists: [BTreeSet<usize>; 3] = [(0..4).collect(), [1, 2].into(), [2].into()];
        let limits = if seed.is_multiple_of(2) {
            pending([0, 8, 4096][usize::try_from(seed % 3).unwrap()])
        } else {
            small(seed)
        };
        let trusts = (0..4).map(|n| only(lists[n % 3].iter().copied())).collect();
        let mut net = Net::new(seed, trusts, limits);
        Storm::of(&[Ill::Crash, Ill::Replay], 4).run(&mut net);
        net.run_until_quiet();
        for n in 0..4 {
            assert_eq!(check_sound(&net, n, |author| lists[n % 3].contains(&author)).lacks, 0, "peer {n}");
        }
        let before = (net.frames, net.lent);
        net.run(60_000);
        assert_eq!(before, (net.frames, net.lent), "quiet ends by itself");
    });
}

#[test]
fn a_list_that_changes_is_in_force_for_what_waits() {
    each_seed(20, |seed| {
        let mut net = Net::new(seed, vec![only(0..1), only(0..1), only(0..3)], small(seed));
        for n in 0..12 {
            net.write(2, vec![Op::Pin(Box::new(pin(n, seed)))]);
            net.write(0, vec![Op::Pin(Box::new(pin(n + 100, seed)))]);
            net.run(300);
        }
        net.run_until_quiet();
        assert_eq!(net.pinset(1).len(), 12);
        assert_eq!(net.peers[1].rows.len(Table::Stage), 12, "a stranger's changes wait");
        for n in 0..2 {
            net.peers[n].trust = only(0..3);
            net.peers[n].engine.trust(only(0..3));
        }
        net.run_until_quiet();
        check_equal(&net, 0..3);
        assert_eq!(net.pinset(1).len(), 24);
    });
}
