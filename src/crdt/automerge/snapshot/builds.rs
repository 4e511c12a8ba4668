//! When a snapshot is made, and what it says; and the log that goes once there is one (section 4.7 of the replication rules).
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::survey::{Copying, Found};
use crate::crdt::automerge::formats::clock::{Actor, Group, Hash};
use crate::crdt::automerge::formats::envelope::Header;
use crate::crdt::automerge::formats::heartbeat::Heartbeat;
use crate::crdt::automerge::formats::snapshot::manifest::{ATTESTATIONS_MAX, Core, FRAMES_MAX, FrameInfo, Manifest};
use crate::crdt::automerge::merge::Merge;
use crate::crdt::automerge::tables::joining::Joining;
use crate::crdt::automerge::tables::shelf::{self, Served};
use crate::crdt::automerge::tables::state::State;
use crate::crdt::automerge::tables::view::Clock;
use crate::crdt::automerge::tables::{fork, log};
use crate::crdt::{Now, ReadRows, Rows, RowsError, Table};
use crate::model::{PeerId, Trust, UnixMillis};

/// A snapshot is made when the log is larger than this and than half of the pinset, in bytes.
pub const LOG_BYTES: u64 = 64 * 1024 * 1024;

/// And after so long with changes, in milliseconds: a day.
const PERIOD: i64 = 24 * 60 * 60 * 1000;

/// How long changes wait for a state that a trusted peer attests, in milliseconds: six heartbeats.
const BARRIER: u64 = 60_000;

/// Between two tries, in milliseconds.
const AGAIN: u64 = 10 * 60_000;

/// Between two copies that others wish for, in milliseconds.
const WISHED: u64 = 60_000;

/// Between two counts of our own rows because a digest differs, in milliseconds.
const COUNT: u64 = 60 * 60_000;

/// Signed headers in a manifest: what is more proves forks of peers that wrote long ago.
const TIPS_MAX: usize = 4096;

/// What became of a survey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on, or is nothing any more.
    Nothing,
    /// There is a new snapshot; our digest is that of our rows, which was asked because of this peer's.
    Made(Option<PeerId>),
    /// Our digest is not that of our rows; asked because of this peer's.
    Damaged(Option<PeerId>),
}

/// The making of snapshots.
pub struct Builds {
    log_bytes: u64,
    frame_rows: usize,
    running: Option<Building>,
    /// Number of the last application plus one when somebody asked for a fresh one; 0 is nobody.
    wished: Arc<AtomicU64>,
    /// Whose digest differs from ours.
    doubt: Option<PeerId>,
    counted: Option<u64>,
    /// Whether our digest was that of our rows then.
    is_sound: bool,
    made: Option<u64>,
    not_before: u64,
    /// Until when the barrier holds.
    barrier: Option<u64>,
    /// The last state that a trusted peer attested.
    attested: Option<Heartbeat>,
}

struct Building {
    generation: u64,
    groups: Vec<Group>,
    frames: Vec<FrameInfo>,
    tips: Vec<Header>,
    proofs: Vec<[Header; 2]>,
    attestations: Vec<Vec<u8>>,
    clock_hash: Hash,
    digest_hash: Hash,
    applied: u64,
    doubt: Option<PeerId>,
}

impl Builds {
    /// Nothing is made yet; `log_bytes` is what the log may take at least, `frame_rows` what a frame may have at most.
    pub fn new(log_bytes: u64, frame_rows: usize) -> Self {
        Self {
            log_bytes,
            frame_rows,
            running: None,
            wished: Arc::default(),
            doubt: None,
            counted: None,
            is_sound: false,
            made: None,
            not_before: 0,
            barrier: None,
            attested: None,
        }
    }

    /// Where sessions say that somebody wishes for a fresh one.
    pub fn wished(&self) -> Arc<AtomicU64> {
        self.wished.clone()
    }

    /// A peer that we trust has our clock and another digest: our own is counted anew, once an hour at most.
    /// Returns whether it was in the last hour, and is that of our rows.
    pub fn doubt(&mut self, peer: PeerId, now: Now) -> bool {
        if self.counted.is_none_or(|at| at + COUNT <= now.mono) && self.doubt.is_none() {
            self.doubt = Some(peer);
            self.counted = Some(now.mono);
            self.is_sound = false;
        }
        self.is_sound
    }

    /// A peer that we trust says what its state is.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn hear(&mut self, heartbeat: &Heartbeat, merge: &mut Merge, rows: &mut dyn Rows) -> Result<(), RowsError> {
        if self.barrier.is_some() {
            merge.pass_barrier(&heartbeat.heads, rows)?;
        }
        self.attested = Some(heartbeat.clone());
        let state = &mut merge.state;
        let is_served =
            |served: &Served| (served.clock_hash, served.digest_hash) == (heartbeat.clock_hash, heartbeat.digest_hash);
        if state.shelf.served().is_some_and(is_served) {
            let of_peer = |bytes: &[u8]| Heartbeat::decode(bytes).is_ok_and(|known| known.peer == heartbeat.peer);
            state.shelf.attest(heartbeat.encode(), of_peer, rows)?;
        }
        Ok(())
    }

    /// Drops log that a snapshot holds, in a small step; returns whether there is more to drop.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn drop_log(&self, state: &mut State, rows: &mut dyn Rows) -> Result<bool, RowsError> {
        let Some(upto) = state.shelf.served().map(|served| served.applied).filter(|_| state.joining.is_none()) else {
            return Ok(false);
        };
        let keep = self.limit(state) / 2;
        let before = state.counters.log_bytes;
        let more = log::drop_oldest(upto, keep, &mut state.counters, rows)?;
        if state.counters.log_bytes != before {
            state.changed();
        }
        Ok(more)
    }

    fn limit(&self, state: &State) -> u64 {
        self.log_bytes.max(state.counters.row_bytes / 2)
    }

    /// Takes what waits at a barrier that is of no use any more: it was in vain, or its state is being copied. A turn begins
    /// with it, because what it applies has to be in the clock that the turn commits.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn end_barrier(&mut self, merge: &mut Merge, now: Now, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let is_over = self.barrier.is_some_and(|until| until <= now.mono);
        if is_over || (self.barrier.is_some() && !merge.has_barrier()) {
            self.barrier = None;
            self.not_before = now.mono + AGAIN;
            merge.count("snapshot_barriers_in_vain", 1);
        }
        if self.barrier.is_none() && merge.has_barrier() {
            merge.lift_barrier(rows)?;
        }
        Ok(())
    }

    /// Returns whether this state is to be copied now; raises the barrier meanwhile.
    pub fn is_time(&mut self, own: PeerId, merge: &mut Merge, now: Now) -> bool {
        if self.running.is_some() || merge.state.joining.is_some() || !self.is_wanted(&merge.state, now) {
            return false;
        }
        let attests_itself = match merge.trust() {
            Trust::Everyone => true,
            Trust::Only(peers) => peers.contains(&own),
        };
        if self.doubt.is_some() || attests_itself {
            return true;
        }
        let state = &mut merge.state;
        let is_attested = self.attested.as_ref().is_some_and(|attested| {
            (attested.clock_hash, attested.digest_hash) == (state.clock_hash(), state.digest_told())
        });
        if !is_attested && self.barrier.is_none() {
            merge.raise_barrier();
            self.barrier = Some(now.mono + BARRIER);
        }
        is_attested
    }

    fn is_wanted(&self, state: &State, now: Now) -> bool {
        if self.doubt.is_some() {
            return true;
        }
        let (served, counters) = (state.shelf.served(), &state.counters);
        if now.mono < self.not_before {
            return false;
        }
        if served.is_some_and(|served| served.is_partial) {
            return true;
        }
        let is_news = served.is_none_or(|served| served.applied < counters.applied);
        // What a snapshot holds already is being dropped.
        let is_long = counters.log_bytes > self.limit(state);
        let is_old = served.is_some_and(|served| served.made.0 + PERIOD <= now.wall.0);
        let is_wished = self.wished.load(Ordering::Relaxed) > served.map_or(0, |served| served.applied + 1)
            && self.made.is_none_or(|at| at + WISHED <= now.mono);
        is_news && (is_long || is_old || is_wished)
    }

    /// Begins to copy the state that this turn commits; `own` is our heartbeat of it.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn begin(
        &mut self,
        own: &Heartbeat,
        merge: &mut Merge,
        now: Now,
        rows: &mut dyn Rows,
    ) -> Result<Copying, RowsError> {
        let state = &mut merge.state;
        let generation = state.shelf.begin_build(rows)?;
        let (clock_hash, digest_hash) = (state.clock_hash(), state.digest_hash());
        let attested = self.attested.as_ref().filter(|attested| {
            (attested.clock_hash, attested.digest_hash) == (clock_hash, digest_hash) && attested.peer != own.peer
        });
        let groups = state.clock.all_groups();
        let building = Building {
            generation,
            frames: Vec::new(),
            tips: tips(&groups, state, rows)?,
            proofs: proofs(&state.clock, rows)?,
            attestations: [own].into_iter().chain(attested).map(Heartbeat::encode).collect(),
            clock_hash,
            digest_hash,
            applied: state.counters.applied,
            doubt: self.doubt.take(),
            groups,
        };
        let actors = building.groups.iter().flat_map(|group| group.rows.iter().map(|row| group.actor(row))).collect();
        self.running = Some(building);
        self.made = Some(now.mono);
        self.barrier = None;
        Ok(Copying { generation, actors, frame_rows: self.frame_rows })
    }

    /// Takes a part of what a survey found; [`None`] when it ended before its end.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn found(
        &mut self,
        found: Option<Found>,
        epoch: u32,
        state: &mut State,
        now: Now,
        rows: &mut dyn Rows,
    ) -> Result<Outcome, RowsError> {
        let Some(building) = &mut self.running else { return Ok(Outcome::Nothing) };
        match found {
            Some(Found::Frame { generation, info, packed }) if generation == building.generation => {
                let place = u32::try_from(building.frames.len()).unwrap_or(u32::MAX);
                building.frames.push(info);
                if building.frames.len() > FRAMES_MAX {
                    return self.give_up(state, now, rows);
                }
                shelf::put_frame(generation, place, &packed, rows)?;
                Ok(Outcome::Nothing)
            }
            Some(Found::End { generation, pins, tombstones, digest_hash }) if generation == building.generation => {
                self.end((pins, tombstones), digest_hash, epoch, state, (now, rows))
            }
            Some(_) => Ok(Outcome::Nothing),
            None => self.give_up(state, now, rows),
        }
    }

    fn give_up(&mut self, state: &mut State, now: Now, rows: &mut dyn Rows) -> Result<Outcome, RowsError> {
        self.running = None;
        self.not_before = now.mono + AGAIN;
        state.shelf.end_build(rows)?;
        Ok(Outcome::Nothing)
    }

    fn end(
        &mut self,
        (pins, tombstones): (u64, u64),
        digest_hash: Hash,
        epoch: u32,
        state: &mut State,
        (now, rows): (Now, &mut dyn Rows),
    ) -> Result<Outcome, RowsError> {
        let Some(building) = self.running.take() else { return Ok(Outcome::Nothing) };
        if digest_hash != building.digest_hash {
            self.not_before = now.mono + AGAIN;
            state.shelf.end_build(rows)?;
            return Ok(Outcome::Damaged(building.doubt));
        }
        let Building { generation, groups, frames, tips, proofs, mut attestations, clock_hash, applied, doubt, .. } =
            building;
        self.is_sound |= doubt.is_some();
        attestations.truncate(ATTESTATIONS_MAX);
        let core = Core { epoch, groups, pins, tombstones, frames };
        let served = Served {
            generation,
            id: core.id(),
            clock_hash,
            digest_hash,
            pins,
            bytes: core.bytes(),
            applied,
            made: now.wall,
            is_partial: false,
        };
        state.shelf.serve_built(served, &Manifest { core, tips, proofs, attestations }, rows)?;
        Ok(Outcome::Made(doubt))
    }

    /// When something is due without an input, in milliseconds of the monotonic clock.
    pub fn due(&self) -> Option<u64> {
        self.barrier
    }
}

/// What others may have of a snapshot that came in whole.
pub fn served(joined: &Joining, made: UnixMillis) -> Served {
    let Joining { generation, core, digest_hash, .. } = joined;
    Served {
        generation: *generation,
        id: core.id(),
        clock_hash: core.clock_hash(),
        digest_hash: *digest_hash,
        pins: core.pins,
        bytes: core.bytes(),
        applied: 0,
        made,
        is_partial: !joined.is_forward(),
    }
}

/// Keeps the proof of a fork that a snapshot brought, in force.
///
/// # Errors
/// [`RowsError`].
pub fn keep_proof(proof: &[Header; 2], state: &mut State, rows: &mut dyn Rows) -> Result<(), RowsError> {
    let [a, b] = proof;
    let Some(point) = fork::proven(a, b) else { return Ok(()) };
    rows.put(Table::Forked, a.actor.as_bytes(), &fork::row(point, true, proof))?;
    state.learn_fork(&a.actor, point);
    Ok(())
}

/// The signed header of the newest actor of each peer id, where we have it.
fn tips(groups: &[Group], state: &State, rows: &dyn Rows) -> Result<Vec<Header>, RowsError> {
    let mut tips = Vec::new();
    for group in groups.iter().take(TIPS_MAX) {
        let newest = group.rows.iter().filter(|row| row.fork.is_none()).max_by_key(|row| row.row.max_op);
        if let Some(newest) = newest
            && let Some(tip) = state.tip(&group.actor(newest), rows)?
            && tip.change_hash == newest.row.tip
        {
            tips.push(tip);
        }
    }
    Ok(tips)
}

/// The proofs of the forks that are in force.
fn proofs(clock: &Clock, rows: &dyn ReadRows) -> Result<Vec<[Header; 2]>, RowsError> {
    let forks: BTreeMap<&Actor, _> = clock.forks().collect();
    let mut proofs = Vec::with_capacity(forks.len());
    for actor in forks.keys() {
        proofs.extend(rows.get(Table::Forked, actor.as_bytes())?.as_deref().and_then(fork::proof));
    }
    Ok(proofs)
}
