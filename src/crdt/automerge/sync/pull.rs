//! Our syncs: whom to ask, and what to do with the answers. Pull only: others ask us for what they lack.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::beats::Beats;
use super::check::Answer;
use crate::crdt::automerge::formats::clock::{Actor, Group, Hash, Row};
use crate::crdt::automerge::formats::frames::{FRAME_MAX, Frame, GROUPS_MAX, Hello, TRUSTED_MAX};
use crate::crdt::automerge::merge::Merge;
use crate::crdt::automerge::snapshot::lender::Offer;
use crate::crdt::automerge::tables::state::State;
use crate::crdt::automerge::tables::view::{Lacks, View};
use crate::crdt::{Now, Rows, RowsError, Sending, Talk};
use crate::model::{PeerId, Trust};

/// Syncs that run at once: more would ask several peers for the same changes.
const PULLS_MAX: usize = 4;

/// A sync without a frame for so long is given up, in milliseconds.
const IDLE: u64 = 60_000;

/// A sync ends after so long whatever comes, in milliseconds: it holds one of few places, and what is left comes with the
/// next one.
const SYNC_MAX: u64 = 600_000;

/// A peer whose changes do not count is asked once in so long, in milliseconds: anybody may send heartbeats.
const STRANGER_WAIT: u64 = 5_000;

/// Frames of rows in one sync, as many mebibytes: a clock of a million starts.
const ROWS_FRAMES_MAX: usize = 64;

/// A peer whose log does not reach for us is asked again after so long, in milliseconds.
const OUT_OF_REACH_WAIT: u64 = 30_000;

/// Such peers that are remembered at most.
const OUT_OF_REACH_MAX: usize = 1024;

/// Room that a frame keeps for what is not a group.
const FRAME_ROOM: usize = 64;

struct Pull {
    since: u64,
    last: u64,
    frames: usize,
    groups: BTreeSet<Vec<u8>>,
    heard_since: bool,
    /// Whether a row of the other side has our seq and another end: no log can make the two one.
    is_split: bool,
    /// What its rows have that ours have not.
    lacks: Lacks,
}

/// What a frame says that is not for the merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Which snapshots can be had, and whether the log does not reach for us.
    Reach(Vec<Offer>, bool),
    /// The two states have parted in a way that no log mends.
    Split,
}

impl Pull {
    fn due(&self) -> u64 {
        (self.last + IDLE).min(self.since + SYNC_MAX)
    }
}

/// Whom we can ask, and whom we are asking.
pub struct Pulls {
    epoch: u32,
    reachable: BTreeSet<PeerId>,
    running: BTreeMap<PeerId, Pull>,
    queue: VecDeque<PeerId>,
    /// When strangers were asked, until they may be asked again.
    asked: BTreeMap<PeerId, u64>,
    /// What peers lack that we need, until they may be asked again: a snapshot may be had by then.
    out_of_reach: BTreeMap<PeerId, u64>,
    /// What a peer's clock was when it had nothing more for us, and what ours was then.
    judged: BTreeMap<PeerId, (Hash, Hash)>,
}

impl Pulls {
    /// Nobody can be asked yet.
    pub const fn new(epoch: u32) -> Self {
        Self {
            epoch,
            reachable: BTreeSet::new(),
            running: BTreeMap::new(),
            queue: VecDeque::new(),
            asked: BTreeMap::new(),
            out_of_reach: BTreeMap::new(),
            judged: BTreeMap::new(),
        }
    }

    /// To whom streams can be opened.
    pub const fn reachable(&self) -> &BTreeSet<PeerId> {
        &self.reachable
    }

    /// A stream to `peer` can be opened.
    pub fn seen(&mut self, peer: PeerId) {
        self.reachable.insert(peer);
    }

    /// It cannot any more.
    pub fn gone(&mut self, peer: &PeerId) {
        self.reachable.remove(peer);
        self.judged.remove(peer);
        self.out_of_reach.remove(peer);
        self.running.remove(peer);
        self.queue.retain(|waiting| waiting != peer);
    }

    /// Forgets who had nothing for us: the trust list changed.
    pub fn rejudge(&mut self) {
        self.judged.clear();
        self.queue = self.reachable.iter().copied().collect();
    }

    /// `peer` said something new: asks it, if it may have what we lack.
    pub fn consider(&mut self, peer: PeerId) {
        if let Some(pull) = self.running.get_mut(&peer) {
            pull.heard_since = true;
        } else if self.reachable.contains(&peer) && !self.queue.contains(&peer) {
            self.queue.push_back(peer);
        }
    }

    /// The stream to `peer` ended; what it still has comes with its next heartbeat.
    pub fn ended(&mut self, peer: &PeerId, complete: bool) {
        if !complete {
            self.running.remove(peer);
        }
    }

    /// Ends every sync: what they bring comes in a snapshot.
    pub fn pause(&mut self, sends: &mut Vec<Sending>) {
        for peer in std::mem::take(&mut self.running).into_keys() {
            sends.push(Sending::Close { peer, talk: Talk::Sync });
        }
    }

    /// Gives up syncs that are silent or endless, and begins those that wait.
    pub fn advance(&mut self, beats: &Beats, merge: &mut Merge, now: Now, sends: &mut Vec<Sending>) {
        let silent: Vec<PeerId> =
            self.running.iter().filter(|(_, pull)| pull.due() <= now.mono).map(|(peer, _)| *peer).collect();
        for peer in silent {
            self.running.remove(&peer);
            merge.count("syncs_given_up", 1);
            sends.push(Sending::Close { peer, talk: Talk::Sync });
        }
        self.asked.retain(|_, at| *at + STRANGER_WAIT > now.mono);
        let again: Vec<PeerId> =
            self.out_of_reach.iter().filter(|(_, at)| **at <= now.mono).map(|(peer, _)| *peer).collect();
        for peer in again {
            self.out_of_reach.remove(&peer);
            self.judged.remove(&peer);
            self.consider(peer);
        }
        while self.running.len() < PULLS_MAX
            && let Some(at) = self.queue.iter().position(|peer| !self.asked.contains_key(peer))
            && let Some(peer) = self.queue.remove(at)
        {
            let ours = merge.state.clock_hash();
            let wants = beats.heard(&peer).is_some_and(|heard| {
                let judged = self.judged.get(&peer) == Some(&(heard.clock_hash, ours));
                heard.is_ahead && heard.clock_hash != ours && !judged
            });
            if wants && !self.running.contains_key(&peer) {
                if !merge.trusts(&peer) {
                    self.asked.insert(peer, now.mono);
                }
                let pull = Pull {
                    since: now.mono,
                    last: now.mono,
                    frames: 0,
                    groups: BTreeSet::new(),
                    heard_since: false,
                    is_split: false,
                    lacks: Lacks::default(),
                };
                self.running.insert(peer, pull);
                merge.count("syncs", 1);
                sends.push(Sending::Open { peer, talk: Talk::Sync, hello: hello(self.epoch, merge) });
            }
        }
    }

    /// When the first sync is given up or a stranger may be asked, in milliseconds of the monotonic clock.
    pub fn due(&self) -> Option<u64> {
        let is_free = self.running.len() < PULLS_MAX;
        let asks = self.queue.iter().filter_map(|peer| self.asked.get(peer)).map(|at| at + STRANGER_WAIT);
        let again = self.out_of_reach.values().copied();
        self.running.values().map(Pull::due).chain(asks.filter(|_| is_free)).chain(again).min()
    }

    /// Takes a frame of `peer`; returns what it says of snapshots, and whether its log is out of reach.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn frame(
        &mut self,
        peer: PeerId,
        answer: Answer,
        merge: &mut Merge,
        (now, rows): (Now, &mut dyn Rows),
        sends: &mut Vec<Sending>,
    ) -> Result<Option<Heard>, RowsError> {
        let Some(pull) = self.running.get_mut(&peer) else {
            sends.push(Sending::Close { peer, talk: Talk::Sync });
            return Ok(None);
        };
        pull.last = now.mono;
        match answer {
            Answer::Rows { groups, more } => {
                pull.frames += 1;
                if pull.frames > ROWS_FRAMES_MAX {
                    self.running.remove(&peer);
                    sends.push(Sending::Close { peer, talk: Talk::Sync });
                    return Ok(None);
                }
                pull.is_split |= has_split(&groups, merge);
                pull.lacks |= merge.state.clock.lacks(&groups);
                pull.groups.extend(groups.iter().map(|group| group.peer.to_bytes()));
                if !more {
                    // Rows are said once.
                    pull.frames = ROWS_FRAMES_MAX;
                    let frames = rows_of(&std::mem::take(&mut pull.groups), &merge.state);
                    let frame = |bytes| Sending::Frame { peer, talk: Talk::Sync, bytes };
                    sends.extend(frames.into_iter().map(frame));
                }
            }
            Answer::Proof(proof) => {
                let [a, b] = *proof;
                merge.check_fork(a, b, rows)?;
            }
            Answer::Tip(theirs) => {
                if let Some(ours) = merge.state.tip(&theirs.actor, rows)? {
                    merge.check_fork(ours, *theirs, rows)?;
                }
            }
            Answer::Changes(changes) => {
                let vouched = merge.trusts(&peer);
                merge.count("changes_synced", changes.len() as u64);
                changes.into_iter().try_for_each(|change| merge.receive(change, vouched, rows))?;
            }
            Answer::Reach(actors, offers) => {
                merge.count("actors_out_of_reach", actors as u64);
                if actors > 0 && self.out_of_reach.len() < OUT_OF_REACH_MAX {
                    self.out_of_reach.insert(peer, now.mono + OUT_OF_REACH_WAIT);
                }
                return Ok(Some(Heard::Reach(offers, actors > 0)));
            }
            Answer::Done(clock_hash) => return Ok(self.done(peer, clock_hash, merge, sends)),
        }
        Ok(None)
    }

    fn done(&mut self, peer: PeerId, clock_hash: Hash, merge: &mut Merge, sends: &mut Vec<Sending>) -> Option<Heard> {
        sends.push(Sending::Close { peer, talk: Talk::Sync });
        let pull = self.running.remove(&peer)?;
        // Dependants of ours that nobody has any more, cut off by a fork: only a state can tell of them.
        if pull.is_split || (pull.lacks.dependants && !pull.lacks.news) {
            return Some(Heard::Split);
        }
        self.judged.insert(peer, (clock_hash, merge.state.clock_hash()));
        if pull.heard_since {
            self.consider(peer);
        }
        None
    }
}

/// Returns whether rows of one seq end otherwise here and there: two histories of one author went by, provable or not.
fn has_split(groups: &[Group], merge: &mut Merge) -> bool {
    let rows = groups.iter().flat_map(|group| group.rows.iter().map(|row| (group.actor(row), row)));
    let clock = &merge.state.clock;
    let is_odd = |actor: &Actor, theirs: &Row| {
        let ours = clock.row(actor).filter(|_| clock.fork(actor).is_none());
        ours.is_some_and(|ours| ours.seq == theirs.seq && (ours.tip, ours.max_op) != (theirs.tip, theirs.max_op))
    };
    let odd = rows.filter(|(actor, theirs)| theirs.fork.is_none() && is_odd(actor, &theirs.row)).count();
    if odd > 0 {
        merge.count("odd_rows", odd as u64);
    }
    odd > 0
}

fn hello(epoch: u32, merge: &mut Merge) -> Bytes {
    let trust = match merge.trust() {
        Trust::Everyone => Trust::Everyone,
        Trust::Only(peers) => Trust::Only(peers.iter().take(TRUSTED_MAX).copied().collect()),
    };
    let state = &mut merge.state;
    let hello = Hello {
        epoch,
        clock_hash: state.clock_hash(),
        digest_hash: state.digest_hash(),
        trust,
        groups: state.clock.groups().take(GROUPS_MAX).copied().collect(),
    };
    Frame::Hello(hello).encode().into()
}

/// Our rows of the groups that the answering side named.
fn rows_of(peers: &BTreeSet<Vec<u8>>, state: &State) -> Vec<Bytes> {
    let peers = peers.iter().filter_map(|bytes| PeerId::from_bytes(bytes).ok());
    rows_frames(peers.map(|peer| state.clock.group(peer)).collect())
}

/// Splits groups into ROWS frames, at least one.
pub fn rows_frames(groups: Vec<Group>) -> Vec<Bytes> {
    let row_bytes = |group: &Group| group.peer.to_bytes().len() + 16;
    let mut frames: Vec<Vec<Group>> = vec![Vec::new()];
    let mut bytes = FRAME_ROOM;
    for group in groups {
        let mut part = Group { peer: group.peer, rows: Vec::new() };
        bytes += row_bytes(&part);
        for row in group.rows {
            let mut encoded = Vec::new();
            row.write(&mut encoded);
            if bytes + encoded.len() > FRAME_MAX {
                let full = std::mem::replace(&mut part, Group { peer: group.peer, rows: Vec::new() });
                frames.last_mut().expect("there is a first frame").push(full);
                frames.push(Vec::new());
                bytes = FRAME_ROOM + row_bytes(&part);
            }
            bytes += encoded.len();
            part.rows.push(row);
        }
        frames.last_mut().expect("there is a first frame").push(part);
        if frames.last().is_some_and(|frame| frame.len() >= GROUPS_MAX) || bytes + FRAME_ROOM > FRAME_MAX {
            frames.push(Vec::new());
            bytes = FRAME_ROOM;
        }
    }
    let last = frames.len() - 1;
    let encode = |(n, groups)| Bytes::from(Frame::Rows { groups, more: n < last }.encode());
    frames.into_iter().enumerate().map(encode).collect()
}

#[cfg(test)]
#[path = "pull_tests.rs"]
mod tests;
