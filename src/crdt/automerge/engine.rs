//! The engine: routes the inputs of a turn, then writes, beats and syncs.
use std::sync::Arc;

use libp2p::identity::Keypair;

use super::formats::clock::{Actor, COUNTER_MAX, Dep, SUFFIX};
use super::formats::heartbeat::Heartbeat;
use super::formats::snapshot::frame;
use super::formats::topic;
use super::heal;
use super::merge::Merge;
use super::snapshot::builds::{self, Builds, Outcome};
use super::snapshot::fetch::Fetch;
use super::snapshot::lend::Lends;
use super::snapshot::lender::Heal;
use super::sync::beats::Beats;
use super::sync::check::{Body, CHANGES_TOPIC, Checker, Cut, HEARTBEATS_TOPIC};
use super::sync::pull::{Heard, Pulls};
use super::sync::serve::Server;
use super::tables::join::{self, Believed};
use super::tables::pending::{self, Pending};
use super::tables::stage::Stage;
use super::tables::state::{OpenError, State};
use super::tables::view::View;
use super::writer::Author;
use crate::crdt::{
    Answer, Check, Checked, Engine, Input, Notice, Now, Op, Part, Rows, RowsError, Seen, Sending, Summary, Table, Talk,
    Ticket, Turn,
};
use crate::model::{PeerId, Trust, UnixMillis};

/// The stream protocol of syncs, and that of snapshots.
const PROTOCOLS: [&str; 2] = ["/ipfs-cluster/automerge/sync/1", "/ipfs-cluster/automerge/snapshot/1"];

/// META: when the last start of this disk was said to be, 8 bytes, little endian.
const STARTED: &[u8] = b"started";

/// What an engine is opened with.
#[derive(Clone)]
pub struct EngineArgs {
    /// The peer's key, which signs changes and heartbeats.
    pub keypair: Keypair,
    /// The cluster's epoch.
    pub epoch: u32,
    /// The cluster's name: in topics and signatures.
    pub cluster_name: String,
    /// Whose changes count; the peer's own always do.
    pub trust: Trust,
    /// Random bytes, new at every opening: with the peer id they name this start.
    pub actor_suffix: [u8; SUFFIX],
    /// When this process started: it orders heartbeats of one peer.
    pub started: UnixMillis,
    /// What is bounded.
    pub limits: Limits,
}

/// The bounds of an engine that tests have smaller.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Changes that wait in memory at most.
    pub pending_max: usize,
    /// Bytes that the log may have before a snapshot is made and older log dropped; half of the pinset's bytes, if more.
    pub log_bytes: u64,
    /// The first counter of ops that is not written any more: the end of the epoch.
    pub counter_end: u32,
    /// Keys that one transaction joins at most.
    pub join_keys: usize,
    /// Rows of a frame of a snapshot that we make, at most; all peers cut alike.
    pub frame_rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pending_max: pending::PENDING_MAX,
            log_bytes: builds::LOG_BYTES,
            counter_end: COUNTER_MAX,
            join_keys: join::KEYS_MAX,
            frame_rows: frame::ENTRIES_MAX,
        }
    }
}

/// Opens the engine over `rows`; empty ones become its own.
///
/// # Errors
/// [`OpenError`]: another engine's rows, another epoch's, a newer format, or damaged ones.
pub fn open(args: EngineArgs, rows: &mut dyn Rows) -> Result<Box<dyn Engine>, OpenError> {
    let EngineArgs { keypair, epoch, cluster_name, trust, actor_suffix, started, limits } = args;
    let state = State::open(epoch, rows)?;
    let started = after_last_start(started, rows)?;
    let waiting = Stage::open(&*rows)?;
    let own = keypair.public().to_peer_id();
    let join_keys = limits.join_keys;
    let mut merge = Merge::new(own, trust, state, waiting, Pending::new(limits.pending_max));
    let (beats, pulls, builds) =
        (Beats::new(started), Pulls::new(epoch), Builds::new(limits.log_bytes, limits.frame_rows));
    let fetch = Fetch::open(epoch, cluster_name.clone(), &merge, rows)?;
    let is_healing = heal::is_due(rows)?;
    let (actor, counter_end, wall) = (Actor::new(own, actor_suffix), limits.counter_end, started);
    let starts = heal::Starts::of(&actor, &merge.state.clock);
    let author = Author { keypair, actor, epoch, cluster_name, counter_end, wall };
    let summary = summary(&mut merge, None, None);
    let (lends, cut) = (Lends::new(builds.wished()), Cut::default());
    cut.set(&merge.state.clock);
    let engine = AutomergeEngine {
        own,
        author,
        merge,
        beats,
        pulls,
        builds,
        fetch,
        lends,
        cut,
        whole: None,
        join_keys,
        starts,
        is_healing,
        has_work: true,
        summary,
    };
    Ok(Box::new(engine))
}

/// When this start is said to be: after the last one on this disk, though the wall clock went back meanwhile, or its
/// heartbeats were taken for old ones.
fn after_last_start(now: UnixMillis, rows: &mut dyn Rows) -> Result<UnixMillis, RowsError> {
    let last = rows.get(Table::Meta, STARTED)?.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    let started = last.map_or(now.0, |last| now.0.max(i64::from_le_bytes(last).saturating_add(1)));
    rows.put(Table::Meta, STARTED, &started.to_le_bytes())?;
    Ok(UnixMillis(started))
}

struct AutomergeEngine {
    own: PeerId,
    author: Author,
    merge: Merge,
    beats: Beats,
    pulls: Pulls,
    builds: Builds,
    fetch: Fetch,
    lends: Lends,
    cut: Cut,
    /// A snapshot that is to be joined.
    whole: Option<Believed>,
    join_keys: usize,
    starts: heal::Starts,
    is_healing: bool,
    /// Whether a turn has something to do that no input brings.
    has_work: bool,
    summary: Summary,
}

/// The wishes of a turn, which are written after everything else.
type Wishes = Vec<(Ticket, Op, Seen)>;

impl Engine for AutomergeEngine {
    fn turn(&mut self, inputs: Vec<Input>, now: Now, rows: &mut dyn Rows) -> Result<Turn, RowsError> {
        let mut turn = Turn::default();
        let mut wishes = Wishes::new();
        self.author.wall = now.wall;
        self.builds.end_barrier(&mut self.merge, now, rows)?;
        for input in inputs {
            self.input(input, now, rows, &mut turn, &mut wishes)?;
        }
        self.merge.settle(rows)?;
        self.author.write(wishes, &mut self.merge, rows, &mut turn)?;
        self.has_work = self.work(now, rows, &mut turn)?;
        self.merge.settle(rows)?;
        if self.merge.state.has_moved() {
            self.beats.moved(now);
            if self.starts.meet_another(&self.author.actor, &self.merge.state.clock) {
                self.merge.told.notices.push(Notice::OtherStart);
            }
            let many = self.starts.are_many(&self.merge.state.clock).map(|rows| Notice::ManyStarts { rows });
            self.merge.told.notices.extend(many);
        }
        turn.news = self.merge.state.flush(now.wall, rows)?;
        self.survey(now, rows, &mut turn)?;
        self.fetch.ask_for_help(self.pulls.reachable(), now);
        self.fetch.advance(&self.merge, now, &mut turn.sends);
        if !self.fetch.is_busy() && self.merge.state.joining.is_none() {
            self.pulls.advance(&self.beats, &mut self.merge, now, &mut turn.sends);
        }
        if self.beats.is_due(now) {
            let heartbeat = self.beats.own(&self.author, &mut self.merge.state, now);
            turn.sends.push(Sending::Gossip { topic: HEARTBEATS_TOPIC, bytes: heartbeat.encode().into() });
        }
        let told = std::mem::take(&mut self.merge.told);
        turn.notices.extend(told.notices);
        turn.counts.extend(told.counts);
        let behind_since = self.beats.behind_since(&self.merge.state.clock_hash(), now);
        self.summary = summary(&mut self.merge, behind_since, self.beats.trusted_at());
        if !turn.notices.is_empty() {
            self.cut.set(&self.merge.state.clock);
        }
        turn.tick_at = Some(self.tick_at(now));
        Ok(turn)
    }

    fn topics(&self) -> Vec<String> {
        let Author { epoch, cluster_name, .. } = &self.author;
        let mut topics = vec![String::new(); 2];
        topics[CHANGES_TOPIC] = topic::changes(*epoch, cluster_name);
        topics[HEARTBEATS_TOPIC] = topic::heartbeats(*epoch, cluster_name);
        topics
    }

    fn protocols(&self) -> [String; 2] {
        PROTOCOLS.map(ToOwned::to_owned)
    }

    fn check(&self) -> Arc<dyn Check> {
        let Author { epoch, cluster_name, .. } = &self.author;
        Arc::new(Checker { epoch: *epoch, cluster_name: cluster_name.clone(), cut: self.cut.clone() })
    }

    fn answer(&self) -> Arc<dyn Answer> {
        Arc::new(Server { own: self.own, epoch: self.author.epoch, lends: self.lends.clone() })
    }

    fn summary(&self) -> Summary {
        self.summary.clone()
    }

    fn trust(&mut self, trust: Trust) {
        self.merge.retrust(trust);
        self.fetch.retrust(&self.merge);
        self.pulls.rejudge();
    }
}

impl AutomergeEngine {
    fn input(
        &mut self,
        input: Input,
        now: Now,
        rows: &mut dyn Rows,
        turn: &mut Turn,
        wishes: &mut Wishes,
    ) -> Result<(), RowsError> {
        match input {
            Input::Write { ticket, op, seen } => wishes.push((ticket, op, seen)),
            Input::Checked { from: _, item } => self.gossip(item, now, rows)?,
            Input::Frame { peer, talk: _, frame } => self.frame(peer, frame, now, rows, turn)?,
            Input::Ended { peer, talk: Talk::Sync, complete } => self.pulls.ended(&peer, complete),
            Input::Ended { peer, talk: Talk::Snapshot, complete: _ } => self.fetch.ended(&peer, now),
            Input::PeerSeen(peer) => {
                self.pulls.seen(peer);
                self.pulls.consider(peer);
                self.beats.hurry();
            }
            Input::PeerGone(peer) => {
                self.pulls.gone(&peer);
                self.fetch.gone(&peer, now);
            }
            Input::Found(part) => self.found(part, now, rows)?,
            Input::Tick => (),
        }
        Ok(())
    }

    fn gossip(&mut self, item: Checked, now: Now, rows: &mut dyn Rows) -> Result<(), RowsError> {
        match body(item) {
            Some(Body::Change(change)) => self.merge.receive(*change, false, rows),
            Some(Body::Heartbeat(heartbeat)) => self.heartbeat(&heartbeat, now, rows),
            Some(Body::Frame(_) | Body::Lent(..)) | None => Ok(()),
        }
    }

    fn frame(
        &mut self,
        peer: PeerId,
        frame: Checked,
        now: Now,
        rows: &mut dyn Rows,
        turn: &mut Turn,
    ) -> Result<(), RowsError> {
        match body(frame) {
            Some(Body::Frame(answer)) => {
                let heard = self.pulls.frame(peer, answer, &mut self.merge, (now, rows), &mut turn.sends)?;
                match heard {
                    Some(Heard::Reach(offers, must)) if self.fetch.offer(peer, &offers, must, &self.merge, now) => {
                        self.pulls.pause(&mut turn.sends);
                    }
                    Some(Heard::Split) if self.merge.trusts(&peer) => {
                        self.fetch.heal(Heal { peer, is_repair: false }, now);
                    }
                    Some(Heard::Reach(..) | Heard::Split) | None => (),
                }
                Ok(())
            }
            Some(Body::Lent(lent, hash)) => {
                self.fetch.lent(peer, (lent, hash), &mut self.merge, (now, rows), &mut turn.sends)
            }
            Some(Body::Change(_) | Body::Heartbeat(_)) | None => Ok(()),
        }
    }

    fn heartbeat(&mut self, heartbeat: &Heartbeat, now: Now, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let peer = heartbeat.peer;
        if peer == self.own {
            return Ok(());
        }
        // Anybody can send an old one again.
        if self.beats.hear(heartbeat, &self.merge.state.clock, now).is_none() {
            return Ok(());
        }
        self.pulls.consider(peer);
        if self.merge.trusts(&peer) {
            self.beats.hear_trusted(now);
            let is_odd = |head: &Dep| self.is_beyond_us(&head.actor, head.seq);
            if !self.is_healing && heartbeat.heads.iter().any(is_odd) {
                self.leave_actor(peer, rows)?;
            }
            self.merge.attest(&heartbeat.heads, rows)?;
            self.builds.hear(heartbeat, &mut self.merge, rows)?;
            if self.beats.diverges(heartbeat, &mut self.merge.state) {
                self.diverged(peer, now);
            }
        }
        Ok(())
    }

    /// A peer that we trust has our clock and another digest. After a fork that is how two branches show, and a join of
    /// states heals it; else we count our own rows first, for a store that is damaged must not be believed. No damaged state
    /// is ever joined: who copies it finds that it is not what it attests.
    fn diverged(&mut self, peer: PeerId, now: Now) {
        if self.merge.state.clock.is_forked() || self.builds.doubt(peer, now) {
            self.fetch.heal(Heal { peer, is_repair: false }, now);
        }
    }

    fn found(&mut self, part: Option<Part>, now: Now, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let found = part.and_then(|part| part.body.downcast().ok()).map(|found| *found);
        match self.builds.found(found, self.author.epoch, &mut self.merge.state, now, rows)? {
            // Both are sound and yet not the same: what a fork left that nobody can prove any more.
            Outcome::Made(Some(peer)) => {
                self.merge.told.notices.push(Notice::Divergence { peer });
                self.fetch.heal(Heal { peer, is_repair: false }, now);
            }
            Outcome::Damaged(peer) => {
                self.merge.told.notices.push(Notice::Damaged);
                if let Some(peer) = peer {
                    self.fetch.heal(Heal { peer, is_repair: true }, now);
                }
            }
            Outcome::Made(None) | Outcome::Nothing => (),
        }
        Ok(())
    }

    /// Does one step of what takes many transactions; returns whether there is more to do.
    fn work(&mut self, now: Now, rows: &mut dyn Rows, turn: &mut Turn) -> Result<bool, RowsError> {
        if self.merge.state.joining.is_some() {
            return self.join(now, rows).map(|()| true);
        }
        if self.is_healing {
            self.is_healing = heal::step(&mut self.author, &mut self.merge, rows, turn)?;
            return Ok(true);
        }
        if let Some(whole) = self.whole.take() {
            self.begin_join(whole, rows)?;
            return Ok(true);
        }
        let copies = self.fetch.copies();
        self.whole = self.fetch.step(&mut self.merge, now, rows, &mut turn.sends)?;
        let state = &mut self.merge.state;
        let mut more = self.whole.is_some() || self.fetch.has_work();
        more |= !copies && state.shelf.collect(rows)?;
        more |= self.builds.drop_log(state, rows)?;
        Ok(more)
    }

    /// Returns whether this is our present start and somebody has more of it than we wrote.
    fn is_beyond_us(&self, actor: &Actor, seq: u32) -> bool {
        *actor == self.author.actor && seq > self.merge.state.clock.row(actor).map_or(0, |row| row.seq)
    }

    /// `peer` has more of this start of ours than we wrote: we go on as another, and put again what we hold.
    fn leave_actor(&mut self, peer: PeerId, rows: &mut dyn Rows) -> Result<(), RowsError> {
        self.merge.told.notices.push(Notice::OwnActor { peer });
        self.is_healing = true;
        heal::begin(&mut self.author, &mut self.merge, rows)
    }

    /// Begins to join a snapshot; if it has more of this start of ours than we wrote, what we hold is put again first.
    fn begin_join(&mut self, whole: Believed, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let group = whole.core.groups.iter().find(|group| group.peer == self.own);
        let mut claimed =
            group.into_iter().flat_map(|group| group.rows.iter().map(|row| (group.actor(row), row.row.seq)));
        if claimed.any(|(actor, seq)| self.is_beyond_us(&actor, seq)) {
            self.leave_actor(self.fetch.giver().unwrap_or(self.own), rows)?;
            self.whole = Some(whole);
            return Ok(());
        }
        for [a, b] in whole.proofs.clone() {
            self.merge.check_fork(a, b, rows)?;
        }
        self.merge.count("joins", 1);
        join::begin(whole, &mut self.merge.state, rows)
    }

    fn join(&mut self, now: Now, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let state = &mut self.merge.state;
        let Some(joined) = join::step(self.join_keys, state, rows)? else { return Ok(()) };
        let served = builds::served(&joined, now.wall);
        state.shelf.serve_incoming(served, rows)?;
        let peer = self.fetch.giver().unwrap_or(self.own);
        self.merge.told.notices.push(Notice::Joined { peer, pins: joined.core.pins });
        self.merge.enforce_forks(rows)?;
        self.merge.judge_again();
        self.pulls.rejudge();
        self.beats.hurry();
        Ok(())
    }

    /// Copies the state of this turn, when it is time to.
    fn survey(&mut self, now: Now, rows: &mut dyn Rows, turn: &mut Turn) -> Result<(), RowsError> {
        if self.builds.is_time(self.own, &mut self.merge, now) {
            let own = self.beats.own(&self.author, &mut self.merge.state, now);
            let copying = self.builds.begin(&own, &mut self.merge, now, rows)?;
            turn.survey = Some(Box::new(copying));
            turn.sends.push(Sending::Gossip { topic: HEARTBEATS_TOPIC, bytes: own.encode().into() });
        }
        Ok(())
    }

    fn tick_at(&self, now: Now) -> UnixMillis {
        if self.has_work {
            return now.wall;
        }
        // Nobody is asked for changes while a snapshot comes.
        let pulls = self.pulls.due().filter(|_| !self.fetch.is_busy());
        let dues = [Some(self.beats.due()), pulls, self.fetch.due(), self.builds.due()];
        let due = dues.into_iter().flatten().min().unwrap_or(u64::MAX);
        let wait = i64::try_from(due.saturating_sub(now.mono)).unwrap_or(i64::MAX);
        UnixMillis(now.wall.0.saturating_add(wait))
    }
}

fn body(checked: Checked) -> Option<Body> {
    checked.body.downcast().ok().map(|body| *body)
}

fn summary(merge: &mut Merge, behind_since: Option<UnixMillis>, trusted_at: Option<UnixMillis>) -> Summary {
    let state = &mut merge.state;
    Summary {
        entries: state.counters.pins,
        clock_hash: state.clock_hash(),
        digest_hash: state.digest_told(),
        pending: merge.pending.len(),
        staged: merge.stage.len(),
        in_sync: behind_since.is_none(),
        behind_since,
        trusted_at,
        joining: state.joining.is_some(),
        log_bytes: state.counters.log_bytes,
        forks: state.clock.forks().count(),
        snapshot: state.shelf.served().map(|served| served.made),
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
