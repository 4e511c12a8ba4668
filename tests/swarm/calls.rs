//! Calls between real peers.
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::BoxStream;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, TryStreamExt, stream};
use ipfs_cluster::model::{Cid, PeerId, PeerInfo, PinInfo, PinInfoShort, StatusFilter, TrackerStatus, UnixMillis};
use ipfs_cluster::observe::CallMeters;
use ipfs_cluster::swarm::Event;
use ipfs_cluster::swarm::calls::{self, Call, CallError, CallServer, Calls, Order, PROTOCOL, Reply, Serve};
use ipfs_cluster::task::Task;
use tokio::sync::mpsc;

use crate::node::{start_with, until};

/// Knows `pins` pins, and trusts one peer.
struct Stub {
    own: PeerId,
    trusts: Option<PeerId>,
    pins: u64,
}

fn cid(n: u64) -> Cid {
    let digest = multihash::Multihash::wrap(0x12, &[&n.to_be_bytes()[..], &[0; 24]].concat()).unwrap();
    Cid::new_v1(0x55, digest)
}

impl Stub {
    fn status(own: PeerId, cid: Cid) -> Reply {
        Reply::Status(Box::new(PinInfo {
            cid,
            name: "a pin".into(),
            peer: own,
            allocations: vec![own],
            origins: vec![],
            created: Some(UnixMillis::from_seconds(1_700_000_000)),
            metadata: [("k".into(), "v".into())].into(),
            short: PinInfoShort {
                peername: "stub".into(),
                ipfs_peer_id: Some(own),
                ipfs_peer_addresses: vec![],
                status: TrackerStatus::Pinned,
                timestamp: UnixMillis(1_700_000_000_123),
                error: String::new(),
                attempt_count: 200,
                bytes: 1 << 40,
                next_try: Some(UnixMillis(1_700_000_100_456)),
                priority_pin: true,
            },
        }))
    }
}

impl Serve for Stub {
    fn trusted(&self, peer: &PeerId) -> bool {
        self.trusts == Some(*peer)
    }

    fn call(&self, _: PeerId, call: Call) -> BoxStream<'static, Result<Reply, String>> {
        let own = self.own;
        match call {
            Call::Version => stream::iter([Ok(Reply::Version("0.1.0".into()))]).boxed(),
            Call::Id | Call::IdStream => {
                stream::iter([Ok(Reply::Id(Box::new(PeerInfo::failed(own, String::new()))))]).boxed()
            }
            Call::Status(cid) => stream::iter([Ok(Self::status(own, cid))]).boxed(),
            Call::StatusAll(_) => stream::iter(0..self.pins).map(move |n| Ok(Self::status(own, cid(n)))).boxed(),
            Call::RecoverAllLocal => {
                stream::iter([Ok(Self::status(own, cid(0))), Err("the ledger is gone".into())]).boxed()
            }
            Call::Recover(_) => stream::pending().boxed(),
            _ => stream::empty().boxed(),
        }
    }
}

/// Passes inbound streams to the server of calls.
async fn pump(mut events: mpsc::Receiver<Event>, server: CallServer) {
    while let Some(event) = events.recv().await {
        if let Event::Stream { peer, stream, .. } = event {
            server.accept(peer, stream);
        }
    }
}

struct Pair {
    server: ipfs_cluster::swarm::Swarm,
    calls: Calls,
    caller: ipfs_cluster::swarm::Swarm,
    _jobs: tokio::task::JoinSet<()>,
    _tasks: [Task; 3],
}

/// A peer that serves and a peer that calls.
async fn pair(trusted: bool, pins: u64) -> Pair {
    let mut a = start_with(&[]).await;
    let mut b = start_with(&[a.address()]).await;
    a.connected(b.id()).await;
    b.connected(a.id()).await;
    let stub = Stub { own: a.id(), trusts: trusted.then(|| b.id()), pins };
    let (server, serving) = calls::spawn(&a.swarm, Arc::new(stub), CallMeters::default());
    let mut jobs = tokio::task::JoinSet::new();
    jobs.spawn(pump(a.events, server));
    jobs.spawn(async move { while b.events.recv().await.is_some() {} });
    let tasks = [a.task, b.task, serving];
    Pair { server: a.swarm, calls: Calls::new(b.swarm.clone()), caller: b.swarm, _jobs: jobs, _tasks: tasks }
}

#[tokio::test]
async fn every_call_has_its_answer() {
    let pair = pair(true, 3).await;
    let to = pair.server.own_id();
    assert_eq!(pair.calls.id(to).await.unwrap().id, to);
    assert_eq!(pair.calls.version(to).await.unwrap(), "0.1.0");
    let status = pair.calls.status(to, &cid(9)).await.unwrap();
    assert_eq!(Reply::Status(Box::new(status)), Stub::status(to, cid(9)));
    for order in [Order::Keys, Order::Any] {
        let all: Vec<_> = pair.calls.status_all(to, StatusFilter::ALL, order).try_collect().await.unwrap();
        assert_eq!(all.iter().map(|info| info.cid).collect::<Vec<_>>(), [cid(0), cid(1), cid(2)]);
    }
    until("all are counted", || pair.server.counts().calls_served == 5).await;
}

#[tokio::test]
async fn sixty_parallel_calls_are_all_served() {
    let pair = pair(true, 0).await;
    let to = pair.server.own_id();
    for result in join_all((0..60).map(|_| pair.calls.id(to))).await {
        assert_eq!(result.unwrap().id, to);
    }
    assert_eq!(pair.server.counts().streams_dropped, 0);
}

#[tokio::test]
async fn a_long_stream_arrives_whole() {
    let pair = pair(true, 20_000).await;
    let count = pair.calls.status_all(pair.server.own_id(), StatusFilter::ALL, Order::Keys).map_ok(|_| 1);
    assert_eq!(count.try_fold(0, |sum, n| async move { Ok(sum + n) }).await.unwrap(), 20_000);
}

#[tokio::test]
async fn a_stream_that_fails_in_the_middle_tells_what_came_and_why_it_ended() {
    let pair = pair(true, 0).await;
    let mut replies = pair.calls.recover_all(pair.server.own_id(), Order::Keys);
    assert_eq!(replies.next().await.unwrap().unwrap().cid, cid(0));
    assert!(matches!(replies.next().await, Some(Err(CallError::Remote(text))) if text == "the ledger is gone"));
    assert!(replies.next().await.is_none());
}

#[tokio::test]
async fn a_peer_that_is_not_trusted_calls_only_what_is_open() {
    let pair = pair(false, 1).await;
    let to = pair.server.own_id();
    assert!(pair.calls.id(to).await.is_ok());
    let refused = pair.calls.status(to, &cid(0)).await.unwrap_err();
    assert!(matches!(&refused, CallError::Refused(_)), "{refused}");
    assert_eq!(refused.to_string(), "client does not have permissions to call PinTracker.Status");
    let refused = pair.calls.status_all(to, StatusFilter::ALL, Order::Keys).next().await.unwrap();
    assert!(matches!(refused, Err(CallError::Refused(_))));
    until("both are counted", || pair.server.counts().calls_refused == 2).await;
}

#[tokio::test]
async fn a_call_that_is_not_answered_ends_at_its_deadline() {
    let pair = pair(true, 0).await;
    let calls = pair.calls.clone().with_deadline(Duration::from_millis(200));
    assert!(matches!(calls.recover(pair.server.own_id(), &cid(0)).await, Err(CallError::Deadline(_))));
}

#[tokio::test]
async fn bytes_that_are_no_call_are_counted_and_the_peer_goes_on() {
    let pair = pair(true, 0).await;
    let to = pair.server.own_id();
    for bytes in [&[0xc1][..], &[0x91; 200], b"GET / HTTP/1.1\r\n\r\n", &[0xdb, 0xff, 0xff, 0xff, 0xff]] {
        let mut stream = pair.caller.open(to, PROTOCOL).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.close().await.unwrap();
        // A reset is as good an answer as an error.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    until("all are counted", || pair.server.counts().calls_malformed == 4).await;
    assert!(pair.calls.id(to).await.is_ok());
}

#[tokio::test]
async fn a_peer_that_is_gone_is_an_error_that_says_so() {
    let pair = pair(true, 0).await;
    let error = pair.calls.id(PeerId::random()).await.unwrap_err();
    assert_eq!(error.to_string(), "routing: not found");
}
