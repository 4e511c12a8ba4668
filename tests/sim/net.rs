//! A net of engines on rows in memory: virtual time, one seed, everything that a network, a clock and a power switch can do.
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ipfs_cluster::crdt::automerge::{self, EngineArgs, Limits, OpenError, Reader};
use ipfs_cluster::crdt::{Input, MapRows, Now, Op, Pinset, RowsError, Seen, Summary, Talk, Ticket, Turn, WriteError};
use ipfs_cluster::model::{Pin, Trust, UnixMillis};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::disk::Faulty;
use super::world::{DAWN, Event, Image, Links, Peer, Stream, Weather, change, keypair, peer_id};

const EPOCH: u32 = 1;
const CLUSTER: &str = "simulated";

/// When a store that failed is opened again, in milliseconds.
const OPEN_WAIT: u64 = 1_000;

/// Nothing moves for so long when all is quiet, in milliseconds: what is tried again is tried within a minute or two.
const QUIET: u64 = 130_000;

/// Row operations of a turn, or of an opening, among which the one is drawn that fails.
const FAULT_ROWS: u32 = 40;

/// Steps that a peer takes one after the other at most: far more than any join of a run needs.
const SPINS_MAX: usize = 5_000;

pub struct Net {
    pub rng: SmallRng,
    pub peers: Vec<Peer>,
    pub weather: Weather,
    pub now: u64,
    /// Frames of changes that syncs carried.
    pub frames: usize,
    /// Frames of snapshots that were lent.
    pub lent: usize,
    /// The same by lender.
    pub lent_by: BTreeMap<usize, usize>,
    pub links: Links,
    pub(super) queue: BTreeMap<(u64, u64), Event>,
    pub(super) streams: BTreeMap<u64, Stream>,
    ids: u64,
    pub limits: Limits,
    /// Every change that was ever committed, whoever heard of it, and its author.
    pub changes: BTreeMap<Bytes, usize>,
    /// Everything that was ever said to all: (who, topic, bytes).
    pub said: Vec<(usize, usize, Bytes)>,
    /// Peers that spoil what they lend.
    pub liars: BTreeSet<usize>,
    /// Messages that a check refused.
    pub refused: usize,
    /// Turns that were run.
    pub turns: usize,
    trace: blake3::Hasher,
    is_told: bool,
}

impl Net {
    pub fn new(seed: u64, trusts: Vec<Trust>, limits: Limits) -> Self {
        let mut net = Self {
            rng: SmallRng::seed_from_u64(seed),
            peers: Vec::new(),
            weather: Weather::FAIR,
            now: 0,
            frames: 0,
            lent: 0,
            lent_by: BTreeMap::new(),
            links: Links { parts: vec![0; trusts.len()], ..Links::default() },
            queue: BTreeMap::new(),
            streams: BTreeMap::new(),
            ids: 0,
            limits,
            changes: BTreeMap::new(),
            said: Vec::new(),
            liars: BTreeSet::new(),
            refused: 0,
            turns: 0,
            trace: blake3::Hasher::new(),
            is_told: std::env::var_os("TRACE").is_some(),
        };
        for (n, trust) in trusts.into_iter().enumerate() {
            let mut rows = MapRows::default();
            let suffix = net.rng.random();
            let args = net.args(n, trust.clone(), suffix, 0);
            let engine = automerge::open(args, &mut rows).unwrap();
            let id = peer_id(n);
            net.peers.push(Peer {
                id,
                rows,
                engine,
                trust,
                answers: BTreeMap::new(),
                notices: Vec::new(),
                counts: BTreeMap::new(),
                published: BTreeSet::new(),
                suffix,
                starts: 0,
                tick: None,
                skew: 0,
                born: 0,
                is_full: false,
                is_down: false,
                is_put_back: false,
                surveys: 0,
                spins: 0,
            });
        }
        net.meet();
        net
    }

    /// Peers that trust everyone.
    pub fn of(seed: u64, peers: usize, limits: Limits) -> Self {
        Self::new(seed, vec![Trust::Everyone; peers], limits)
    }

    fn args(&self, n: usize, trust: Trust, actor_suffix: [u8; 8], skew: i64) -> EngineArgs {
        EngineArgs {
            keypair: keypair(n),
            epoch: EPOCH,
            cluster_name: CLUSTER.to_owned(),
            trust,
            actor_suffix,
            started: self.wall(skew),
            limits: self.limits,
        }
    }

    fn wall(&self, skew: i64) -> UnixMillis {
        UnixMillis(DAWN + i64::try_from(self.now).unwrap() + skew)
    }

    /// What the run did so far, in 32 bytes.
    pub fn trace(&self) -> [u8; 32] {
        self.trace.finalize().into()
    }

    /// Adds to the trace; `TRACE=1` prints it.
    pub fn note(&mut self, what: &str, n: usize, bytes: &[u8]) {
        let hash = blake3::hash(bytes);
        self.trace.update(&self.now.to_le_bytes()).update(what.as_bytes()).update(hash.as_bytes());
        if self.is_told {
            println!("{:>9} ms  peer {n}  {what} ({} bytes, {})", self.now, bytes.len(), &hash.to_hex()[..8]);
        }
    }

    // What the world does.

    /// Puts each peer into a part of the net; only peers of one part reach each other.
    pub fn part(&mut self, parts: Vec<u8>) {
        self.note("parts of the net", 0, &parts);
        self.links.parts = parts;
        self.relink();
    }

    /// Tells what changed in the links.
    pub fn relink(&mut self) {
        let is_cut = |(_, stream): &(&u64, &Stream)| !self.links.join(stream.asker, stream.server);
        let cut: Vec<u64> = self.streams.iter().filter(is_cut).map(|(id, _)| *id).collect();
        for stream in cut {
            self.break_stream(stream);
        }
        self.meet();
    }

    pub fn heal(&mut self) {
        self.links = Links { parts: vec![0; self.peers.len()], ..Links::default() };
        self.relink();
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
            if self.links.opens(n, other) { Input::PeerSeen(peer) } else { Input::PeerGone(peer) }
        };
        others.map(input).collect()
    }

    /// Pulls the plug of a peer, and starts it again from what it committed.
    pub fn crash(&mut self, n: usize) {
        let suffix = self.rng.random();
        self.peers[n].born = self.now;
        self.start(n, suffix);
    }

    /// A peer as it is now.
    pub fn image(&self, n: usize) -> Image {
        Image { rows: self.peers[n].rows.clone(), suffix: self.peers[n].suffix }
    }

    /// Goes on with an image of a peer, its process too: it does not know that anything happened since.
    pub fn wake(&mut self, n: usize, image: Image) {
        self.peers[n].rows = image.rows;
        self.peers[n].is_put_back = true;
        self.start(n, image.suffix);
    }

    /// Puts another disk into a peer and starts it.
    pub fn restore(&mut self, n: usize, rows: MapRows) {
        self.peers[n].rows = rows;
        self.peers[n].is_put_back = true;
        self.crash(n);
    }

    fn start(&mut self, n: usize, suffix: [u8; 8]) {
        self.note("starts", n, &suffix);
        let broken: Vec<u64> =
            self.streams.iter().filter(|(_, s)| s.asker == n || s.server == n).map(|(id, _)| *id).collect();
        self.peers[n].starts += 1;
        self.peers[n].tick = None;
        for stream in broken {
            self.break_stream(stream);
        }
        let (trust, skew) = (self.peers[n].trust.clone(), self.peers[n].skew);
        let args = self.args(n, trust, suffix, skew);
        let mut rows = std::mem::take(&mut self.peers[n].rows);
        let backup = rows.clone();
        let opened = match self.fault(n) {
            Some((left, is_full)) => automerge::open(args, &mut Faulty { rows: &mut rows, left, is_full }),
            None => automerge::open(args, &mut rows),
        };
        match opened {
            Ok(engine) => {
                self.peers[n].rows = rows;
                self.peers[n].engine = engine;
                self.peers[n].suffix = suffix;
                self.peers[n].is_down = false;
                let inputs = self.neighbours(n);
                self.turn(n, inputs);
            }
            Err(OpenError::Rows(RowsError::Storage(_))) => {
                self.peers[n].rows = backup;
                self.close(n);
            }
            Err(error) => panic!("a store that was committed opens: {error}"),
        }
    }

    /// Which row operation of the next transaction fails, if one does.
    fn fault(&mut self, n: usize) -> Option<(Cell<u32>, bool)> {
        if self.peers[n].is_full {
            return Some((Cell::new(0), true));
        }
        let fails = self.weather.fault > 0.0 && self.rng.random_bool(self.weather.fault);
        fails.then(|| (Cell::new(self.rng.random_range(0..FAULT_ROWS)), false))
    }

    /// The store failed: it is closed, and opened again later.
    fn close(&mut self, n: usize) {
        self.note("store failed", n, &[]);
        self.peers[n].is_down = true;
        self.peers[n].tick = None;
        let broken: Vec<u64> =
            self.streams.iter().filter(|(_, s)| s.asker == n || s.server == n).map(|(id, _)| *id).collect();
        self.peers[n].starts += 1;
        for stream in broken {
            self.break_stream(stream);
        }
        let start = self.peers[n].starts;
        self.at(OPEN_WAIT, Event::Open { to: n, start });
    }

    pub(super) fn open_again(&mut self, n: usize) {
        let suffix = self.rng.random();
        self.start(n, suffix);
    }

    pub(super) fn break_stream(&mut self, stream: u64) {
        let Some(Stream { asker, server, talk, starts, .. }) = self.streams.remove(&stream) else { return };
        if self.peers[asker].starts == starts.0 {
            let peer = self.peers[server].id;
            self.turn(asker, vec![Input::Ended { peer, talk, complete: false }]);
        }
    }

    /// Sets a wall clock; the monotonic one goes on.
    pub fn skew(&mut self, n: usize, millis: i64) {
        self.note("wall clock moves", n, &millis.to_le_bytes());
        self.peers[n].skew = millis;
    }

    // What users do.

    /// Writes at a peer, in one turn; returns the tickets.
    pub fn write(&mut self, n: usize, ops: Vec<Op>) -> Vec<Ticket> {
        let tickets: Vec<Ticket> = ops.iter().map(|_| Ticket(self.id())).collect();
        let input = |(ticket, op)| Input::Write { ticket, op, seen: Seen::Any };
        self.turn(n, tickets.iter().copied().zip(ops).map(input).collect());
        tickets
    }

    /// Writes at a peer; returns what became of it, nothing when the peer went down over it.
    pub fn ask(&mut self, n: usize, op: Op) -> Option<Result<Pin, WriteError>> {
        let ticket = self.write(n, vec![op]).remove(0);
        self.peers[n].answers.remove(&ticket)
    }

    pub(super) fn id(&mut self) -> u64 {
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

    pub fn summary(&self, n: usize) -> Summary {
        self.peers[n].engine.summary()
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
        self.peers.iter_mut().for_each(|peer| peer.is_full = false);
        self.heal();
        // Whom a log did not reach for is asked again now and then, and says that it still does not.
        let moved = |net: &Self| (net.frames, net.lent, net.changes.len(), net.states());
        for _ in 0..30 {
            let (before, turns) = (moved(self), self.turns);
            self.run(QUIET);
            if before == moved(self) && self.peers.iter().all(|peer| !peer.is_down) {
                // Each peer hears the heartbeats of the others, and ticks for its own.
                let most = 48 * self.peers.len() * self.peers.len();
                assert!(self.turns - turns < most, "quiet is idle: {} turns", self.turns - turns);
                return;
            }
        }
        panic!("never quiet: {:?}", self.peers.iter().map(|peer| peer.engine.summary()).collect::<Vec<_>>());
    }

    fn states(&self) -> Vec<([u8; 32], [u8; 32])> {
        let state = |peer: &Peer| {
            let summary = peer.engine.summary();
            (summary.clock_hash, summary.digest_hash)
        };
        self.peers.iter().map(state).collect()
    }

    pub(super) fn at(&mut self, delay: u64, event: Event) {
        let id = self.id();
        self.queue.insert((self.now + delay, id), event);
    }

    /// One turn of a peer: its transaction, and what leaves after it, unless the plug is pulled before or after the commit.
    pub fn turn(&mut self, n: usize, inputs: Vec<Input>) {
        if self.peers[n].is_down {
            return;
        }
        self.turns += 1;
        let crash = self.weather.crash > 0.0 && self.rng.random_bool(self.weather.crash);
        let is_before = crash && self.rng.random_bool(0.5);
        let fault = self.fault(n);
        let backup = (is_before || fault.is_some()).then(|| self.peers[n].rows.clone());
        let now = Now { wall: self.wall(self.peers[n].skew), mono: self.now - self.peers[n].born };
        let peer = &mut self.peers[n];
        let result = match fault {
            Some((left, is_full)) => peer.engine.turn(inputs, now, &mut Faulty { rows: &mut peer.rows, left, is_full }),
            None => peer.engine.turn(inputs, now, &mut peer.rows),
        };
        match (result, backup) {
            (Err(RowsError::Storage(_)), Some(backup)) => {
                self.peers[n].rows = backup;
                self.close(n);
            }
            (Err(error), _) => panic!("peer {n}: {error}"),
            (Ok(_), Some(backup)) if is_before => {
                self.peers[n].rows = backup;
                self.crash(n);
            }
            (Ok(turn), _) => {
                self.changes.extend(turn.sends.iter().filter_map(change).map(|bytes| (bytes, n)));
                if crash { self.crash(n) } else { self.leave(n, turn, now) }
            }
        }
    }

    fn leave(&mut self, n: usize, turn: Turn, now: Now) {
        self.check_bounds(n);
        let peer = &mut self.peers[n];
        peer.answers.extend(turn.answers);
        for (what, count) in turn.counts {
            *peer.counts.entry(what).or_default() += count;
        }
        let start = peer.starts;
        for notice in turn.notices {
            self.note(&format!("{notice:?}"), n, &[]);
            self.peers[n].notices.push(notice);
        }
        if let Some(at) = turn.tick_at {
            let wait = u64::try_from(at.0 - now.wall.0).unwrap_or(0).max(1);
            let at = self.now + wait;
            let peer = &mut self.peers[n];
            peer.spins = if wait == 1 { peer.spins + 1 } else { 0 };
            assert!(peer.spins < SPINS_MAX, "peer {n} does not rest");
            if self.peers[n].tick != Some(at) {
                self.peers[n].tick = Some(at);
                self.at(wait, Event::Tick { to: n, start });
            }
        }
        if let Some(survey) = turn.survey {
            self.survey(n, survey);
        }
        for sending in turn.sends {
            self.send(n, sending);
        }
    }

    /// What no turn may leave behind.
    fn check_bounds(&self, n: usize) {
        let peer = &self.peers[n];
        let summary = peer.engine.summary();
        assert!(summary.pending <= self.limits.pending_max, "peer {n} keeps {} changes waiting", summary.pending);
        let asks = |talk| self.streams.values().filter(|stream| stream.asker == n && stream.talk == talk).count();
        assert!(asks(Talk::Sync) <= 4 && asks(Talk::Snapshot) <= 3, "peer {n} asks too many at once");
    }
}
