//! A folder that is used twice, and one that is put back from a backup.
use super::peer::{Cluster, assert_has, copy_folder, until_equal};

/// What a peer says that meets another start of its own identity.
const OTHER_START: &str = "this peer's identity has written what its folder did not have";

#[test]
fn two_copies_of_a_folder_that_ran_at_once_lose_nothing() {
    let cluster = Cluster::new();
    let (mut a, mut b) = (cluster.peer("a"), cluster.peer("b"));
    a.start(&[]);
    b.start(&[&a]);
    let mut cids = a.pin_new(100);
    cids.extend(b.pin_new(100));
    until_equal(&[&a, &b]);
    b.stop();
    let mut twin = b.copy(cluster.dir.path(), "twin");
    b.start(&[&a]);
    twin.start(&[&a]);
    for peer in [&b, &twin, &b, &twin] {
        cids.extend(peer.pin_new(100));
    }
    cids.extend(a.pin_new(100));
    // Others speak with one of two that have one name, so first the one and then the other is alone with them.
    b.stop();
    assert_has(&until_equal(&[&a, &twin]), &cids, "with the copy");
    twin.stop();
    b.start(&[&a]);
    assert_has(&until_equal(&[&a, &b]), &cids, "with the first one");
    assert_eq!(twin.said(OTHER_START), 1, "once: {}", twin.log());
    assert!((1..=2).contains(&b.said(OTHER_START)), "once a start at most: {}", b.log());
    for peer in [&a, &b, &twin] {
        peer.assert_sound();
    }
}

#[test]
fn a_backup_that_is_put_back_catches_up_and_says_so_once() {
    let cluster = Cluster::new();
    let (mut a, mut b) = (cluster.peer("a"), cluster.peer("b"));
    a.start(&[]);
    b.start(&[&a]);
    let mut cids = b.pin_new(50);
    until_equal(&[&a, &b]);
    b.stop();
    let backup = cluster.dir.path().join("backup");
    copy_folder(&b.dir, &backup);
    b.start(&[&a]);
    cids.extend(b.pin_new(300));
    cids.extend(a.pin_new(100));
    until_equal(&[&a, &b]);
    b.stop();
    b.restore(&backup);
    b.start(&[&a]);
    cids.extend(b.pin_new(50));
    assert_has(&until_equal(&[&a, &b]), &cids, "after the restore");
    assert_eq!((b.said(OTHER_START), a.said(OTHER_START)), (1, 0), "{}", b.log());
    a.assert_sound();
    b.assert_sound();
}
