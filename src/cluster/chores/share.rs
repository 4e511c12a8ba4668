//! The passes of a follower with a byte budget: which pins are left to it, and which of those it holds it may let go of.
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::peers::{Members, SHARE, Sharing, Work};
use crate::model::{Cid, PeerId, Pin, PinType, Replication, TrackerStatus};
use crate::monitor::share::{Key, Offered};
use crate::store::ledger::{LedgerDb, Row};
use crate::task::{self, Fatal, Task};
use crate::tracker::{Share, Tracker, Wishes};

/// Pins or rows judged at once, some milliseconds.
const PAGE: usize = 500;
/// A pass is followed by so many times as long without one.
const REST: u32 = 9;

/// What passes are made over, and who is told.
#[derive(Clone)]
pub struct Args {
    /// This peer.
    pub own: PeerId,
    /// Its share.
    pub sharing: Arc<Sharing>,
    /// The followers that have a budget, too.
    pub members: Arc<Members>,
    /// The pinset.
    pub wishes: Arc<dyn Wishes>,
    /// What is held.
    pub ledger: Arc<LedgerDb>,
    /// Who takes up what is wanted by now.
    pub tracker: Tracker,
}

/// Starts to share.
pub fn spawn(args: Args) -> Task {
    Task::spawn(|stop| run(args, stop))
}

async fn run(args: Args, stop: CancellationToken) -> Result<(), Fatal> {
    let mut rounds = Rounds { pinset: args.wishes.changed(), ledger: args.tracker.news(), not_before: task::now() };
    loop {
        tokio::select! { biased;
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(args.sharing.beat() / 2) => (),
        }
        tokio::select! { biased;
            () = stop.cancelled() => return Ok(()),
            result = args.round(&mut rounds) => if let Err(error) = result {
                tracing::warn!(%error, "the share of this peer was not looked at: another try follows");
                args.sharing.failed();
            },
        }
    }
}

/// What changed since the last round.
struct Rounds {
    pinset: watch::Receiver<u64>,
    ledger: watch::Receiver<()>,
    /// No pass is made before.
    not_before: Instant,
}

impl Rounds {
    /// Returns whether the pinset changed, and whether the ledger did.
    fn changed(&mut self) -> (bool, bool) {
        let changed = (self.pinset.has_changed().unwrap_or(false), self.ledger.has_changed().unwrap_or(false));
        self.pinset.mark_unchanged();
        self.ledger.mark_unchanged();
        changed
    }
}

impl Args {
    async fn round(&self, rounds: &mut Rounds) -> Result<(), Fatal> {
        let now = task::wall();
        let told = self.members.metrics(SHARE, now);
        let work = self.sharing.hear(&told, rounds.changed(), now);
        let began = task::now();
        if began < rounds.not_before {
            return Ok(());
        }
        if work == Work::All {
            self.look_at_pins().await?;
        }
        if work != Work::Nothing {
            self.look_at_held().await?;
            let ended = task::now();
            rounds.not_before = ended + (ended - began).min(Duration::from_hours(1)) * REST;
        }
        Ok(())
    }

    /// Judges every pin on the terms of now, and sets the terms that follow from all of them.
    async fn look_at_pins(&self) -> Result<(), Fatal> {
        let (mut found, mut after) = (self.sharing.begin(), None);
        loop {
            let of = self.clone();
            let read = tokio::task::spawn_blocking(move || of.judge_pins(found, after.as_deref()));
            let (next, missing);
            (found, missing, next) = read.await??;
            self.look(missing).await?;
            if next.is_none() {
                break;
            }
            after = next;
        }
        self.sharing.end(found, task::wall());
        Ok(())
    }

    #[expect(clippy::type_complexity, reason = "the parts of a page")]
    fn judge_pins(
        &self,
        mut found: Offered,
        after: Option<&[u8]>,
    ) -> Result<(Offered, Vec<Cid>, Option<Vec<u8>>), Fatal> {
        let (pins, next) = self.wishes.page(after, PAGE)?;
        let mut missing = Vec::new();
        for pin in pins.iter().filter(|pin| is_content(pin)) {
            let key = Key::of_pin(&pin.cid);
            if pin.replication != Replication::Everywhere {
                if pin.allocations.contains(&self.own) {
                    found.add_named(key, held(self.ledger.get(&pin.cid)?.as_ref()));
                }
            } else if let Some(draw) = found.offer(key) {
                let row = self.ledger.get(&pin.cid)?;
                found.add(key, draw, held(row.as_ref()));
                if found.accepts(key, draw) && row.is_none_or(|row| row.status.is_leaving()) {
                    missing.push(pin.cid);
                }
            }
        }
        Ok((found, missing, next))
    }

    /// Lets go of what others are to hold, as far as it is time for that.
    async fn look_at_held(&self) -> Result<(), Fatal> {
        self.sharing.begin_held(task::wall());
        let (mut after, mut keeps) = (None, false);
        loop {
            let of = self.clone();
            let page = tokio::task::spawn_blocking(move || of.judge_held(after.as_ref())).await??;
            let Some((last, gone, kept)) = page else { break };
            self.look(gone).await?;
            (after, keeps) = (Some(last), keeps || kept);
        }
        self.sharing.end_held(keeps, task::wall());
        Ok(())
    }

    /// The last of a page of rows, those that are not to be here, and whether others are kept for now.
    fn judge_held(&self, after: Option<&Cid>) -> Result<Option<(Cid, Vec<Cid>, bool)>, Fatal> {
        let rows = self.ledger.page(after, PAGE)?;
        let Some((last, _)) = rows.last() else { return Ok(None) };
        let (mut gone, mut kept) = (Vec::new(), false);
        for (cid, row) in rows.iter().filter(|(_, row)| !row.status.is_leaving()) {
            let Some(pin) = self.wishes.pin(cid)? else { continue };
            if is_content(&pin) && pin.replication == Replication::Everywhere {
                if !self.sharing.takes(cid, row.asked) {
                    gone.push(*cid);
                } else if !self.sharing.takes(cid, false) {
                    kept = true;
                }
            }
        }
        Ok(Some((*last, gone, kept)))
    }

    async fn look(&self, cids: Vec<Cid>) -> Result<(), Fatal> {
        if !cids.is_empty() {
            self.tracker.look(cids).await?;
        }
        Ok(())
    }
}

fn is_content(pin: &Pin) -> bool {
    matches!(pin.kind, PinType::Data | PinType::ClusterDag | PinType::Shard)
}

/// The bytes of a pin that is here.
fn held(row: Option<&Row>) -> Option<u64> {
    row.filter(|row| row.status == TrackerStatus::Pinned).map(|row| row.bytes)
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;
