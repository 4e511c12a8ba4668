//! (test) Engines that sync with each other by hand.
use std::ops::ControlFlow;

use bytes::Bytes;

use super::testing::{CLUSTER, EPOCH, cid, keypair, peer};
use crate::crdt::automerge::formats::frames::Frame;
use crate::crdt::automerge::sync::check::HEARTBEATS_TOPIC;
use crate::crdt::automerge::{EngineArgs, Limits, open};
use crate::crdt::{Engine, Input, MapRows, Notice, Now, Op, Seen, Sending, Session, Survey, Talk, Ticket, Turn};
use crate::model::{Pin, Trust, UnixMillis};

/// One engine, and a clock to move.
pub struct Site {
    pub engine: Box<dyn Engine>,
    pub rows: MapRows,
    pub mono: u64,
}

impl Site {
    pub fn new(n: u8, trust: Trust) -> Self {
        Self::on(n, trust, MapRows::default())
    }

    /// Starts on these rows, always at the same moment of its wall clock.
    pub fn on(n: u8, trust: Trust, mut rows: MapRows) -> Self {
        let args = EngineArgs {
            keypair: keypair(n),
            epoch: EPOCH,
            cluster_name: CLUSTER.to_owned(),
            trust,
            actor_suffix: [n; 8],
            started: UnixMillis(1),
            limits: Limits::default(),
        };
        let mut site = Self { engine: open(args, &mut rows).unwrap(), rows, mono: 0 };
        site.turn(vec![Input::Tick]);
        site
    }

    pub fn turn(&mut self, inputs: Vec<Input>) -> Turn {
        let now = Now { wall: UnixMillis(i64::try_from(self.mono).unwrap()), mono: self.mono };
        self.engine.turn(inputs, now, &mut self.rows).unwrap()
    }

    pub fn pin(&mut self, n: u32) -> Turn {
        let op = Op::Pin(Box::new(Pin::recursive(cid(n))));
        self.turn(vec![Input::Write { ticket: Ticket(0), op, seen: Seen::Any }])
    }

    /// The site's next heartbeat.
    pub fn heartbeat(&mut self) -> Bytes {
        self.mono += 20_000;
        gossip(&self.turn(vec![Input::Tick]), HEARTBEATS_TOPIC).remove(0)
    }

    pub fn hear(&mut self, topic: usize, bytes: &Bytes) -> Turn {
        let item = self.engine.check().gossip(topic, bytes).unwrap();
        self.turn(vec![Input::Checked { from: peer(9), item }])
    }

    /// Runs a survey on the rows of now; returns the notices that its parts make.
    pub fn found(&mut self, survey: Box<dyn Survey>) -> Vec<Notice> {
        let mut parts = Vec::new();
        let mut give = |part| {
            parts.push(part);
            ControlFlow::Continue(())
        };
        survey.run(&self.rows, &mut give).unwrap();
        let turns: Vec<Turn> = parts.into_iter().map(|part| self.turn(vec![Input::Found(Some(part))])).collect();
        turns.into_iter().flat_map(|turn| turn.notices).collect()
    }

    pub fn frame(&mut self, n: u8, bytes: &Bytes) -> Turn {
        let frame = self.engine.check().frame(Talk::Sync, bytes).unwrap();
        self.turn(vec![Input::Frame { peer: peer(n), talk: Talk::Sync, frame }])
    }
}

pub fn gossip(turn: &Turn, of: usize) -> Vec<Bytes> {
    let pick = |sending: &Sending| match sending {
        Sending::Gossip { topic, bytes } if *topic == of => Some(bytes.clone()),
        Sending::Gossip { .. } | Sending::Open { .. } | Sending::Frame { .. } | Sending::Close { .. } => None,
    };
    turn.sends.iter().filter_map(pick).collect()
}

pub fn hello_to(turn: &Turn, n: u8) -> Option<Bytes> {
    turn.sends.iter().find_map(|sending| match sending {
        Sending::Open { peer: to, talk: _, hello } if *to == peer(n) => Some(hello.clone()),
        Sending::Gossip { .. } | Sending::Open { .. } | Sending::Frame { .. } | Sending::Close { .. } => None,
    })
}

pub fn all(session: &mut dyn Session, rows: &MapRows) -> Vec<Bytes> {
    std::iter::from_fn(|| session.next(rows).unwrap()).collect()
}

/// Runs a sync to its end; returns the number of changes that came.
pub fn sync(asker: &mut Site, server: (u8, &Site), hello: &Bytes) -> usize {
    let mut session = server.1.engine.answer().session(peer(1), Talk::Sync);
    session.receive(hello).unwrap();
    let mut changes = 0;
    let mut turns = Vec::new();
    loop {
        let frames = all(&mut *session, &server.1.rows);
        if frames.is_empty() {
            break;
        }
        for bytes in frames {
            if let Frame::Changes(envelopes) = Frame::decode(&bytes).unwrap() {
                changes += envelopes.len();
            }
            turns.push(asker.frame(server.0, &bytes));
        }
        let replies = turns.drain(..).flat_map(|turn| turn.sends);
        for sending in replies {
            if let Sending::Frame { bytes, .. } = sending {
                session.receive(&bytes).unwrap();
            }
        }
    }
    assert!(session.done());
    changes
}
