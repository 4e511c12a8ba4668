//! Followers that have the pinset from followers.
use std::time::Duration;

use super::peer::{Cluster, JOINED, assert_has, until_equal};

/// Seconds in which a new follower has all pins, on a busy machine.
const SECONDS: Duration = Duration::from_secs(15);

#[test]
fn a_new_follower_has_all_pins_from_a_follower_when_every_publisher_is_stopped() {
    let cluster = Cluster::new();
    let (mut one, mut two) = (cluster.peer("publisher-1"), cluster.peer("publisher-2"));
    one.start(&[]);
    two.start(&[&one]);
    let mut cids = one.pin_new(300);
    cids.extend(two.pin_new(300));
    let mut first = cluster.follower("follower-1", &[&one, &two], &[&one]);
    first.start(&[]);
    assert_has(&until_equal(&[&one, &two, &first]), &cids, "at the first follower");
    // It joined because the log does not reach, and so it has none itself.
    assert!(first.said(JOINED) > 0, "{}", first.log());
    one.stop();
    two.stop();

    let mut second = cluster.follower("follower-2", &[&one, &two], &[&first]);
    second.start(&[]);
    let took = second.until("it has all pins", |second| second.pinset() == first.pinset());
    assert!(took < SECONDS, "it took {took:?}");
    assert!(second.said(JOINED) > 0, "{}", second.log());
    assert_has(&second.pinset().unwrap_or_default(), &cids, "at the second follower");
    for peer in [&one, &two, &first, &second] {
        peer.assert_sound();
    }

    // And both follow on when a publisher is back.
    two.start(&[&first]);
    let later = two.pin_new(1);
    assert_has(&until_equal(&[&two, &first, &second]), &later, "after the publisher came back");
}
