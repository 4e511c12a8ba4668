//! The share of this peer, when it has a byte budget: who asks, and who is told.
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;

use crate::model::{Cid, Metric, PeerId, UnixMillis};
use crate::monitor::share::{Key, Offered, Purse, Sharer, Terms};
use crate::store::StoreError;
use crate::store::ledger::LedgerDb;
use crate::tracker::Share;

/// The metric in which a follower with a budget says what it takes.
pub const SHARE: &str = "share";

/// Rows read at once at the start.
const PAGE: usize = 1_024;

/// A follower's share, and what it has spent of its budget.
///
/// The lock is held for some microseconds, never across an await.
pub struct Sharing {
    beat: Duration,
    state: Mutex<State>,
    terms: watch::Sender<Option<Terms>>,
}

struct State {
    sharer: Sharer,
    purse: Purse,
    /// Whether a pass over the pinset may find something new.
    is_dirty: bool,
    /// After how many commits of the ledger what is held is another than at the last pass: what was noted while one was
    /// being written is in the one after it.
    moved: u8,
}

/// How much of a budget is spent, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    /// The budget.
    pub max: u64,
    /// Bytes of pins that are here.
    pub held: u64,
    /// Bytes that transfers which run may still fetch.
    pub reserved: u64,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Nothing.
    Nothing,
    /// A pass over what is held.
    Held,
    /// A pass over the pinset, then one over what is held.
    All,
}

impl Sharing {
    /// The share of a peer that starts at `now`, with what its ledger says that it holds.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn open(
        own: &PeerId,
        (budget, copies): (u64, usize),
        beat: Duration,
        ledger: &LedgerDb,
        now: UnixMillis,
    ) -> Result<Self, StoreError> {
        let mut purse = Purse::new(budget);
        let mut after = None;
        loop {
            let rows = ledger.page(after.as_ref(), PAGE)?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(*last);
            for (cid, row) in rows.iter().filter(|(_, row)| row.asked) {
                purse.count(cid, 0, row.bytes);
            }
        }
        let sharer = Sharer::new(own, (budget, copies), beat, now);
        let state = State { sharer, purse, is_dirty: true, moved: 0 };
        Ok(Self { beat, state: Mutex::new(state), terms: watch::Sender::new(None) })
    }

    /// What the periods of sharing are multiples of.
    pub fn beat(&self) -> Duration {
        self.beat
    }

    /// What is told to the others.
    pub fn terms(&self) -> watch::Receiver<Option<Terms>> {
        self.terms.subscribe()
    }

    /// How much is spent.
    pub fn spending(&self) -> Spending {
        let state = self.lock();
        Spending { max: state.purse.budget(), held: state.purse.held(), reserved: state.purse.reserved() }
    }

    /// Takes what all followers with a budget told; `is_changed` when the pinset is another one, `is_committed` when the
    /// ledger is.
    pub fn hear(&self, told: &[Metric], (is_changed, is_committed): (bool, bool), now: UnixMillis) -> Work {
        let mut state = self.lock();
        let others = told.iter().filter_map(|metric| Some((metric.peer, Terms::parse(metric.weight, &metric.value)?)));
        let is_news = state.sharer.hear(others, now);
        state.is_dirty |= is_news || is_changed;
        if is_committed && state.moved > 0 {
            state.moved -= 1;
            state.is_dirty = true;
        }
        if state.purse.held().saturating_add(state.purse.reserved()) > state.purse.budget() {
            // It was given a smaller budget.
            state.sharer.press();
        }
        let work = match (state.is_dirty, state.sharer.keeps()) {
            (true, _) => Work::All,
            (false, true) => Work::Held,
            (false, false) => Work::Nothing,
        };
        drop(state);
        self.tell();
        work
    }

    /// Begins a pass over the pinset.
    pub fn begin(&self) -> Offered {
        let mut state = self.lock();
        state.is_dirty = false;
        state.sharer.begin()
    }

    /// Ends it.
    pub fn end(&self, found: Offered, now: UnixMillis) {
        let mut state = self.lock();
        state.is_dirty |= state.sharer.end(found, now, rand::random());
        drop(state);
        self.tell();
    }

    /// A pass failed: another one is made.
    pub fn failed(&self) {
        self.lock().is_dirty = true;
    }

    /// Begins a pass over what is held.
    pub fn begin_held(&self, now: UnixMillis) {
        self.lock().sharer.begin_held(now);
    }

    /// Ends it; `keeps` says whether anything is kept that others are to hold.
    pub fn end_held(&self, keeps: bool, now: UnixMillis) {
        self.lock().sharer.end_held(keeps, now);
    }

    fn tell(&self) {
        let terms = self.lock().sharer.terms().cloned();
        self.terms.send_if_modified(|told| {
            let is_news = *told != terms;
            *told = terms;
            is_news
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the share")
    }
}

impl Share for Sharing {
    fn takes(&self, cid: &Cid, is_held: bool) -> bool {
        self.lock().sharer.takes(Key::of_pin(cid), is_held)
    }

    fn reserve(&self, cid: &Cid, bytes: u64, counted: u64) -> bool {
        let mut state = self.lock();
        // One that turned out larger than was told has a size that nobody knows yet: twice as much bounds the tries.
        let is_growing = state.purse.is_open(cid);
        let has_room = state.purse.reserve(*cid, bytes, counted);
        if !has_room {
            let least = if is_growing { bytes.saturating_mul(2) } else { bytes };
            state.sharer.learn(Key::of_pin(cid), least);
            state.is_dirty = true;
        }
        has_room
    }

    fn close(&self, cid: &Cid) {
        self.lock().purse.close(cid);
    }

    fn count(&self, cid: &Cid, before: u64, after: u64) {
        let mut state = self.lock();
        state.purse.count(cid, before, after);
        if before != after {
            state.moved = 2;
        }
    }

    fn refusal(&self, cid: &Cid) -> Option<String> {
        let state = self.lock();
        let bytes = state.sharer.learned(Key::of_pin(cid))?;
        let max = state.purse.budget();
        Some(format!("its {bytes} bytes did not fit into what is left of follower.max_bytes ({max})"))
    }
}

/// As the tracker takes it.
pub fn as_share(sharing: Option<&Arc<Sharing>>) -> Option<Arc<dyn Share>> {
    sharing.map(|sharing| sharing.clone() as Arc<dyn Share>)
}
