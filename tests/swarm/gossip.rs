//! Messages, verdicts and forwarding.
use std::time::Duration;

use bytes::Bytes;
use ipfs_cluster::swarm::{Args, Event, Verdict};
use ipfs_cluster::task;

use crate::node::{Node, TOPIC, args, start, start_with, until};

#[tokio::test]
async fn messages_go_both_ways_with_their_author() {
    let mut a = start_with(&[]).await;
    let mut b = start_with(&[a.address()]).await;
    a.subscribed(b.id()).await;
    b.subscribed(a.id()).await;
    assert!(a.swarm.publish(TOPIC, Bytes::from_static(b"from a")));
    let message = b.message().await;
    assert_eq!((message.source, message.relay, &message.bytes[..]), (a.id(), a.id(), &b"from a"[..]));
    assert!(b.swarm.publish(TOPIC, Bytes::from_static(b"from b")));
    assert_eq!(a.message().await.bytes, "from b");
    assert_eq!(b.swarm.counts().gossip_received, 1);
}

#[tokio::test]
async fn a_neighbour_that_listens_elsewhere_is_told_with_its_topic() {
    let mut a = start_with(&[]).await;
    let mut args = args();
    args.addresses = vec![a.address()];
    args.topics = vec!["x".repeat(2_000), "another/topic".into()];
    let b = start(args).await;
    let told = a.event(|event| match event {
        Event::SubscribedElsewhere { peer, topic } => Some((peer, topic)),
        _ => None,
    });
    assert_eq!(told.await, (b.id(), "another/topic".to_owned()));
}

/// Four peers, each connected to the one before it only.
async fn line() -> [Node; 4] {
    let mut a = start_with(&[]).await;
    let mut b = start_with(&[a.address()]).await;
    let mut c = start_with(&[b.address()]).await;
    let mut d = start_with(&[c.address()]).await;
    a.subscribed(b.id()).await;
    b.subscribed(c.id()).await;
    c.subscribed(d.id()).await;
    d.subscribed(c.id()).await;
    [a, b, c, d]
}

#[tokio::test]
async fn in_a_line_of_four_the_last_hears_the_first_at_once() {
    let [a, mut b, mut c, mut d] = line().await;
    // The links come up one by one; a message published now crosses all of them.
    for round in 0..20 {
        let begun = task::now();
        assert!(a.swarm.publish(TOPIC, Bytes::from(format!("round {round}"))));
        for node in [&mut b, &mut c] {
            let message = node.message().await;
            node.swarm.verdict(message.token, Verdict::Accept);
        }
        let message = d.message().await;
        assert_eq!((message.source, message.relay), (a.id(), c.id()));
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn what_is_not_accepted_is_not_forwarded() {
    let [a, mut b, mut c, d] = line().await;
    for verdict in [Verdict::Ignore, Verdict::Reject] {
        assert!(a.swarm.publish(TOPIC, Bytes::from(format!("{verdict:?}"))));
        let message = b.message().await;
        b.swarm.verdict(message.token, verdict);
    }
    assert!(a.swarm.publish(TOPIC, Bytes::from_static(b"good")));
    let message = b.message().await;
    b.swarm.verdict(message.token, Verdict::Accept);
    assert_eq!(c.message().await.bytes, "good");
    drop(d);
}

#[tokio::test]
async fn messages_that_nobody_takes_are_counted_and_the_loop_goes_on() {
    let mut a = start_with(&[]).await;
    let b = start_with(&[a.address()]).await;
    a.subscribed(b.id()).await;
    for n in 0..1500u32 {
        while !a.swarm.publish(TOPIC, Bytes::copy_from_slice(&n.to_be_bytes())) {
            tokio::task::yield_now().await;
        }
    }
    // Nobody reads the events of b: a thousand wait, the others are dropped.
    until("the queue overflows", || b.swarm.counts().gossip_dropped > 100).await;
    assert!(b.swarm.counts().gossip_received <= 1024);
    assert_eq!(b.swarm.connected(), [a.id()]);
}

#[tokio::test]
async fn a_payload_past_its_limit_is_refused() {
    let mut a = start_with(&[]).await;
    let mut b = start_with(&[a.address()]).await;
    a.subscribed(b.id()).await;
    assert!(a.swarm.publish(TOPIC, Bytes::from(vec![0; 200 << 10])));
    assert!(a.swarm.publish(TOPIC, Bytes::from_static(b"small")));
    assert_eq!(b.message().await.bytes, "small");
    assert_eq!(b.swarm.counts().gossip_limited, 1);
}

#[tokio::test]
async fn a_neighbour_that_falls_silent_is_connected_to_anew() {
    // Three heartbeats of silence are too many; in the other tests, which are silent too, they are half a minute.
    let quick = |addresses| {
        let mut args = Args { addresses, ..args() };
        args.gossip.heartbeat = Duration::from_secs(1);
        args
    };
    let mut a = start(quick(vec![])).await;
    let mut b = start(quick(vec![a.address()])).await;
    a.subscribed(b.id()).await;
    b.event(|event| matches!(event, Event::Disconnected(peer) if peer == a.id()).then_some(())).await;
    b.event(|event| matches!(event, Event::Connected(peer) if peer == a.id()).then_some(())).await;
    assert!(a.swarm.counts().watchdog_disconnects + b.swarm.counts().watchdog_disconnects > 0);
}
