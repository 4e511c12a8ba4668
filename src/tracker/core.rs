//! What to do next: pure. Wishes, results and time in; jobs to start or cancel and ledger rows out.
mod backoff;
mod lanes;

use std::collections::BTreeMap;
use std::time::Duration;

use self::lanes::{Lane, Lanes};
use super::daemon::Room;
use crate::ipfs::{IpfsError, Progress, Remedy};
use crate::model::{Cid, TrackerStatus as Status, UnixMillis};
use crate::store::ledger::{Due, Row};

/// How long a probe is left alone: content that is near shows its first block within it, and a burst of new pins does
/// not park itself.
const PROBE_MIN: Duration = Duration::from_secs(1);
/// How often the bytes of a transfer are written down.
const BYTES_EVERY: Duration = Duration::from_secs(10);
/// First wait of a probe that made way for a newer pin.
const PARKED: Duration = Duration::from_mins(1);
/// After this long it is asked again whether others hold what this peer is to let go of: first soon, for most pins are
/// small, then a question for each of what may be all pins of a peer.
const KEPT_FIRST: Duration = Duration::from_secs(5);
const KEPT: Duration = Duration::from_mins(1);
/// Pins that find out together whether the daemon has room again.
const TRIALS: usize = 4;
/// After this long a pin is tried again that there was no room for, if it is still wanted then: soon where a try is a
/// question for the size of a root that is here by then, later where it fetches what was cut short.
const NO_ROOM: Duration = Duration::from_secs(10);
const CUT_SHORT: Duration = Duration::from_mins(1);
const LEAVING: &str = "kept until enough of the peers that are to hold it do";
/// Go's texts.
const QUEUE_FULL: &str = "pin/unpin operation queue is full. Try increasing max_pin_queue_size";
const MISSING: &str = "the item should be pinned but it is not";

/// What the queue is bounded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Pins that fetch.
    pub transfers: usize,
    /// Pins that wait for their first block.
    pub probes: usize,
    /// Unpins.
    pub unpins: usize,
    /// CIDs that wait in memory; the rest waits in the ledger.
    pub window: usize,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Makes the daemon hold a CID.
    Pin,
    /// Makes it let go of one.
    Unpin,
}

/// What the caller is to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Write this row.
    Put(Cid, Row),
    /// Remove the row.
    Remove(Cid),
    /// Cancel the job; its end is told by [`Queue::done`] all the same.
    Cancel(Cid),
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Look at row and wish of this CID, then tell [`Queue::start`] or what the wish is now.
    Start(Cid, Kind),
    /// Cancel this job.
    Cancel(Cid),
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Well.
    Done(Progress),
    /// It failed.
    Failed(IpfsError),
    /// It was cancelled.
    Cancelled,
    /// Nothing was done: the peers that are to hold it instead do not yet.
    Kept,
    /// There is no room for it, for this reason.
    NoRoom(String),
}

/// Why a job is being cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// A newer pin wants its place.
    Parked,
    /// Its content is there, and all transfers are taken.
    Crowded,
    /// The wish changed.
    Outdated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Probing,
    Transferring,
    Unpinning,
    Ending(Why),
}

#[derive(Clone, Copy, Debug)]
struct Job {
    phase: Phase,
    began: UnixMillis,
    /// When its bytes were last written down.
    noted: UnixMillis,
}

/// How much waits in memory, by lane, and how much runs, by phase; what does not fit in memory waits in the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// By lane.
    pub waiting: [(&'static str, usize); 4],
    /// By phase.
    pub running: [(&'static str, usize); 4],
}

/// The queue of one peer: at most one job a CID; what has a job does not wait in a lane.
#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    lanes: Lanes,
    jobs: BTreeMap<Cid, Job>,
    /// Whether the ledger may have rows that are due and neither wait here nor run.
    more: bool,
    /// Whether as many pins are queued as may be.
    full: bool,
}

impl Queue {
    /// An empty queue over a ledger that may have rows.
    pub fn new(limits: Limits) -> Self {
        Self { limits, lanes: Lanes::new(limits.window), jobs: BTreeMap::new(), more: true, full: false }
    }

    /// Says whether as many pins are queued as may be: what comes is an error then, as in Go, and is tried a minute later.
    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// The wish is that the daemon hold `cid`; `again` checks it even if the ledger says that it does.
    pub fn want(&mut self, cid: Cid, direct: bool, again: bool, row: Option<Row>, now: UnixMillis) -> Vec<Effect> {
        let Some(old) = row else { return self.queue_pin(cid, direct, &fresh_row(now), now) };
        let same = old.direct == direct;
        let known = match old.status {
            Status::Pinned | Status::PinError | Status::UnexpectedlyUnpinned => !again,
            Status::PinQueued => !again || self.jobs.contains_key(&cid),
            Status::Pinning => true,
            Status::UnpinQueued
            | Status::Unpinning
            | Status::UnpinError
            | Status::Undefined
            | Status::ClusterError
            | Status::Unpinned
            | Status::Remote
            | Status::Sharded => false,
        };
        if same && known { Vec::new() } else { self.queue_pin(cid, direct, &old, now) }
    }

    /// The wish is gone: the daemon is to let go of what it was asked to hold, and of nothing else.
    pub fn forget(&mut self, cid: Cid, row: Option<Row>, now: UnixMillis) -> Vec<Effect> {
        let Some(old) = row else { return Vec::new() };
        if matches!(old.status, Status::UnpinQueued | Status::Unpinning) {
            return Vec::new();
        }
        if !old.asked {
            self.lanes.remove(&cid);
            return vec![Effect::Remove(cid)];
        }
        let attempts = if old.status == Status::UnpinError { old.attempts } else { 0 };
        let row = Row { asked: true, attempts, bytes: old.bytes, ..Row::new(Status::UnpinQueued, Due::At(now), now) };
        self.requeue(cid, Lane::Unpin, row)
    }

    /// Somebody asks for another try of what failed or waits.
    pub fn recover(&mut self, cid: Cid, row: Option<Row>, now: UnixMillis) -> Vec<Effect> {
        let Some(old) = row else { return Vec::new() };
        let parked = old.status == Status::PinQueued && matches!(old.due, Due::At(due) if due > now);
        if parked || matches!(old.status, Status::PinError | Status::UnexpectedlyUnpinned) {
            self.queue_pin(cid, old.direct, &old, now)
        } else if old.status == Status::UnpinError {
            let row = Row { status: Status::UnpinQueued, due: Due::At(now), since: now, ..old };
            self.requeue(cid, Lane::Unpin, row)
        } else {
            Vec::new()
        }
    }

    /// A sweep did not find what the ledger says is pinned.
    pub fn missing(&mut self, cid: Cid, row: &Row, now: UnixMillis) -> Vec<Effect> {
        if row.status != Status::Pinned || self.jobs.contains_key(&cid) {
            return Vec::new();
        }
        let error = MISSING.to_owned();
        let row = Row { status: Status::UnexpectedlyUnpinned, due: Due::At(now), since: now, error, ..row.clone() };
        self.requeue(cid, Lane::Retry, row)
    }

    /// Rows that are due, from the ledger; `complete` when there were no more.
    pub fn load(&mut self, rows: impl IntoIterator<Item = (Cid, Row)>, complete: bool) {
        self.more = !complete;
        for (cid, row) in rows {
            if !self.jobs.contains_key(&cid) && !self.lanes.contains(&cid) {
                let lane = if is_unpin(row.status) { Lane::Unpin } else { Lane::Retry };
                self.push(lane, cid);
            }
        }
    }

    /// Says that rows of the ledger became due.
    pub fn came_due(&mut self) {
        self.more = true;
    }

    /// Returns whether rows of the ledger are to be loaded: few enough wait here, and there may be more there.
    pub fn wants_load(&self) -> bool {
        self.more && self.lanes.len() <= self.limits.window / 4
    }

    /// How many rows to load at once: more than can be in the ledger's head and known here already.
    pub fn load_max(&self) -> usize {
        self.limits.window / 2 + self.limits.transfers + self.limits.probes + self.limits.unpins
    }

    /// Returns what waits and what runs.
    pub fn load_now(&self) -> Load {
        let mut running = [("probing", 0), ("transferring", 0), ("unpinning", 0), ("ending", 0)];
        for job in self.jobs.values() {
            let at = match job.phase {
                Phase::Probing => 0,
                Phase::Transferring => 1,
                Phase::Unpinning => 2,
                Phase::Ending(_) => 3,
            };
            running[at].1 += 1;
        }
        let lanes = [("hot", Lane::Hot), ("fresh", Lane::Fresh), ("retry", Lane::Retry), ("unpin", Lane::Unpin)];
        Load { waiting: lanes.map(|(name, lane)| (name, self.lanes.len_of(lane))), running }
    }

    /// Returns what to start or cancel next, as far as the daemon has room; called until it returns [`None`].
    pub fn next(&mut self, room: Room, now: UnixMillis) -> Option<Next> {
        if self.running(|phase| phase == Phase::Unpinning) < self.limits.unpins
            && let Some(cid) = self.lanes.pop(Lane::Unpin)
        {
            return Some(Next::Start(cid, Kind::Unpin));
        }
        let transfers = self.running(|phase| phase == Phase::Transferring);
        // A transfer that is being cancelled has its place until it ends.
        let pins = self.running(|phase| phase != Phase::Unpinning);
        if room == Room::Nothing || (room == Room::Few && pins >= TRIALS) {
            return None;
        }
        if transfers < self.limits.transfers
            && pins < self.limits.transfers + self.limits.probes
            && let Some(cid) = self.lanes.pop(Lane::Hot)
        {
            self.jobs.insert(cid, Job { phase: Phase::Transferring, began: now, noted: now });
            return Some(Next::Start(cid, Kind::Pin));
        }
        // Enough is known to be there: what is looked for now would only have to wait.
        if self.lanes.len_of(Lane::Hot) >= self.limits.transfers {
            return None;
        }
        let probes = self.running(|phase| matches!(phase, Phase::Probing | Phase::Ending(_)));
        if probes < self.limits.probes {
            let cid = self.lanes.pop(Lane::Fresh).or_else(|| self.lanes.pop(Lane::Retry))?;
            return Some(Next::Start(cid, Kind::Pin));
        }
        self.park(now).map(Next::Cancel)
    }

    /// When [`Queue::next`] is to be asked again though nothing happened.
    pub fn next_wake(&self) -> Option<UnixMillis> {
        let crowded = self.lanes.len_of(Lane::Hot) >= self.limits.transfers;
        let probes = self.running(|phase| matches!(phase, Phase::Probing | Phase::Ending(_)));
        if crowded || probes < self.limits.probes || !self.wants_park() {
            return None;
        }
        self.oldest_probe().map(|(_, began)| began.plus(PROBE_MIN))
    }

    /// The job of `cid` begins; `row` says what is wanted.
    pub fn start(&mut self, cid: Cid, kind: Kind, row: Row, now: UnixMillis) -> Vec<Effect> {
        let (phase, status) = match kind {
            Kind::Pin => (Phase::Probing, Status::Pinning),
            Kind::Unpin => (Phase::Unpinning, Status::Unpinning),
        };
        self.jobs.entry(cid).or_insert(Job { phase, began: now, noted: now });
        let attempts = row.attempts.saturating_add(1);
        vec![Effect::Put(cid, Row { status, attempts, due: Due::Running, since: now, asked: true, ..row })]
    }

    /// The start of `cid` comes to nothing for now: it waits for its turn again.
    pub fn put_back(&mut self, cid: Cid, kind: Kind) {
        self.jobs.remove(&cid);
        self.push(if kind == Kind::Unpin { Lane::Unpin } else { Lane::Retry }, cid);
    }

    /// The start of `cid` comes to nothing for good.
    pub fn drop_start(&mut self, cid: &Cid) {
        self.jobs.remove(cid);
    }

    /// Blocks arrived.
    pub fn progress(&mut self, cid: Cid, progress: Progress, row: Option<Row>, now: UnixMillis) -> Vec<Effect> {
        let full = self.running(|phase| phase == Phase::Transferring) >= self.limits.transfers;
        let Some(job) = self.jobs.get_mut(&cid) else { return Vec::new() };
        match job.phase {
            Phase::Probing if full => {
                job.phase = Phase::Ending(Why::Crowded);
                return vec![Effect::Cancel(cid)];
            }
            Phase::Probing => job.phase = Phase::Transferring,
            Phase::Transferring if now >= job.noted.plus(BYTES_EVERY) => {}
            Phase::Transferring | Phase::Unpinning | Phase::Ending(_) => return Vec::new(),
        }
        job.noted = now;
        match row {
            Some(row) if row.status == Status::Pinning => vec![Effect::Put(cid, Row { bytes: progress.bytes, ..row })],
            _ => Vec::new(),
        }
    }

    /// A job ended; what it did is held against what is wanted by now.
    pub fn done(&mut self, cid: Cid, outcome: Outcome, row: Option<Row>, now: UnixMillis) -> Vec<Effect> {
        let Some(job) = self.jobs.remove(&cid) else { return Vec::new() };
        let Some(row) = row else { return Vec::new() };
        if row.status == Status::Pinning {
            return self.pin_ended(cid, job, outcome, row, now);
        }
        if row.status == Status::Unpinning {
            return self.unpin_ended(cid, outcome, row, now);
        }
        // The wish changed meanwhile: its row waits for its turn.
        self.push(if is_unpin(row.status) { Lane::Unpin } else { Lane::Fresh }, cid);
        Vec::new()
    }

    fn pin_ended(&mut self, cid: Cid, job: Job, outcome: Outcome, row: Row, now: UnixMillis) -> Vec<Effect> {
        let error = match (outcome, job.phase) {
            (Outcome::Done(progress), _) => {
                let bytes = row.bytes.max(progress.bytes);
                let (status, error) = (Status::Pinned, String::new());
                let row = Row { status, due: Due::Settled, since: now, attempts: 0, bytes, error, ..row };
                return vec![Effect::Put(cid, row)];
            }
            (Outcome::Cancelled, Phase::Ending(Why::Parked)) => return vec![parked(cid, job, &row, now)],
            (Outcome::Cancelled | Outcome::Kept, _) => {
                let attempts = row.attempts.saturating_sub(1);
                let row = Row { status: Status::PinQueued, due: Due::At(now), since: now, attempts, ..row };
                let hot = job.phase == Phase::Ending(Why::Crowded);
                return self.requeue(cid, if hot { Lane::Hot } else { Lane::Fresh }, row);
            }
            (Outcome::NoRoom(error), _) => {
                let wait = if row.bytes > 0 { CUT_SHORT } else { NO_ROOM };
                let (status, due, attempts) =
                    (Status::PinQueued, Due::At(now.plus(wait)), row.attempts.saturating_sub(1));
                return vec![Effect::Put(cid, Row { status, due, since: now, attempts, error, ..row })];
            }
            (Outcome::Failed(error), _) => error,
        };
        self.failed(cid, Status::PinError, &error, &row, now)
    }

    fn unpin_ended(&mut self, cid: Cid, outcome: Outcome, row: Row, now: UnixMillis) -> Vec<Effect> {
        match outcome {
            Outcome::Done(_) => vec![Effect::Remove(cid)],
            Outcome::Failed(error) => self.failed(cid, Status::UnpinError, &error, &row, now),
            Outcome::Cancelled | Outcome::NoRoom(_) => {
                let row = Row { status: Status::UnpinQueued, due: Due::At(now), since: now, ..row };
                self.requeue(cid, Lane::Unpin, row)
            }
            Outcome::Kept => {
                let wait = if row.error == LEAVING { KEPT } else { KEPT_FIRST };
                let (status, due, error) = (Status::UnpinQueued, Due::At(now.plus(wait)), LEAVING.to_owned());
                let attempts = row.attempts.saturating_sub(1);
                vec![Effect::Put(cid, Row { status, due, since: now, attempts, error, ..row })]
            }
        }
    }

    fn failed(&mut self, cid: Cid, status: Status, error: &IpfsError, row: &Row, now: UnixMillis) -> Vec<Effect> {
        let failed = Row { status, since: now, error: error.to_string(), ..row.clone() };
        // The daemon could not try: that counts as no try.
        let untried = Row { due: Due::At(now), attempts: failed.attempts.saturating_sub(1), ..failed.clone() };
        match error.remedy() {
            Remedy::RetryAfter(base) => vec![retried(cid, base, failed, now)],
            // Letting go makes room: it is tried as after other failures.
            Remedy::WhenRoom if is_unpin(status) => vec![retried(cid, PARKED, failed, now)],
            Remedy::WhenRoom => self.requeue(cid, Lane::Retry, Row { status: Status::PinQueued, ..untried }),
            Remedy::WhenBack => self.requeue(cid, if is_unpin(status) { Lane::Unpin } else { Lane::Retry }, untried),
            Remedy::GiveUp => vec![Effect::Put(cid, Row { due: Due::Never, ..failed })],
        }
    }

    fn queue_pin(&mut self, cid: Cid, direct: bool, old: &Row, now: UnixMillis) -> Vec<Effect> {
        let attempts = if is_unpin(old.status) { 0 } else { old.attempts };
        if self.full && old.status != Status::PinQueued && !self.jobs.contains_key(&cid) {
            self.lanes.remove(&cid);
            let (status, error, due) = (Status::PinError, QUEUE_FULL.to_owned(), Due::At(now.plus(PARKED)));
            return vec![Effect::Put(cid, Row { status, direct, attempts, due, since: now, error, ..old.clone() })];
        }
        let (status, error) = (Status::PinQueued, String::new());
        let row = Row { status, direct, attempts, due: Due::At(now), since: now, error, ..old.clone() };
        self.requeue(cid, Lane::Fresh, row)
    }

    /// Writes the row, and lets the CID wait, or its job end first.
    fn requeue(&mut self, cid: Cid, lane: Lane, row: Row) -> Vec<Effect> {
        let mut effects = vec![Effect::Put(cid, row)];
        match self.jobs.get_mut(&cid) {
            // What the daemon may have begun is not cut short: then nobody would know what it did.
            Some(Job { phase: Phase::Unpinning | Phase::Ending(_), .. }) => {}
            Some(job) => {
                job.phase = Phase::Ending(Why::Outdated);
                effects.push(Effect::Cancel(cid));
            }
            None => self.push(lane, cid),
        }
        effects
    }

    fn push(&mut self, lane: Lane, cid: Cid) {
        self.more |= !self.lanes.push(lane, cid);
    }

    /// A new pin waits and every probe is taken: the one that was silent longest makes way, one for each that waits.
    fn park(&mut self, now: UnixMillis) -> Option<Cid> {
        if !self.wants_park() {
            return None;
        }
        let (cid, began) = self.oldest_probe()?;
        if began.plus(PROBE_MIN) > now {
            return None;
        }
        if let Some(job) = self.jobs.get_mut(&cid) {
            job.phase = Phase::Ending(Why::Parked);
        }
        Some(cid)
    }

    fn wants_park(&self) -> bool {
        self.lanes.len_of(Lane::Fresh) > self.running(|phase| phase == Phase::Ending(Why::Parked))
    }

    fn oldest_probe(&self) -> Option<(Cid, UnixMillis)> {
        let probes = self.jobs.iter().filter(|(_, job)| job.phase == Phase::Probing);
        probes.map(|(cid, job)| (*cid, job.began)).min_by_key(|(_, began)| *began)
    }

    fn running(&self, counts: impl Fn(Phase) -> bool) -> usize {
        self.jobs.values().filter(|job| counts(job.phase)).count()
    }
}

fn retried(cid: Cid, base: Duration, failed: Row, now: UnixMillis) -> Effect {
    let due = Due::At(now.plus(backoff::wait(base, failed.attempts, &cid)));
    Effect::Put(cid, Row { due, ..failed })
}

/// The wait is what an own error would cost: nobody knows yet that the content is nowhere.
fn parked(cid: Cid, job: Job, row: &Row, now: UnixMillis) -> Effect {
    let due = Due::At(now.plus(backoff::wait(PARKED, row.attempts, &cid)));
    let silent = Duration::from_millis(u64::try_from(now.0 - job.began.0).unwrap_or(0));
    let error = IpfsError::Stalled { cid, silent }.to_string();
    Effect::Put(cid, Row { status: Status::PinQueued, due, since: now, error, ..row.clone() })
}

fn fresh_row(now: UnixMillis) -> Row {
    Row::new(Status::Undefined, Due::At(now), now)
}

/// The row of a job that the end of the process cut short: it is done again.
pub(super) fn interrupted(row: Row, now: UnixMillis) -> Row {
    let status = if is_unpin(row.status) { Status::UnpinQueued } else { Status::PinQueued };
    Row { status, due: Due::At(now), since: now, ..row }
}

/// Returns whether a row of this status is on its way out.
pub(super) fn is_unpin(status: Status) -> bool {
    matches!(status, Status::UnpinQueued | Status::Unpinning | Status::UnpinError)
}

#[cfg(test)]
mod tests;
