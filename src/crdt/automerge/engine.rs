//! The engine: routes the inputs of a turn, then writes, beats and syncs.
use std::sync::Arc;

use libp2p::identity::Keypair;

use super::formats::clock::{Actor, SUFFIX};
use super::formats::heartbeat::Heartbeat;
use super::merge::Merge;
use super::sync::beats::Beats;
use super::sync::check::{Body, CHANGES_TOPIC, Checker, HEARTBEATS_TOPIC};
use super::sync::pull::Pulls;
use super::sync::serve::Server;
use super::tables::pending::{self, Pending};
use super::tables::stage::Stage;
use super::tables::state::{OpenError, State};
use super::writer::Author;
use crate::crdt::{
    Answer, Check, Checked, Engine, Input, Notice, Now, Op, Rows, RowsError, Seen, Sending, Summary, Ticket, Turn,
};
use crate::model::{PeerId, Trust, UnixMillis};

/// The stream protocol of syncs.
const PROTOCOL: &str = "/ipfs-cluster/automerge/sync/1";

/// What an engine is opened with.
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
    /// Changes that wait in memory at most.
    pub pending_max: usize,
}

impl EngineArgs {
    /// Bound of [`EngineArgs::pending_max`] in the daemon.
    pub const PENDING_MAX: usize = pending::PENDING_MAX;
}

/// Opens the engine over `rows`; empty ones become its own.
///
/// # Errors
/// [`OpenError`]: another engine's rows, another epoch's, a newer format, or damaged ones.
pub fn open(args: EngineArgs, rows: &mut dyn Rows) -> Result<Box<dyn Engine>, OpenError> {
    let EngineArgs { keypair, epoch, cluster_name, trust, actor_suffix, started, pending_max } = args;
    let state = State::open(epoch, rows)?;
    let waiting = Stage::open(&*rows)?;
    let own = keypair.public().to_peer_id();
    let author = Author { keypair, actor: Actor::new(own, actor_suffix), epoch, cluster_name };
    let mut merge = Merge::new(own, trust, state, waiting, Pending::new(pending_max));
    let summary = summary(&mut merge, true);
    let (beats, pulls) = (Beats::new(started), Pulls::new(epoch));
    Ok(Box::new(AutomergeEngine { own, author, merge, beats, pulls, summary }))
}

struct AutomergeEngine {
    own: PeerId,
    author: Author,
    merge: Merge,
    beats: Beats,
    pulls: Pulls,
    summary: Summary,
}

/// The wishes of a turn, which are written after everything else.
type Wishes = Vec<(Ticket, Op, Seen)>;

impl Engine for AutomergeEngine {
    fn turn(&mut self, inputs: Vec<Input>, now: Now, rows: &mut dyn Rows) -> Result<Turn, RowsError> {
        let mut turn = Turn::default();
        let mut wishes = Wishes::new();
        for input in inputs {
            self.input(input, now, rows, &mut turn, &mut wishes)?;
        }
        self.merge.settle(rows)?;
        self.author.write(wishes, &mut self.merge, rows, &mut turn)?;
        self.merge.settle(rows)?;
        if self.merge.state.has_moved() {
            self.beats.moved(now);
        }
        turn.news = self.merge.state.flush(now.wall, rows)?;
        self.pulls.advance(&self.beats, &mut self.merge, now, &mut turn.sends);
        if let Some(bytes) = self.beats.own(&self.author, &mut self.merge.state, now) {
            turn.sends.push(Sending::Gossip { topic: HEARTBEATS_TOPIC, bytes: bytes.into() });
        }
        let told = std::mem::take(&mut self.merge.told);
        turn.notices.extend(told.notices);
        turn.counts.extend(told.counts);
        let in_sync = self.beats.all_have(&self.merge.state.clock_hash());
        self.summary = summary(&mut self.merge, in_sync);
        turn.tick_at = Some(self.tick_at(now));
        Ok(turn)
    }

    fn topics(&self) -> Vec<String> {
        let Author { epoch, cluster_name, .. } = &self.author;
        let mut topics = vec![String::new(); 2];
        topics[CHANGES_TOPIC] = format!("automerge/1/{epoch}/{cluster_name}");
        topics[HEARTBEATS_TOPIC] = format!("automerge-heartbeat/1/{epoch}/{cluster_name}");
        topics
    }

    fn protocol(&self) -> String {
        PROTOCOL.to_owned()
    }

    fn check(&self) -> Arc<dyn Check> {
        let Author { epoch, cluster_name, .. } = &self.author;
        Arc::new(Checker { epoch: *epoch, cluster_name: cluster_name.clone() })
    }

    fn answer(&self) -> Arc<dyn Answer> {
        Arc::new(Server { own: self.own, epoch: self.author.epoch })
    }

    fn summary(&self) -> Summary {
        self.summary.clone()
    }

    fn trust(&mut self, trust: Trust) {
        self.merge.retrust(trust);
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
            Input::Frame { peer, frame } => {
                if let Some(Body::Frame(answer)) = body(frame) {
                    self.pulls.frame(peer, answer, &mut self.merge, (now, rows), &mut turn.sends)?;
                }
            }
            Input::SyncEnded { peer, complete } => self.pulls.ended(&peer, complete),
            Input::PeerSeen(peer) => {
                self.pulls.seen(peer);
                self.pulls.consider(peer);
                self.beats.hurry();
            }
            Input::PeerGone(peer) => self.pulls.gone(&peer),
            Input::Tick => (),
        }
        Ok(())
    }

    fn gossip(&mut self, item: Checked, now: Now, rows: &mut dyn Rows) -> Result<(), RowsError> {
        match body(item) {
            Some(Body::Change(change)) => self.merge.receive(*change, false, rows),
            Some(Body::Heartbeat(heartbeat)) => self.heartbeat(&heartbeat, now, rows),
            Some(Body::Frame(_)) | None => Ok(()),
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
            self.merge.attest(&heartbeat.heads, rows)?;
            if self.beats.diverges(heartbeat, &mut self.merge.state) {
                self.merge.told.notices.push(Notice::Divergence { peer });
            }
        }
        Ok(())
    }

    fn tick_at(&self, now: Now) -> UnixMillis {
        let due = self.pulls.due().map_or(self.beats.due(), |due| due.min(self.beats.due()));
        let wait = i64::try_from(due.saturating_sub(now.mono)).unwrap_or(i64::MAX);
        UnixMillis(now.wall.0.saturating_add(wait))
    }
}

fn body(checked: Checked) -> Option<Body> {
    checked.body.downcast().ok().map(|body| *body)
}

fn summary(merge: &mut Merge, in_sync: bool) -> Summary {
    Summary {
        entries: merge.state.counters.pins,
        clock_hash: merge.state.clock_hash(),
        digest_hash: merge.state.digest_hash(),
        pending: merge.pending.len(),
        staged: merge.stage.len(),
        in_sync,
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
