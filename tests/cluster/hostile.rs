//! Bytes that no honest peer sends, from a bare swarm inside the private network.
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncReadExt, AsyncWriteExt};
use ipfs_cluster::crdt::automerge::{self, EngineArgs, Limits};
use ipfs_cluster::crdt::{Engine, Input, MapRows, Now, Op, Seen, Sending, Ticket};
use ipfs_cluster::model::{Multiaddr, PeerId, Pin, Trust};
use ipfs_cluster::swarm::{self, Event, Secret, Stream, StreamProtocol, Swarm};
use ipfs_cluster::task::{self, Task};
use libp2p::identity::Keypair;
use tokio::sync::mpsc;

use crate::rig::{Home, NAME, Node, PATIENCE, SECRET, acquainted, alike, cid, shared, until};

/// A swarm with an engine in its hands: what it makes is valid until it is spoilt.
struct Stranger {
    swarm: Swarm,
    events: mpsc::Receiver<Event>,
    _task: Task,
    engine: Box<dyn Engine>,
    rows: MapRows,
    protocol: StreamProtocol,
    topics: Vec<String>,
    mono: u64,
}

impl Stranger {
    async fn start(home: &Home, victim: Multiaddr) -> Self {
        let (keypair, mut rows) = (Keypair::generate_ed25519(), MapRows::default());
        let args = EngineArgs {
            keypair: keypair.clone(),
            epoch: home.config.crdt.epoch.try_into().unwrap(),
            cluster_name: NAME.into(),
            trust: Trust::Everyone,
            actor_suffix: [1; 8],
            started: task::wall(),
            limits: Limits::default(),
        };
        let engine = automerge::open(args, &mut rows).unwrap();
        let protocol = StreamProtocol::try_from_owned(engine.protocols()[0].clone()).unwrap();
        let mut topics = engine.topics();
        topics.push("monitor.metrics".into());
        let mut args = swarm::Args::new(keypair);
        args.secret = Some(Secret(SECRET));
        args.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        args.addresses = vec![victim];
        args.topics.clone_from(&topics);
        args.protocols = vec![protocol.clone()];
        let (swarm, events, task) = swarm::spawn(args).await.unwrap();
        Self { swarm, events, _task: task, engine, rows, protocol, topics, mono: 0 }
    }

    /// Waits for an event that `wanted` makes something of.
    async fn event<T>(&mut self, wanted: impl Fn(Event) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = wanted(self.events.recv().await.unwrap()) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("the event comes in time")
    }

    /// Writes pin `n` for itself alone; returns the change and a heartbeat that tells of it.
    fn write(&mut self, n: u32) -> (Bytes, Bytes) {
        self.mono += 60_000;
        let now = Now { wall: task::wall(), mono: self.mono };
        let op = Op::Pin(Box::new(Pin::recursive(cid(n))));
        let inputs = vec![Input::Write { ticket: Ticket(0), op, seen: Seen::Any }];
        let sends = self.engine.turn(inputs, now, &mut self.rows).unwrap().sends;
        let said = |wanted: usize| {
            sends.iter().find_map(|sending| match sending {
                Sending::Gossip { topic, bytes } if *topic == wanted => Some(bytes.clone()),
                Sending::Gossip { .. } | Sending::Open { .. } | Sending::Frame { .. } | Sending::Close { .. } => None,
            })
        };
        (said(0).expect("a change"), said(1).expect("a heartbeat, which is long due"))
    }

    fn say(&self, topic: usize, bytes: &[u8]) {
        assert!(self.swarm.publish(&self.topics[topic], Bytes::copy_from_slice(bytes)));
    }

    /// The next stream that the victim opens to ask for what a heartbeat promised.
    async fn asked(&mut self) -> Stream {
        self.event(|event| if let Event::Stream { stream, .. } = event { Some(stream) } else { None }).await
    }

    async fn open(&self, victim: PeerId) -> Stream {
        self.swarm.open(victim, self.protocol.clone()).await.unwrap()
    }
}

/// Writes what the other side may refuse at any byte, and reads until it ends the stream.
async fn push(mut stream: Stream, bytes: &[u8]) {
    let talk = async {
        stream.write_all(bytes).await?;
        stream.close().await?;
        stream.read_to_end(&mut Vec::new()).await
    };
    let _: io::Result<usize> = tokio::time::timeout(PATIENCE, talk).await.expect("the stream ends");
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat()
}

/// What is no conversation: a foreign program, lengths that lie, frames that do not decode or are out of turn.
fn nonsense() -> [Vec<u8>; 8] {
    [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        u32::MAX.to_le_bytes().to_vec(),
        [&100_u32.to_le_bytes()[..], &[1; 10]].concat(),
        frame(&[]),
        frame(&[0xff; 64]),
        // A ROWS that names no group, a CHANGES that promises more than there is, a DONE that is too short.
        frame(&[2, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        frame(&[4, 0xff, 0xff, 3, 1, 2]),
        frame(&[6, 1, 2, 3]),
    ]
}

/// A victim, an honest peer beside it, and a stranger that both hear.
async fn scene(homes: &[Home; 2]) -> (Node, Node, Stranger) {
    let victim = homes[0].start(&[]).await;
    let honest = homes[1].start(&[victim.address().await]).await;
    acquainted(&[&victim, &honest]).await;
    let mut stranger = Stranger::start(&homes[0], victim.address().await).await;
    let id = victim.cluster.own_id();
    // The last of the topics: all that is said from now on arrives.
    stranger
        .event(|event| match event {
            Event::Subscribed { peer, topic } => (peer == id && *topic == *"monitor.metrics").then_some(()),
            Event::Connected(_)
            | Event::Disconnected(_)
            | Event::SubscribedElsewhere { .. }
            | Event::Gossip { .. }
            | Event::Stream { .. } => None,
        })
        .await;
    (victim, honest, stranger)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_gossip_is_refused_and_counted_and_the_peer_goes_on() {
    let _turn = shared().await;
    let homes = [Home::new(), Home::new()];
    let (victim, honest, mut stranger) = scene(&homes).await;
    let (change, heartbeat) = stranger.write(1);
    let mut said = 0;
    for (topic, good) in [(0, &change), (1, &heartbeat)] {
        let mut forged = good.to_vec();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        let mut other = good.to_vec();
        other[good.len() / 2] ^= 0x80;
        let long = [&good[..], &[0]].concat();
        for bad in [&forged, &other, &long, &good[..good.len() - 1].to_vec(), &vec![1; 200], &vec![0xff; 90_000]] {
            stranger.say(topic, bad);
            said += 1;
        }
    }
    stranger.say(2, &[0xc1; 50]);
    until("all is refused", || {
        let refused = victim.counted("gossip_refused") + victim.counted("gossip_foreign");
        refused == said && victim.counted("metrics_refused") == 1
    })
    .await;
    assert_eq!(victim.entries(), 0);
    // It was for their bytes: as it was made, the change counts.
    stranger.say(0, &change);
    victim.pin(2).await;
    alike(2, &[&victim, &honest]).await;
    assert_eq!(honest.counted("gossip_refused"), 0, "nothing of it was handed on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_frames_are_refused_and_counted_and_the_peer_goes_on() {
    let _turn = shared().await;
    let homes = [Home::new(), Home::new()];
    let (victim, honest, mut stranger) = scene(&homes).await;
    let id = victim.cluster.own_id();
    // Asked by the stranger.
    for (n, bytes) in (1..).zip(nonsense()) {
        push(stranger.open(id).await, &bytes).await;
        until("the question is counted", || victim.counted("sync_answers_failed") == n).await;
    }
    // Asking the stranger, which promises what it does not give.
    let (silence, begun) = (Vec::new(), task::now());
    for (n, bytes) in (1..).zip(nonsense().into_iter().chain([silence])) {
        let (_, heartbeat) = stranger.write(n);
        stranger.say(1, &heartbeat);
        push(stranger.asked().await, &bytes).await;
        until("the answer is counted", || victim.counted("syncs_failed") == u64::from(n)).await;
    }
    // Not by the watchdog, which ends silent connections after half a minute.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(victim.counted("frames_refused") >= 4, "{:?}", victim.cluster.counts());
    assert_eq!(victim.entries(), 0);
    victim.pin(100).await;
    honest.pin(101).await;
    alike(2, &[&victim, &honest]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_that_holds_many_streams_open_keeps_nobody_from_syncing() {
    let _turn = shared().await;
    let homes = [Home::new(), Home::new()];
    let victim = homes[0].start(&[]).await;
    victim.pin_each(0..5).await;
    let stranger = Stranger::start(&homes[0], victim.address().await).await;
    let mut held = Vec::new();
    for _ in 0..40 {
        let mut stream = stranger.open(victim.cluster.own_id()).await;
        // The first byte of a length that never comes; what is refused is reset at once.
        if stream.write_all(&[1]).await.is_ok() && stream.flush().await.is_ok() {
            held.push(stream);
        }
    }
    until("they arrive", || victim.counted("syncs_replaced") >= 39).await;
    let begun = task::now();
    let late = homes[1].start(&[victim.address().await]).await;
    alike(5, &[&victim, &late]).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(held);
}
