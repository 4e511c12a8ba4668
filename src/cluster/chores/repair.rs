//! Gives pins new holders when theirs are gone for longer than the grace, or are being drained.
//!
//! One paged scan, beside the writer, finds them. Members take turns by distance, so that mostly one of them writes; a write
//! that comes twice changes nothing. What is let go is bounded in bytes a second, and each pin is judged anew when it is its
//! turn: a peer that is back by then keeps what it has.
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::cluster::error::Error;
use crate::cluster::handle::Cluster;
use crate::cluster::status::blocking;
use crate::model::Pin;
use crate::monitor::{Brake, Census, Listening, Rounds};
use crate::task::{self, Fatal, Task};

/// How often it is looked whether a round is due: in memory, over the members.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The longest wait of a pin before it is judged anew.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Pins read in one transaction.
const PAGE: usize = 2_048;

/// Writes that wait for one commit together.
const WRITES_MAX: usize = 64;

/// What a pin counts for whose size this peer does not know, in bytes.
const UNKNOWN_BYTES: u64 = 1 << 20;

/// How repairs are made.
#[derive(Clone, Copy, Debug)]
pub struct Args {
    /// How long a peer may be away before others take its place; for ever when it is [`Duration::MAX`].
    pub grace: Duration,
    /// Bytes a second that pins which get new holders may have; zero: no limit.
    pub rate: u64,
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
    brake: Mutex<Brake>,
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
        Self { cluster, args, listening, start: task::now(), brake: Mutex::new(Brake::new(args.rate)) }
    }

    fn census(&self) -> Census {
        let (now, mono) = (task::wall(), self.millis());
        // A moment is whole whatever happened to who wrote it.
        let began = self.listening.lock().unwrap_or_else(PoisonError::into_inner).since(now, mono);
        self.cluster.inner.members.census((began, self.args.grace, now))
    }

    /// Looks through the whole pinset; returns how many pins have too few holders at its end.
    async fn round(&self, patience: usize) -> Result<u64, Error> {
        let (mut cursor, mut moved, mut short) = (None, 0, 0);
        let trust = self.cluster.inner.trust();
        loop {
            let (pinset, census) = (self.cluster.inner.pinset.clone(), self.census());
            let page = move || {
                let (mut pins, next) = pinset.page(cursor.as_deref(), PAGE)?;
                pins.retain(|pin| census.is_short(pin));
                Ok((pins, next, census))
            };
            let (pins, next, census) = blocking(page).await?;
            let own = &self.cluster.inner.own;
            let is_ours = |pin: &Pin| census.turn(own, pin, |peer| trust.trusts(own, peer)) <= patience;
            let (ours, others): (Vec<Pin>, Vec<Pin>) = pins.into_iter().partition(is_ours);
            let fates = stream::iter(ours).map(|pin| self.repair(pin)).buffer_unordered(WRITES_MAX);
            let fates: Vec<Fate> = fates.map(told).collect().await;
            let count = |wanted| fates.iter().filter(|fate| **fate == wanted).count();
            moved += self.count("pins_repaired", count(Fate::Moved));
            short += self.count("pins_short", count(Fate::Short) + others.len());
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        if moved + short > 0 {
            tracing::info!(moved, short, "pins whose holders are gone: moved to others; with too few still");
        }
        Ok(short)
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
        let mut brake = self.brake.lock().await;
        loop {
            let census = self.census();
            if !census.is_short(pin) {
                return None;
            }
            let wait = brake.wait(self.millis());
            if wait.is_zero() {
                brake.pay(self.bytes(pin), self.millis());
                return Some(census);
            }
            tokio::time::sleep(wait.min(WAIT_MAX)).await;
        }
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
