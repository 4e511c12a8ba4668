//! Moves copies from peers that hold too much to peers that have room, for as long as somebody listens.
use std::collections::VecDeque;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::OwnedMutexGuard;

use super::{Cluster, Error};
use crate::cluster::pinset::Pinset;
use crate::cluster::status::blocking;
use crate::crdt::Span;
use crate::model::{Balance, PeerId, Pin, Rebalance, Rebalanced, Replication, Share, Shift};
use crate::monitor::rebalance::{Measure, Move, Plan, Promises};
use crate::task;
use crate::tracker::Tracker;
use crate::wire::glance::Glance;

/// Pins whose size is known that the mean is taken of; keys are hashes, so the first ones are as good as any.
const SAMPLE: u64 = 10_000;

/// What a pin counts for where peers are balanced by numbers and no size is known.
const UNKNOWN_BYTES: u64 = 1 << 20;

impl Cluster {
    /// Moves copies of pins from peers that hold too much to peers that have room; returns each as it was written, then what
    /// came of it. It goes on as it is read, and ends when that ends; what has moved stays.
    ///
    /// Peers are balanced by the allocator's metric of space, see [`Plan`]. A copy that moves is let go of only when the others
    /// have it, and moves pay for the brake of repairs. Without a fault of its own it ends in an error when this peer follows,
    /// when another one runs here, and when nothing says how much peers have.
    #[must_use]
    pub fn rebalance(&self, wish: Rebalance) -> BoxStream<'static, Result<Rebalanced, Error>> {
        stream::try_unfold(Stage::Begins(self.clone(), wish), Stage::next).boxed()
    }
}

enum Stage {
    Begins(Cluster, Rebalance),
    Runs(Box<Run>),
    Ended,
}

impl Stage {
    async fn next(self) -> Result<Option<(Rebalanced, Self)>, Error> {
        let mut run = match self {
            Self::Begins(cluster, wish) => Box::new(Run::begin(cluster, wish).await?),
            Self::Runs(run) => run,
            Self::Ended => return Ok(None),
        };
        Ok(Some(match run.next().await? {
            Some(shift) => (Rebalanced::Moved(shift), Self::Runs(run)),
            None => (Rebalanced::Ended(run.balance()), Self::Ended),
        }))
    }
}

/// Which pins a pass is for: those that are crowded, those that are not, or all.
type Crowded = Option<bool>;

/// A pin that is to be judged.
struct Candidate {
    pin: Pin,
    bytes: Option<u64>,
    /// Whether it is for this pass, whatever it has become by its first move.
    is_chosen: bool,
}

/// One run.
struct Run {
    cluster: Cluster,
    wish: Rebalance,
    plan: Plan,
    /// Held to the end: runs that know nothing of each other would move twice what is too much.
    promises: OwnedMutexGuard<Promises>,
    /// What a pin of unknown size counts for.
    typical: u64,
    /// The parts of the pinset that are still to be read, the next one last.
    parts: Vec<(Crowded, Span)>,
    pass: Crowded,
    page: VecDeque<Candidate>,
    moved: u64,
    bytes: u64,
    unknown: u64,
    skipped: u64,
    stopped: bool,
}

impl Run {
    async fn begin(cluster: Cluster, wish: Rebalance) -> Result<Self, Error> {
        if !wish.dry_run {
            cluster.writable()?;
        }
        let busy = |_| Error::Other("this peer is rebalancing already: wait for that to end".into());
        let promises = cluster.inner.promises.clone().try_lock_owned().map_err(busy)?;
        let allocate_by = &cluster.inner.allocate_by;
        let measure = Measure::of(allocate_by).ok_or_else(|| {
            Error::Other(format!("allocator.balanced.allocate_by is {allocate_by:?}: freespace or reposize has to be in it to say how much peers hold"))
        })?;
        let now = task::wall();
        let plan = Plan::new(measure, &cluster.seats(now), &promises, now).within(wish.max_bytes);
        let typical = cluster.typical_bytes(&plan).await?;
        let all = cluster.inner.pinset.parts();
        let passes: &[Crowded] = if plan.has_tags() { &[Some(false), Some(true)] } else { &[None] };
        let parts = passes.iter().flat_map(|pass| all.iter().rev().map(|part| (*pass, part.clone()))).collect();
        let (pass, page) = (None, VecDeque::new());
        let [moved, bytes, unknown, skipped] = [0; 4];
        let stopped = false;
        Ok(Self { cluster, wish, plan, promises, typical, parts, pass, page, moved, bytes, unknown, skipped, stopped })
    }

    /// Makes the next move; [`None`] when there is none.
    async fn next(&mut self) -> Result<Option<Shift>, Error> {
        while let Some(candidate) = self.candidate().await? {
            let Candidate { pin, bytes, is_chosen } = candidate;
            if !is_chosen && self.pass.is_some_and(|crowded| self.plan.is_crowded(&pin) != crowded) {
                continue;
            }
            let counted = bytes.unwrap_or(self.typical);
            let Some(step) = self.plan.next(&pin, counted) else { continue };
            if !self.plan.affords(counted) {
                self.stopped = true;
                break;
            }
            let Some(pin) = self.step(&pin, &step, counted).await? else {
                self.skipped += 1;
                continue;
            };
            self.note(&step, counted, bytes.is_none());
            let shift = Shift { cid: pin.cid, name: pin.name.clone(), from: step.from, to: step.to, bytes };
            self.page.push_front(Candidate { pin, bytes, is_chosen: true });
            return Ok(Some(shift));
        }
        Ok(None)
    }

    /// Makes a move, when pin and peer are still as they were when it is its turn; returns the pin then.
    async fn step(&self, pin: &Pin, step: &Move, bytes: u64) -> Result<Option<Pin>, Error> {
        if self.wish.dry_run {
            return Ok(Some(shifted(pin, step)));
        }
        let is_fit = || self.cluster.can_take(&step.to).then_some(());
        if self.cluster.inner.throttle.pass(|| bytes, is_fit).await.is_none() {
            return Ok(None);
        }
        let moved = shifted(pin, step);
        let is_written = self.cluster.shift(pin, moved.clone()).await?;
        Ok(is_written.then_some(moved))
    }

    fn note(&mut self, step: &Move, bytes: u64, is_unknown: bool) {
        self.plan.made(step, bytes);
        self.moved += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.unknown += u64::from(is_unknown);
        if !self.wish.dry_run {
            self.cluster.inner.counts.add("pins_rebalanced", 1);
            for peer in [&step.from, &step.to] {
                self.plan.promise(peer, &mut self.promises, task::wall());
            }
        }
    }

    /// The next pin that a peer with too little holds.
    async fn candidate(&mut self) -> Result<Option<Candidate>, Error> {
        loop {
            if let Some(candidate) = self.page.pop_front() {
                return Ok(Some(candidate));
            }
            let mut givers: Vec<Vec<u8>> = self.plan.givers().iter().map(|peer| peer.to_bytes()).collect();
            givers.sort_unstable();
            let Some((pass, part)) = self.parts.pop().filter(|_| !givers.is_empty()) else { return Ok(None) };
            let (pinset, tracker) = (self.cluster.inner.pinset.clone(), self.cluster.inner.tracker.clone());
            let read = move || {
                let is_giver = |peer: &[u8]| givers.binary_search_by(|giver| giver.as_slice().cmp(peer)).is_ok();
                let sieve =
                    |pin: &Glance<'_>| pin.replication() != Replication::Everywhere && pin.allocations().any(is_giver);
                let (pins, rest) = pinset.sift(&part, &sieve)?;
                let sized = |pin: Pin| Candidate { bytes: known(&tracker, &pin), pin, is_chosen: false };
                Ok((pins.into_iter().map(sized).collect(), rest))
            };
            let (page, rest) = blocking(read).await?;
            (self.page, self.pass) = (page, pass);
            self.parts.extend(rest.map(|rest| (pass, rest)));
        }
    }

    fn balance(&self) -> Balance {
        let members = &self.cluster.inner.members;
        let clamped = |n: i128| i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX });
        let share = |(peer, before, after): (&PeerId, i128, i128)| Share {
            peer: *peer,
            peername: members.names(peer).peername,
            before: clamped(before),
            after: clamped(after),
        };
        Balance {
            dry_run: self.wish.dry_run,
            metric: self.plan.measure().name().to_owned(),
            pins: self.cluster.inner.pinset.summary().borrow().entries,
            moved: self.moved,
            bytes: self.bytes,
            unknown: self.unknown,
            skipped: self.skipped,
            stopped: self.stopped,
            shares: self.plan.seats().map(share).collect(),
        }
    }
}

impl Cluster {
    /// What a pin of unknown size counts for: the mean of those that are known here.
    async fn typical_bytes(&self, plan: &Plan) -> Result<u64, Error> {
        let (pinset, tracker, own) = (self.inner.pinset.clone(), self.inner.tracker.clone(), self.inner.own);
        let mean = blocking(move || mean_bytes(&pinset, &tracker, own)).await?;
        match mean {
            Some(mean) => Ok(mean),
            None if plan.measure().is_of_bytes() && !plan.givers().is_empty() => {
                Err(Error::Other("this peer knows the size of no pin: ask a peer that holds some".into()))
            }
            None => Ok(UNKNOWN_BYTES),
        }
    }
}

/// The mean size of some of the pins that this peer holds.
fn mean_bytes(pinset: &Pinset, tracker: &Tracker, own: PeerId) -> Result<Option<u64>, Error> {
    let (mut count, mut sum, own) = (0, 0_u64, own.to_bytes());
    let sieve = |pin: &Glance<'_>| pin.replication() == Replication::Everywhere || pin.allocations().any(|p| p == own);
    let mut parts = pinset.parts();
    while let Some(part) = parts.pop().filter(|_| count < SAMPLE) {
        let (pins, rest) = pinset.sift(&part, &sieve)?;
        for bytes in pins.iter().filter_map(|pin| known(tracker, pin)) {
            (count, sum) = (count + 1, sum.saturating_add(bytes));
        }
        parts.extend(rest);
    }
    Ok(sum.checked_div(count))
}

/// The size of a pin, as far as this peer knows it.
fn known(tracker: &Tracker, pin: &Pin) -> Option<u64> {
    tracker.bytes(&pin.cid).ok().filter(|bytes| *bytes > 0)
}

/// The pin as it is after a move: who takes the copy stands where the other stood.
fn shifted(pin: &Pin, Move { from, to }: &Move) -> Pin {
    let allocations = pin.allocations.iter().map(|peer| if peer == from { *to } else { *peer }).collect();
    Pin { allocations, ..pin.clone() }
}

#[cfg(test)]
#[path = "rebalance_tests.rs"]
mod tests;
