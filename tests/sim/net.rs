//! A net of engines on rows in memory: virtual time, one seed, everything that a network and a power switch can do.
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ipfs_cluster::crdt::automerge::{self, EngineArgs, Limits, Reader};
use ipfs_cluster::crdt::{
    Engine, Input, MapRows, Now, Op, Part, Pinset, Refused, RowsError, Seen, Sending, Survey, Talk, Ticket, Turn,
};
use ipfs_cluster::model::{PeerId, Pin, Trust, UnixMillis};
use libp2p::identity::Keypair;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::world::{DAWN, Event, Image, Peer, Stream, Weather, change, keypair, spoil};

const EPOCH: u32 = 1;
const CLUSTER: &str = "simulated";
pub struct Net {
    pub rng: SmallRng,
    pub peers: Vec<Peer>,
    pub weather: Weather,
    pub now: u64,
    /// Frames of changes that syncs carried, and syncs that were opened.
    pub frames: usize,
    pub syncs: usize,
    /// Frames of snapshots that were lent, and snapshots that were made.
    pub lent: usize,
    pub surveys: usize,
    /// The former, by lender.
    pub lent_by: BTreeMap<usize, usize>,
    parts: Vec<u8>,
    queue: BTreeMap<(u64, u64), Event>,
    streams: BTreeMap<u64, Stream>,
    ids: u64,
    limits: Limits,
    /// Every change that was ever committed, whoever heard of it.
    pub changes: BTreeSet<Bytes>,
    /// Peers that spoil what they lend.
    pub liars: BTreeSet<usize>,
    /// Messages that a check refused.
    pub refused: usize,
    trace: blake3::Hasher,
}

impl Net {
    pub fn new(seed: u64, trusts: Vec<Trust>, limits: Limits) -> Self {
        let mut net = Self {
            rng: SmallRng::seed_from_u64(seed),
            peers: Vec::new(),
            weather: Weather::FAIR,
            now: 0,
            frames: 0,
            syncs: 0,
            lent: 0,
            surveys: 0,
            lent_by: BTreeMap::new(),
            parts: vec![0; trusts.len()],
            queue: BTreeMap::new(),
            streams: BTreeMap::new(),
            ids: 0,
            limits,
            changes: BTreeSet::new(),
            liars: BTreeSet::new(),
            refused: 0,
            trace: blake3::Hasher::new(),
        };
        for (n, trust) in trusts.into_iter().enumerate() {
            let (keypair, mut rows) = (keypair(n), MapRows::default());
            let suffix = net.rng.random();
            let engine = net.open(&keypair, &trust, suffix, &mut rows);
            let id = keypair.public().to_peer_id();
            net.peers.push(Peer {
                id,
                rows,
                engine,
                keypair,
                trust,
                answers: BTreeMap::new(),
                notices: Vec::new(),
                counts: BTreeMap::new(),
                published: BTreeSet::new(),
                suffix,
                starts: 0,
                tick: None,
            });
        }
        net.meet();
        net
    }

    /// Peers that trust everyone.
    pub fn of(seed: u64, peers: usize, limits: Limits) -> Self {
        Self::new(seed, vec![Trust::Everyone; peers], limits)
    }

    fn open(&self, keypair: &Keypair, trust: &Trust, actor_suffix: [u8; 8], rows: &mut MapRows) -> Box<dyn Engine> {
        let args = EngineArgs {
            keypair: keypair.clone(),
            epoch: EPOCH,
            cluster_name: CLUSTER.to_owned(),
            trust: trust.clone(),
            actor_suffix,
            started: self.wall(),
            limits: self.limits,
        };
        automerge::open(args, rows).unwrap()
    }

    fn wall(&self) -> UnixMillis {
        UnixMillis(DAWN + i64::try_from(self.now).unwrap())
    }

    /// What the run did so far, in 32 bytes.
    pub fn trace(&self) -> [u8; 32] {
        self.trace.finalize().into()
    }

    pub fn note(&mut self, what: &str, bytes: &[u8]) {
        self.trace.update(&self.now.to_le_bytes()).update(what.as_bytes()).update(blake3::hash(bytes).as_bytes());
    }

    // What the world does.

    /// Puts each peer into a part of the net; only peers of one part reach each other.
    pub fn part(&mut self, parts: Vec<u8>) {
        self.parts = parts;
        let cut: Vec<u64> = self
            .streams
            .iter()
            .filter(|(_, stream)| self.parts[stream.asker] != self.parts[stream.server])
            .map(|(id, _)| *id)
            .collect();
        for stream in cut {
            self.break_stream(stream);
        }
        self.meet();
    }

    pub fn heal(&mut self) {
        self.part(vec![0; self.peers.len()]);
    }

    /// Tells every peer whom it can reach.
    fn meet(&mut self) {
        for n in 0..self.peers.len() {
            let inputs = self.neighbours(n);
            self.turn(n, inputs);
        }
    }

    fn neighbours(&self, n: usize) -> Vec<Input> {
        let others = (0..self.peers.len()).filter(|other| *other != n);
        let input = |other: usize| {
            let peer = self.peers[other].id;
            if self.parts[other] == self.parts[n] { Input::PeerSeen(peer) } else { Input::PeerGone(peer) }
        };
        others.map(input).collect()
    }

    /// Pulls the plug of a peer, and starts it again from what it committed.
    pub fn crash(&mut self, n: usize) {
        let suffix = self.rng.random();
        self.start(n, suffix);
    }

    /// A peer as it is now.
    pub fn image(&self, n: usize) -> Image {
        Image { rows: self.peers[n].rows.clone(), suffix: self.peers[n].suffix }
    }

    /// Goes on with an image of a peer, its process too: it does not know that anything happened since.
    pub fn wake(&mut self, n: usize, image: Image) {
        self.peers[n].rows = image.rows;
        self.start(n, image.suffix);
    }

    fn start(&mut self, n: usize, suffix: [u8; 8]) {
        self.note("crash", &[u8::try_from(n).unwrap()]);
        let broken: Vec<u64> =
            self.streams.iter().filter(|(_, s)| s.asker == n || s.server == n).map(|(id, _)| *id).collect();
        self.peers[n].starts += 1;
        self.peers[n].tick = None;
        let (keypair, trust) = (self.peers[n].keypair.clone(), self.peers[n].trust.clone());
        let mut rows = std::mem::take(&mut self.peers[n].rows);
        let engine = self.open(&keypair, &trust, suffix, &mut rows);
        self.peers[n].rows = rows;
        self.peers[n].engine = engine;
        self.peers[n].suffix = suffix;
        for stream in broken {
            self.break_stream(stream);
        }
        let inputs = self.neighbours(n);
        self.turn(n, inputs);
    }

    /// Puts another disk into a peer and starts it.
    pub fn restore(&mut self, n: usize, rows: MapRows) {
        self.peers[n].rows = rows;
        self.crash(n);
    }

    fn break_stream(&mut self, stream: u64) {
        let Some(Stream { asker, server, talk, starts, .. }) = self.streams.remove(&stream) else { return };
        if self.peers[asker].starts == starts.0 {
            let peer = self.peers[server].id;
            self.turn(asker, vec![Input::Ended { peer, talk, complete: false }]);
        }
    }

    // What users do.

    /// Writes at a peer, in one turn; returns the tickets.
    pub fn write(&mut self, n: usize, ops: Vec<Op>) -> Vec<Ticket> {
        let tickets: Vec<Ticket> = ops.iter().map(|_| Ticket(self.id())).collect();
        let input = |(ticket, op)| Input::Write { ticket, op, seen: Seen::Any };
        self.turn(n, tickets.iter().copied().zip(ops).map(input).collect());
        tickets
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// What a peer holds pinned: key order, whole pins.
    pub fn pinset(&self, n: usize) -> Vec<Pin> {
        let (mut pins, mut cursor) = (Vec::new(), None);
        loop {
            let (page, next) = Reader.page(cursor.as_deref(), 7, &self.peers[n].rows).unwrap();
            pins.extend(page);
            match next {
                Some(next) => cursor = Some(next),
                None => return pins,
            }
        }
    }

    // Time.

    /// Lets `millis` pass.
    pub fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= end) {
            self.now = entry.key().0;
            let event = entry.remove();
            self.event(event);
        }
        self.now = end;
    }

    /// Lets fair weather and whole connections be, until nothing moves any more but heartbeats; panics when that never is.
    pub fn run_until_quiet(&mut self) {
        self.weather = Weather::FAIR;
        self.heal();
        for _ in 0..40 {
            let before = (self.frames, self.syncs, self.lent, self.clocks());
            self.run(65_000);
            if before == (self.frames, self.syncs, self.lent, self.clocks()) {
                return;
            }
        }
        panic!("never quiet: {:?}", self.peers.iter().map(|peer| peer.engine.summary()).collect::<Vec<_>>());
    }

    fn clocks(&self) -> Vec<[u8; 32]> {
        self.peers.iter().map(|peer| peer.engine.summary().clock_hash).collect()
    }

    fn at(&mut self, delay: u64, event: Event) {
        let id = self.id();
        self.queue.insert((self.now + delay, id), event);
    }

    fn delay(&mut self) -> u64 {
        self.rng.random_range(1..=self.weather.delay)
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Gossip { from, to, topic, bytes } if self.parts[from] == self.parts[to] => {
                match self.peers[to].engine.check().gossip(topic, &bytes) {
                    Ok(item) => self.turn(to, vec![Input::Checked { from: self.peers[from].id, item }]),
                    // What stands on a branch that is cut off.
                    Err(Refused::Foreign(_)) => (),
                    Err(error) => panic!("peers are honest: {error}"),
                }
            }
            Event::Gossip { .. } => (),
            Event::Ask { to, stream, bytes } => self.serve(to, stream, &bytes),
            Event::Answer { to, stream, bytes } => self.answered(to, stream, &bytes),
            Event::Broken { stream } => self.break_stream(stream),
            Event::Found { to, start, parts } => self.found(to, start, parts),
            Event::Tick { to, start } => {
                if self.peers[to].starts == start && self.peers[to].tick == Some(self.now) {
                    self.turn(to, vec![Input::Tick]);
                }
            }
        }
    }

    /// The answering side: takes a frame, and says all that it has to say.
    fn serve(&mut self, n: usize, id: u64, bytes: &Bytes) {
        let Some(mut stream) = self.streams.remove(&id) else { return };
        let mut is_sound = stream.session.receive(bytes).is_ok();
        let mut frames = Vec::new();
        while is_sound && let Some(frame) = stream.session.next(&self.peers[n].rows).unwrap() {
            frames.push(frame);
            is_sound &= frames.len() < 10_000;
        }
        assert!(is_sound, "an honest sync breaks no rule");
        let asker = stream.asker;
        // Who is joining answers nobody: its side ends the stream.
        let is_over = frames.is_empty() && stream.session.done();
        for bytes in frames {
            stream.arrives = (self.now + self.delay()).max(stream.arrives + 1);
            self.at(stream.arrives - self.now, Event::Answer { to: asker, stream: id, bytes });
        }
        self.streams.insert(id, stream);
        if is_over {
            let delay = self.delay();
            self.at(delay, Event::Broken { stream: id });
        }
    }

    /// Hands over one part of a survey; the others follow.
    fn found(&mut self, n: usize, start: u32, mut parts: Vec<Part>) {
        if self.peers[n].starts != start || parts.is_empty() {
            return;
        }
        let part = parts.remove(0);
        self.turn(n, vec![Input::Found(Some(part))]);
        let delay = self.delay();
        self.at(delay, Event::Found { to: n, start, parts });
    }

    /// Reads the rows of this commit, at once: nothing that comes later can be seen.
    fn survey(&mut self, n: usize, survey: Box<dyn Survey>) {
        let mut parts = Vec::new();
        let ran: Result<(), RowsError> = survey.run(&self.peers[n].rows, &mut |part| {
            parts.push(part);
            std::ops::ControlFlow::Continue(())
        });
        ran.expect("rows in memory can be read");
        self.surveys += 1;
        let (start, delay) = (self.peers[n].starts, self.delay());
        self.at(delay, Event::Found { to: n, start, parts });
    }

    fn answered(&mut self, n: usize, id: u64, bytes: &Bytes) {
        if self.rng.random_bool(self.weather.break_stream) {
            return self.break_stream(id);
        }
        let Some(stream) = self.streams.get(&id) else { return };
        let (server, talk) = (stream.server, stream.talk);
        let peer = self.peers[server].id;
        self.note("frame", bytes);
        match talk {
            Talk::Sync => self.frames += usize::from(bytes[0] == 4 && bytes[1] > 0),
            Talk::Snapshot => {
                self.lent += 1;
                *self.lent_by.entry(server).or_default() += 1;
            }
        }
        let is_spoilt = talk == Talk::Snapshot && self.liars.contains(&server) && self.rng.random_bool(0.3);
        let bytes = if is_spoilt { spoil(bytes, &mut self.rng) } else { bytes.clone() };
        match self.peers[n].engine.check().frame(talk, &bytes) {
            Ok(frame) => self.turn(n, vec![Input::Frame { peer, talk, frame }]),
            Err(error) => {
                assert!(is_spoilt, "an honest peer breaks no rule: {error}");
                self.refused += 1;
                self.break_stream(id);
            }
        }
    }

    /// One turn of a peer: its transaction, and what leaves after it, unless the plug is pulled before or after the commit.
    pub fn turn(&mut self, n: usize, inputs: Vec<Input>) {
        let crash = self.weather.crash > 0.0 && self.rng.random_bool(self.weather.crash);
        let is_before = crash && self.rng.random_bool(0.5);
        let backup = is_before.then(|| self.peers[n].rows.clone());
        let now = Now { wall: self.wall(), mono: self.now };
        let peer = &mut self.peers[n];
        let turn = peer.engine.turn(inputs, now, &mut peer.rows).unwrap();
        match backup {
            Some(backup) => self.peers[n].rows = backup,
            None => self.changes.extend(turn.sends.iter().filter_map(change)),
        }
        if crash {
            return self.crash(n);
        }
        self.leave(n, turn);
    }

    fn leave(&mut self, n: usize, turn: Turn) {
        let peer = &mut self.peers[n];
        peer.answers.extend(turn.answers);
        peer.notices.extend(turn.notices);
        for (what, count) in turn.counts {
            *peer.counts.entry(what).or_default() += count;
        }
        if let Some(at) = turn.tick_at {
            let at = u64::try_from(at.0 - DAWN).unwrap().max(self.now + 1);
            let start = peer.starts;
            if peer.tick != Some(at) {
                peer.tick = Some(at);
                self.at(at - self.now, Event::Tick { to: n, start });
            }
        }
        if let Some(survey) = turn.survey {
            self.survey(n, survey);
        }
        for sending in turn.sends {
            self.send(n, sending);
        }
    }

    fn send(&mut self, n: usize, sending: Sending) {
        match sending {
            Sending::Gossip { topic, bytes } => {
                self.note("gossip", &bytes);
                if topic == 0 {
                    self.peers[n].published.insert(bytes.clone());
                }
                for to in (0..self.peers.len()).filter(|to| *to != n) {
                    let copies = usize::from(!self.rng.random_bool(self.weather.drop))
                        + usize::from(self.rng.random_bool(self.weather.twice));
                    for _ in 0..copies {
                        let delay = self.delay();
                        self.at(delay, Event::Gossip { from: n, to, topic, bytes: bytes.clone() });
                    }
                }
            }
            Sending::Open { peer, talk, hello } => self.open_stream(n, (peer, talk), hello),
            Sending::Frame { peer, talk, bytes } => {
                let Some((id, server)) = self.stream_to(n, (peer, talk)) else { return };
                let delay = self.delay();
                let stream = self.streams.get_mut(&id).unwrap();
                stream.arrives = (self.now + delay).max(stream.arrives + 1);
                let delay = stream.arrives - self.now;
                self.at(delay, Event::Ask { to: server, stream: id, bytes });
            }
            Sending::Close { peer, talk } => {
                if let Some((id, _)) = self.stream_to(n, (peer, talk)) {
                    self.streams.remove(&id);
                }
            }
        }
    }

    fn open_stream(&mut self, n: usize, (peer, talk): (PeerId, Talk), hello: Bytes) {
        let server = self.peers.iter().position(|other| other.id == peer).unwrap();
        // One that is to a peer which went away meanwhile, and whose end was not told yet.
        if let Some((older, _)) = self.stream_to(n, (peer, talk)) {
            self.streams.remove(&older);
        }
        self.syncs += usize::from(talk == Talk::Sync);
        let (id, delay) = (self.id(), self.delay());
        let session = self.peers[server].engine.answer().session(self.peers[n].id, talk);
        let starts = (self.peers[n].starts, self.peers[server].starts);
        self.streams.insert(id, Stream { asker: n, server, talk, starts, session, arrives: self.now + delay });
        let reaches = self.parts[n] == self.parts[server];
        let event =
            if reaches { Event::Ask { to: server, stream: id, bytes: hello } } else { Event::Broken { stream: id } };
        self.at(delay, event);
    }

    fn stream_to(&self, n: usize, (peer, talk): (PeerId, Talk)) -> Option<(u64, usize)> {
        let is_it = |s: &Stream| s.asker == n && s.talk == talk && self.peers[s.server].id == peer;
        let mut found = self.streams.iter().filter(|(_, stream)| is_it(stream));
        found.next().map(|(id, stream)| (*id, stream.server))
    }
}
