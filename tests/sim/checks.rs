//! What holds when all is quiet: section 9 of the replication rules.
use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use ipfs_cluster::crdt::automerge::inspect::{Audit, audit_against};
use ipfs_cluster::crdt::{Notice, Table};

use super::net::Net;

/// A peer holds what it should: its rows agree with each other and with `authors`' changes. Returns the audit.
pub fn check_sound(net: &Net, n: usize, is_author: impl Fn(usize) -> bool) -> Audit {
    let changes: Vec<Bytes> =
        net.changes.iter().filter(|(_, author)| is_author(**author)).map(|(bytes, _)| bytes.clone()).collect();
    let audit = audit_against(&changes, &net.peers[n].rows).unwrap();
    assert_eq!(audit.faults, [""; 0], "peer {n}");
    assert_eq!(audit.pins, net.summary(n).entries, "peer {n}");
    audit
}

/// Peers that trust alike hold the same; each log is within its bound, and nothing is left over.
pub fn check_equal(net: &Net, peers: Range<usize>) {
    let (start, first) = (peers.start, net.summary(peers.start));
    for n in peers {
        let (summary, peer) = (net.summary(n), &net.peers[n]);
        assert_eq!(summary.clock_hash, first.clock_hash, "peer {n} has another clock");
        assert_eq!(summary.digest_hash, first.digest_hash, "peer {n} has another digest");
        assert_eq!((summary.entries, summary.forks), (first.entries, first.forks), "peer {n}");
        assert!(!summary.joining, "peer {n}");
        assert_eq!(net.pinset(n), net.pinset(start));
        assert_eq!(peer.rows.len(Table::Joined), 0, "peer {n} left marks of a join");
        let generations: BTreeSet<&[u8]> = peer.rows.rows(Table::Snapshots).map(|(key, _)| &key[..8]).collect();
        assert!(generations.len() <= 2, "peer {n} keeps {} snapshots", generations.len());
        let row_bytes: usize = peer.rows.rows(Table::Pins).map(|(key, row)| key.len() + row.len()).sum();
        let most = net.limits.log_bytes.max(row_bytes as u64 / 2);
        assert!(summary.log_bytes <= most, "peer {n} keeps {} bytes of log, {most} are allowed", summary.log_bytes);
    }
}

/// Peers that nobody put back to an older disk: nothing acknowledged is lost, nothing waits, nothing odd was seen.
pub fn check_honest(net: &Net, peers: Range<usize>) {
    let authors = peers.clone();
    for n in peers {
        let audit = check_sound(net, n, |author| authors.contains(&author));
        assert_eq!(audit.lacks, 0, "peer {n}: acknowledged and lost");
        let odd: Vec<_> =
            net.peers[n].notices.iter().filter(|notice| !matches!(notice, Notice::Joined { .. })).collect();
        assert!(odd.is_empty(), "honest peers do nothing odd: {odd:?}");
        assert_eq!((net.summary(n).forks, net.peers[n].rows.len(Table::Tombstones)), (0, 0));
        assert_eq!(net.summary(n).pending, 0, "peer {n}");
    }
}

/// One alert for each fork at each peer that did not forget what it knew.
pub fn check_alerts(net: &Net) {
    for (n, peer) in net.peers.iter().enumerate().filter(|(_, peer)| !peer.is_put_back) {
        let alerts = peer.notices.iter().filter(|notice| matches!(notice, Notice::Fork { .. })).count();
        assert_eq!(alerts, net.summary(n).forks, "peer {n}: one alert a fork");
    }
}

pub fn joins(net: &Net) -> u64 {
    net.peers.iter().map(|peer| peer.counts.get("joins").copied().unwrap_or(0)).sum()
}
