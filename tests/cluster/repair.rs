//! Peers that die: when their pins get other holders, how fast, when that stops, and who is told.
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ipfs_cluster::model::{Alert, PeerId, Pin, UnixMillis};
use ipfs_cluster::task;

use crate::daemon::Deed;
use crate::fleet::{Fleet, GRACE, MIN, PEERS, PING_EVERY, SIZE, patience, pins};
use crate::rig::{Node, alone, until_within};

/// Bytes a second that each peer may move: those of a dead peer take some 20 seconds, however many there are.
fn rate() -> u64 {
    SIZE * u64::from(pins()) / 1_200
}

/// In a window of this length it is looked how much was moved, and by so much later may a copy come than it was let go.
const WINDOW: Duration = Duration::from_secs(4);
const LATE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_gone_is_replaced_slowly_and_not_any_more_when_it_is_back() {
    let _turn = alone().await;
    let mut fleet = Box::pin(Fleet::start(Some(rate()))).await;
    fleet.fill().await;
    let lost = fleet.daemon(3).held();
    let is_short = |pin: &Pin| pin.allocations.len() == MIN && pin.allocations.contains(&fleet.id(3));
    let short = fleet.pinset(0).await.values().filter(|pin| is_short(pin)).count();
    let killed = fleet.kill(3);
    until_within(patience(), "some pins are moved", || moved(&fleet, killed).len() * 4 > short).await;
    let back = fleet.come_back(3).await;
    let times = moved(&fleet, killed);
    assert!(times.len() < short, "it came back too late to stop anything");
    assert!(times[0] >= killed + GRACE, "it began {:?} after the death", times[0] - killed);
    check_rate(&times);
    check_stopped(&fleet, back).await;
    fleet.until_held("who is back lets go of what others hold, and keeps the rest").await;
    let kept = fleet.daemon(3).held().intersection(&lost).count();
    assert!(kept > lost.len() - short && kept < lost.len(), "{kept} of {} were kept", lost.len());
    fleet.check_drops(&(0..PEERS).collect(), killed);
}

/// When pins got other holders.
fn moved(fleet: &Fleet, since: Instant) -> Vec<Instant> {
    fleet.deeds(since).into_iter().filter(|(_, _, deed, _)| *deed == Deed::Pinned).map(|(at, ..)| at).collect()
}

/// As many peers as are left move so many pins a second each.
fn check_rate(times: &[Instant]) {
    let in_window = usize::try_from((WINDOW + LATE).as_secs() * rate() / SIZE).unwrap();
    // The first one of each peer has nothing to wait for.
    let max = (in_window + 1) * (PEERS - 1);
    for (n, first) in times.iter().enumerate() {
        let moved = times[n..].iter().take_while(|at| **at <= *first + WINDOW).count();
        assert!(moved <= max, "{moved} pins were moved in {WINDOW:?}, {max} may be");
    }
}

/// A second after all have heard that it is back, nobody gives its pins away any more.
async fn check_stopped(fleet: &Fleet, back: Instant) {
    task::sleep_until(Some(back + Duration::from_secs(1))).await;
    fleet.until_one().await;
    let before = fleet.pinset(0).await;
    let heard = || fleet.living().map(|(_, node)| pings(node)).collect::<Vec<_>>();
    let first = heard();
    let all_later = || heard().iter().zip(&first).all(|(now, then)| now.iter().zip(then).all(|(n, t)| n > t));
    until_within(PING_EVERY * 10, "all ping again", all_later).await;
    fleet.until_one().await;
    assert_eq!(fleet.pinset(0).await, before);
}

/// When each peer was last heard, by peer.
fn pings(node: &Node) -> Vec<i64> {
    node.cluster.metrics("ping").iter().map(|ping| ping.received_nanos).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_deaths_are_three_alerts_everywhere_and_no_pin_stays_short() {
    let _turn = alone().await;
    let mut fleet = Box::pin(Fleet::start(None)).await;
    fleet.fill().await;
    let (client, _api) = fleet.living().last().unwrap().1.serve().await;
    let (began, mut deaths) = (task::now(), Vec::new());
    for number in [2, 5, 7] {
        // A machine with much else to do may have missed somebody who lives.
        fleet.until_acquainted().await;
        let death = (fleet.id(number), task::wall());
        fleet.kill(number);
        let told = || fleet.living().all(|(_, node)| !told_of(node, &[death]).is_empty());
        until_within(patience(), "all are told of a death", told).await;
        deaths.insert(0, death);
    }
    fleet.until_held("all have enough holders again").await;
    let expected: Vec<PeerId> = deaths.iter().map(|(peer, _)| *peer).collect();
    for (number, node) in fleet.living() {
        assert_eq!(told_of(node, &deaths), expected, "each once, the newest first, at {number}");
    }
    let shown = client.alerts().await.unwrap().into_iter().filter(|alert| alert.metric.name == "ping");
    let shown: Vec<String> = shown.map(|alert| alert.metric.peer).collect();
    assert!(expected.iter().all(|peer| shown.contains(&peer.to_string())), "{shown:?}");
    check_copies(&fleet).await;
    fleet.check_drops(&fleet.living().map(|(number, _)| number).collect(), began);
}

/// Whose deaths a peer tells of, since they died, newest first.
fn told_of(node: &Node, deaths: &[(PeerId, UnixMillis)]) -> Vec<PeerId> {
    let is_of = |alert: &Alert| {
        let of_peer = |(peer, at): &(PeerId, UnixMillis)| alert.metric.peer == *peer && alert.triggered >= *at;
        alert.metric.name == "ping" && deaths.iter().any(of_peer)
    };
    node.cluster.alerts().into_iter().filter(is_of).map(|alert| alert.metric.peer).collect()
}

/// Each pin is held by as many living daemons as it has to be.
async fn check_copies(fleet: &Fleet) {
    let held: Vec<BTreeSet<_>> = fleet.living().map(|(number, _)| fleet.daemon(number).held()).collect();
    for cid in fleet.pinset(0).await.keys() {
        let copies = held.iter().filter(|held| held.contains(cid)).count();
        assert!(copies >= MIN, "{cid} has {copies} copies");
    }
}
