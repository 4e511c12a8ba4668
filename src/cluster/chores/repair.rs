//! Gives pins new holders when theirs are gone for longer than the grace, or are being drained.
//!
//! One paged scan, beside the writer, finds them: records are judged where they lie, and those that may be short are read whole. Members take turns by distance, so that mostly one of them writes; a write
//! that comes twice changes nothing. What is let go is bounded in bytes a second, and each pin is judged anew when it is its
//! turn: a peer that is back by then keeps what it has.
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use futures::future::ready;
use futures::{StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::cluster::error::Error;
use crate::cluster::handle::Cluster;
use crate::cluster::status::blocking;
use crate::crdt::Span;
use crate::model::Pin;

use crate::monitor::{Census, Listening, Rounds, Sieve};
use crate::task::{self, Fatal, Task};

/// How often it is looked whether a round is due: in memory, over the members.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Parts of the pinset that are looked through beside each other: what two cores are for.
const LANES: usize = 2;

/// Writes of a part that wait for one commit together.
const WRITES_MAX: usize = 64;

/// What a pin counts for whose size this peer does not know, in bytes.
const UNKNOWN_BYTES: u64 = 1 << 20;

/// How repairs are made.
#[derive(Clone, Copy, Debug)]
pub struct Args {
    /// How long a peer may be away before others take its place; for ever when it is [`Duration::MAX`].
    pub grace: Duration,
}

/// Starts looking.
pub fn spawn(cluster: Cluster, args: Args) -> Task {
    Task::spawn(move |stop| run(Repairs::new(cluster, args), stop))
}

struct Repairs {
    cluster: Cluster,
    args: Args,
    listening: std::sync::Mutex<Listening>,
    start: Instant,
}

/// What became of a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It has new holders.
    Moved,
    /// It has enough holders again, or is gone.
    Well,
    /// It still has too few: another peer's turn, or nobody can hold it.
    Short,
}

/// What became of many.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    moved: u64,
    short: u64,
}

impl Tally {
    const fn and(self, other: Self) -> Self {
        Self { moved: self.moved + other.moved, short: self.short + other.short }
    }
}

async fn run(repairs: Repairs, stop: CancellationToken) -> Result<(), Fatal> {
    let mut rounds = Rounds::default();
    loop {
        tokio::select! { biased;
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK_EVERY) => (),
        }
        let census = repairs.census();
        if !rounds.is_due(&census, task::wall()) {
            continue;
        }
        tokio::select! { biased;
            () = stop.cancelled() => return Ok(()),
            ended = repairs.round(rounds.patience(&census)) => match ended {
                Ok(undone) => rounds.end(&census, undone, task::wall()),
                // The next look begins it anew.
                Err(error) => tracing::warn!(%error, "looking for pins that lost holders failed"),
            },
        }
    }
}

impl Repairs {
    fn new(cluster: Cluster, args: Args) -> Self {
        let listening = std::sync::Mutex::new(Listening::new(task::wall(), 0));
        Self { cluster, args, listening, start: task::now() }
    }

    fn census(&self) -> Census {
        let (now, mono) = (task::wall(), self.millis());
        // A moment is whole whatever happened to who wrote it.
        let began = self.listening.lock().unwrap_or_else(PoisonError::into_inner).since(now, mono);
        self.cluster.inner.members.census((began, self.args.grace, now))
    }

    /// Looks through the whole pinset; returns how many pins have too few holders at its end.
    async fn round(&self, patience: usize) -> Result<u64, Error> {
        let parts = stream::iter(self.cluster.inner.pinset.parts()).map(|part| self.part(part, patience));
        let tallies = parts.buffer_unordered(LANES);
        let Tally { moved, short } = tallies.try_fold(Tally::default(), |sum, part| ready(Ok(sum.and(part)))).await?;
        if moved + short > 0 {
            tracing::info!(moved, short, "pins whose holders are gone: moved to others; with too few still");
        }
        Ok(short)
    }

    /// Looks through a part of it.
    async fn part(&self, part: Span, patience: usize) -> Result<Tally, Error> {
        let (mut rest, mut tally) = (Some(part), Tally::default());
        while let Some(part) = rest {
            let (pinset, census) = (self.cluster.inner.pinset.clone(), self.census());
            let page = move || {
                let sieve = Sieve::of(&census);
                let (mut pins, next) = pinset.sift(&part, &|pin| sieve.may_be_short(pin))?;
                pins.retain(|pin| census.is_short(pin));
                Ok((pins, next, census))
            };
            let (pins, next, census) = blocking(page).await?;
            tally = tally.and(self.repair_all(pins, &census, patience).await);
            rest = next;
        }
        Ok(tally)
    }

    /// Repairs those of these pins whose turn it is.
    async fn repair_all(&self, pins: Vec<Pin>, census: &Census, patience: usize) -> Tally {
        let (own, trust) = (&self.cluster.inner.own, self.cluster.inner.trust());
        let is_ours = |pin: &Pin| census.turn(own, pin, |peer| trust.trusts(own, peer)) <= patience;
        let (ours, others): (Vec<Pin>, Vec<Pin>) = pins.into_iter().partition(is_ours);
        let fates = stream::iter(ours).map(|pin| self.repair(pin)).buffer_unordered(WRITES_MAX);
        let fates: Vec<Fate> = fates.map(told).collect().await;
        let count = |wanted| fates.iter().filter(|fate| **fate == wanted).count();
        Tally {
            moved: self.count("pins_repaired", count(Fate::Moved)),
            short: self.count("pins_short", count(Fate::Short) + others.len()),
        }
    }

    /// Counters appear when they move.
    fn count(&self, name: &'static str, pins: usize) -> u64 {
        let pins = pins as u64;
        if pins > 0 {
            self.cluster.inner.counts.add(name, pins);
        }
        pins
    }

    async fn repair(&self, pin: Pin) -> Result<Fate, Error> {
        let Some(census) = self.paid(&pin).await else { return Ok(Fate::Well) };
        match self.cluster.reallocate(pin.cid, &census).await {
            Ok(true) => Ok(Fate::Moved),
            Ok(false) => Ok(Fate::Well),
            // It was logged with each peer's reason.
            Err(Error::Allocate(_)) => Ok(Fate::Short),
            Err(error) => Err(error),
        }
    }

    /// Waits until the pin may go; returns the census by which it still is to go then.
    async fn paid(&self, pin: &Pin) -> Option<Census> {
        let still_short = || Some(self.census()).filter(|census| census.is_short(pin));
        self.cluster.inner.throttle.pass(|| self.bytes(pin), still_short).await
    }

    fn millis(&self) -> u64 {
        u64::try_from(task::now().duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    /// The size of a pin, as far as this peer knows it.
    fn bytes(&self, pin: &Pin) -> u64 {
        let known = self.cluster.inner.tracker.bytes(&pin.cid).unwrap_or(0);
        if known == 0 { UNKNOWN_BYTES } else { known }
    }
}

/// A write that fails leaves its pin to the next round.
fn told(fate: Result<Fate, Error>) -> Fate {
    fate.unwrap_or_else(|error| {
        tracing::warn!(%error, "a pin whose holders are gone could not be moved");
        Fate::Short
    })
}

#[cfg(test)]
#[path = "repair_tests.rs"]
mod tests;
