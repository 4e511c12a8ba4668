//! Parts of a cluster that dropped their logs and meet.
use super::peer::{Cluster, JOINED, assert_has, random_cid, until_equal};

#[test]
fn two_parts_that_dropped_their_logs_meet_and_lose_nothing() {
    let cluster = Cluster::new();
    let [mut a, mut b, mut c, mut d] = ["a", "b", "c", "d"].map(|name| cluster.peer(name));
    a.start(&[]);
    b.start(&[&a]);
    c.start(&[]);
    d.start(&[&c]);
    let both = random_cid();
    a.pin(&both, "left");
    c.pin(&both, "right");
    let (mut kept, mut gone) = (Vec::new(), Vec::new());
    for peer in [&a, &b, &c, &d] {
        let cids = peer.pin_new(200);
        gone.extend_from_slice(&cids[..50]);
        kept.extend_from_slice(&cids[50..]);
        cids[..50].iter().for_each(|cid| peer.unpin(cid));
    }
    until_equal(&[&a, &b]);
    until_equal(&[&c, &d]);

    c.stop();
    c.start(&[&a]);
    let pinset = until_equal(&[&a, &b, &c, &d]);
    assert_eq!(pinset.len(), kept.len() + 1, "all that was kept, and what both have");
    assert_has(&pinset, &kept, "when they met");
    assert_has(&pinset, &[both], "which both have");
    assert!(gone.iter().all(|cid| !pinset.iter().any(|line| line.contains(cid))), "removed is removed");
    let joins: usize = [&a, &b, &c, &d].map(|peer| peer.said(JOINED)).iter().sum();
    assert!(joins > 0, "no log reached");
    for peer in [&a, &b, &c, &d] {
        peer.assert_sound();
    }
    let later = d.pin_new(3);
    assert_has(&until_equal(&[&a, &b, &c, &d]), &later, "afterwards");
}
