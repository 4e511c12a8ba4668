//! One simulated follower: what its tracker and its daemon would do.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::{Key, Purse, Sharer, Terms};
use crate::model::{Cid, PeerId, UnixMillis};

/// The interval of pings.
pub const BEAT: Duration = Duration::from_secs(15);
/// Transfers at one time.
const TRANSFERS: usize = 4;

/// A pin and its size, which a follower knows only when it asks its daemon.
pub struct Pin {
    pub cid: Cid,
    pub key: Key,
    pub bytes: u64,
}

/// A follower.
pub struct Node {
    pub peer: PeerId,
    pub is_away: bool,
    pub sharer: Sharer,
    pub purse: Purse,
    copies: usize,
    pins: Arc<Vec<Pin>>,
    /// Places of pins that its daemon holds.
    pub held: BTreeSet<usize>,
    /// Those that it lets go of; the bytes are free when it has.
    going: BTreeSet<usize>,
    /// What it wants, and does not have.
    queue: Vec<usize>,
    /// What it fetches, and how much of that it has.
    pub transfers: BTreeMap<usize, u64>,
    /// All that it ever fetched.
    pub fetched: u64,
    pub is_dirty: bool,
}

impl Node {
    pub fn new(peer: PeerId, (budget, copies): (u64, usize), pins: &Arc<Vec<Pin>>, now: UnixMillis) -> Self {
        Self {
            peer,
            is_away: false,
            sharer: Sharer::new(&peer, (budget, copies), BEAT, now),
            purse: Purse::new(budget),
            copies,
            pins: pins.clone(),
            held: BTreeSet::new(),
            going: BTreeSet::new(),
            queue: Vec::new(),
            transfers: BTreeMap::new(),
            fetched: 0,
            is_dirty: true,
        }
    }

    /// The process is killed.
    pub fn leave(&mut self) {
        self.is_away = true;
        self.queue.clear();
        self.transfers.clear();
    }

    /// It starts again, with what its disk has.
    pub fn return_at(&mut self, now: UnixMillis) {
        (self.is_away, self.is_dirty) = (false, true);
        let budget = self.purse.budget();
        self.sharer = Sharer::new(&self.peer, (budget, self.copies), BEAT, now);
        self.purse = Purse::new(budget);
        for pin in self.held.union(&self.going) {
            self.purse.count(&self.pins[*pin].cid, 0, self.pins[*pin].bytes);
        }
    }

    /// Takes what the others said.
    pub fn hear(&mut self, others: impl IntoIterator<Item = (PeerId, Terms)>, now: UnixMillis) {
        self.is_dirty |= self.sharer.hear(others, now);
    }

    /// The loop over the pinset, and over what is held.
    pub fn pass(&mut self, now: UnixMillis, jitter: u8) {
        if !std::mem::take(&mut self.is_dirty) {
            if self.sharer.keeps() {
                self.judge_held(now);
            }
            return;
        }
        let (pins, mut found) = (self.pins.clone(), self.sharer.begin());
        self.queue.clear();
        for (at, Pin { key, bytes, .. }) in pins.iter().enumerate() {
            if let Some(draw) = found.offer(*key) {
                let held = self.held.contains(&at).then_some(*bytes);
                found.add(*key, draw, held);
                if held.is_none() && found.accepts(*key, draw) && !self.transfers.contains_key(&at) {
                    self.queue.push(at);
                }
            }
        }
        self.is_dirty = self.sharer.end(found, now, jitter);
        self.judge_held(now);
    }

    fn judge_held(&mut self, now: UnixMillis) {
        self.sharer.begin_held(now);
        let mut keeps = false;
        for at in std::mem::take(&mut self.held) {
            let key = self.pins[at].key;
            if self.sharer.takes(key, true) {
                keeps |= !self.sharer.takes(key, false);
                self.held.insert(at);
            } else {
                self.going.insert(at);
            }
        }
        let sharer = &self.sharer;
        let dropped: Vec<usize> =
            self.transfers.keys().copied().filter(|at| !sharer.takes(self.pins[*at].key, true)).collect();
        for at in dropped {
            self.transfers.remove(&at);
            self.purse.close(&self.pins[at].cid);
        }
        self.sharer.end_held(keeps, now);
    }

    /// What the daemon does between two beats.
    pub fn work(&mut self) {
        let pins = self.pins.clone();
        for at in std::mem::take(&mut self.going) {
            self.purse.count(&pins[at].cid, pins[at].bytes, 0);
        }
        self.begin_transfers(&pins);
        let each = (self.purse.budget() / 20 / TRANSFERS as u64).max(1);
        for (at, done) in std::mem::take(&mut self.transfers) {
            let now = (done + each).min(pins[at].bytes);
            self.fetched += now - done;
            if now < pins[at].bytes {
                self.transfers.insert(at, now);
            } else {
                self.purse.count(&pins[at].cid, 0, now);
                self.purse.close(&pins[at].cid);
                self.held.insert(at);
                self.is_dirty = true;
            }
        }
    }

    fn begin_transfers(&mut self, pins: &[Pin]) {
        let mut later = Vec::new();
        while self.transfers.len() < TRANSFERS
            && let Some(at) = self.queue.pop()
        {
            let Pin { cid, key, bytes } = &pins[at];
            if self.sharer.takes(*key, false) {
                if self.purse.reserve(*cid, *bytes, 0) {
                    self.transfers.insert(at, 0);
                } else {
                    self.sharer.learn(*key, *bytes);
                    self.is_dirty = true;
                    later.push(at);
                }
            }
        }
        self.queue.extend(later);
    }

    /// Bytes that are on its disk, and those that it let itself in for.
    pub fn check(&self) {
        let bytes = |at: &usize| self.pins[*at].bytes;
        let disk: u64 =
            self.held.iter().chain(&self.going).map(bytes).sum::<u64>() + self.transfers.values().sum::<u64>();
        let spent = self.purse.held() + self.purse.reserved();
        assert!(disk <= spent && spent <= self.purse.budget(), "{disk} {spent} of {}", self.purse.budget());
    }
}
