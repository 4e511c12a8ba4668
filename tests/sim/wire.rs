//! What happens to messages on their way: gossip, streams, surveys.
use bytes::Bytes;
use ipfs_cluster::crdt::{Input, Part, Refused, RowsError, Sending, Survey, Talk};
use ipfs_cluster::model::PeerId;
use rand::Rng;

use super::net::Net;
use super::world::{Event, Stream, spoil};

/// Greatest frame of a stream, and greatest message to all.
const FRAME_MAX: usize = 1024 * 1024;
const GOSSIP_MAX: usize = 80 * 1024;

impl Net {
    fn delay(&mut self) -> u64 {
        self.rng.random_range(1..=self.weather.delay)
    }

    pub(super) fn event(&mut self, event: Event) {
        match event {
            Event::Gossip { from, to, topic, bytes } => {
                if self.links.carries(from, to) {
                    self.hear(from, to, topic, &bytes);
                }
            }
            Event::Ask { to, stream, bytes } => self.serve(to, stream, &bytes),
            Event::Answer { to, stream, bytes } => self.answered(to, stream, &bytes),
            Event::Broken { stream } => self.break_stream(stream),
            Event::Found { to, start, parts } => self.found(to, start, parts),
            Event::Tick { to, start } => {
                if self.peers[to].starts == start && self.peers[to].tick == Some(self.now) {
                    self.turn(to, vec![Input::Tick]);
                }
            }
            Event::Open { to, start } => {
                if self.peers[to].starts == start && self.peers[to].is_down {
                    self.open_again(to);
                }
            }
        }
    }

    /// A message to all arrives at one; what is spoilt is refused before any engine sees it.
    pub fn hear(&mut self, from: usize, to: usize, topic: usize, bytes: &Bytes) {
        match self.peers[to].engine.check().gossip(topic, bytes) {
            Ok(item) => self.turn(to, vec![Input::Checked { from: self.peers[from].id, item }]),
            // What stands on a branch that is cut off.
            Err(Refused::Foreign(_)) => (),
            Err(error) => panic!("what was said was well-formed: {error}"),
        }
    }

    /// Somebody says again what was said before; or says it with a byte changed, which every check refuses.
    pub fn replay(&mut self) {
        if self.said.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.said.len());
        let (author, topic, bytes) = self.said[at].clone();
        let (from, to) = (self.rng.random_range(0..self.peers.len()), self.rng.random_range(0..self.peers.len()));
        if to == author {
            return;
        }
        self.note("replay", to, &bytes);
        let spoilt = spoil(&bytes, &mut self.rng);
        assert!(self.peers[to].engine.check().gossip(topic, &spoilt).is_err(), "a changed byte breaks a signature");
        self.hear(from, to, topic, &bytes);
    }

    /// The answering side: takes a frame, and says all that it has to say.
    fn serve(&mut self, n: usize, id: u64, bytes: &Bytes) {
        let Some(mut stream) = self.streams.remove(&id) else { return };
        let asker = stream.asker;
        if !self.links.carries(asker, n) {
            self.streams.insert(id, stream);
            return;
        }
        let mut is_sound = stream.session.receive(bytes).is_ok();
        let mut frames = Vec::new();
        while is_sound && let Some(frame) = stream.session.next(&self.peers[n].rows).unwrap() {
            assert!(frame.len() <= FRAME_MAX, "a frame of {} bytes", frame.len());
            frames.push(frame);
            is_sound &= frames.len() < 10_000;
        }
        assert!(is_sound, "an honest sync breaks no rule");
        // Who is joining answers nobody: its side ends the stream.
        let is_over = frames.is_empty() && stream.session.done();
        for bytes in frames {
            let delay = self.delay();
            stream.arrives = (self.now + delay).max(stream.arrives + 1);
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
    pub(super) fn survey(&mut self, n: usize, survey: Box<dyn Survey>) {
        let mut parts = Vec::new();
        let ran: Result<(), RowsError> = survey.run(&self.peers[n].rows, &mut |part| {
            parts.push(part);
            std::ops::ControlFlow::Continue(())
        });
        ran.expect("rows in memory can be read");
        self.peers[n].surveys += 1;
        self.note("snapshot", n, &[]);
        let (start, delay) = (self.peers[n].starts, self.delay());
        self.at(delay, Event::Found { to: n, start, parts });
    }

    fn answered(&mut self, n: usize, id: u64, bytes: &Bytes) {
        let Some((server, talk)) = self.streams.get(&id).map(|stream| (stream.server, stream.talk)) else { return };
        if !self.links.carries(server, n) {
            return;
        }
        if self.rng.random_bool(self.weather.break_stream) {
            return self.break_stream(id);
        }
        let peer = self.peers[server].id;
        self.note(&format!("frame of {server}, {talk:?} {}", bytes[0]), n, bytes);
        match talk {
            Talk::Sync => self.frames += usize::from(bytes[0] == 4 && bytes[1] > 0),
            Talk::Snapshot => {
                self.lent += usize::from(bytes[0] == 4);
                *self.lent_by.entry(server).or_default() += usize::from(bytes[0] == 4);
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

    pub(super) fn send(&mut self, n: usize, sending: Sending) {
        match sending {
            Sending::Gossip { topic, bytes } => self.say(n, topic, &bytes),
            Sending::Open { peer, talk, hello } => self.open_stream(n, (peer, talk), hello),
            Sending::Frame { peer, talk, bytes } => {
                let Some((id, server)) = self.stream_to(n, (peer, talk)) else { return };
                let delay = self.delay();
                let Some(stream) = self.streams.get_mut(&id) else { return };
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

    fn say(&mut self, n: usize, topic: usize, bytes: &Bytes) {
        assert!(bytes.len() <= GOSSIP_MAX, "a message of {} bytes", bytes.len());
        self.note(["change", "heartbeat"][topic], n, bytes);
        if topic == 0 {
            self.peers[n].published.insert(bytes.clone());
        }
        self.said.push((n, topic, bytes.clone()));
        for to in (0..self.peers.len()).filter(|to| *to != n) {
            let copies = usize::from(!self.rng.random_bool(self.weather.drop))
                + usize::from(self.rng.random_bool(self.weather.twice));
            for _ in 0..copies {
                let delay = self.delay();
                self.at(delay, Event::Gossip { from: n, to, topic, bytes: bytes.clone() });
            }
        }
    }

    fn open_stream(&mut self, n: usize, (peer, talk): (PeerId, Talk), hello: Bytes) {
        let server = self.peers.iter().position(|other| other.id == peer).unwrap();
        // One that is to a peer which went away meanwhile, and whose end was not told yet.
        if let Some((older, _)) = self.stream_to(n, (peer, talk)) {
            self.streams.remove(&older);
        }
        let (id, delay) = (self.id(), self.delay());
        let session = self.peers[server].engine.answer().session(self.peers[n].id, talk);
        let starts = (self.peers[n].starts, self.peers[server].starts);
        self.streams.insert(id, Stream { asker: n, server, talk, starts, session, arrives: self.now + delay });
        let reaches = self.links.opens(n, server) && !self.peers[server].is_down;
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
