//! A follower with a budget: what it takes, what it keeps for a while, and what it tells.
use std::collections::BTreeMap;
use std::time::Duration;

use super::circle::Circle;
use super::control::Control;
use super::key::Key;
use super::offers::{Offer, Offers};
use super::terms::Terms;
use crate::model::{PeerId, UnixMillis};

/// After so many beats a follower that starts has heard of all the others; before, it takes and lets go of nothing.
const LISTEN: u32 = 3;
/// Beats between two steps up.
const WAIT: u32 = 2;
/// What others are to hold now is kept until nothing has changed for so many beats, so that they have it by then,
const CALM: u32 = 20;
/// or until it has been kept for so many, or until its room is needed.
const KEPT: u32 = 120;
/// Sizes that are remembered of pins that are not held.
const SIZES_MAX: usize = 4_096;
/// The size of a pin as long as none is known.
const GUESS: u64 = 1 << 20;
/// A pin of unknown size is never taken for more than this part of the budget: it is always worth to ask.
const GUESS_PART: u64 = 32;

/// A follower with a budget; the pinset and the pins it holds are told to it in passes.
///
/// A *beat* is what the periods are multiples of: the interval of pings.
#[derive(Clone, Debug)]
pub struct Sharer {
    circle: Circle,
    control: Control,
    beat: Duration,
    began: UnixMillis,
    is_listening: bool,
    /// When what this follower takes last changed.
    changed: UnixMillis,
    /// Since when it keeps something that others are to hold.
    kept_since: Option<UnixMillis>,
    is_pressed: bool,
    lets_go: bool,
    /// Sizes that were learned of pins for which there was no room, by key.
    sizes: BTreeMap<Key, u64>,
    /// What a pin of unknown size is taken for.
    guess: u64,
}

/// What a pass over the pinset finds for a follower.
#[derive(Clone, Debug)]
pub struct Offered {
    circle: Circle,
    offers: Offers,
    sizes: BTreeMap<Key, u64>,
    guess: u64,
    named: u64,
    /// Sizes that are known, and how many.
    known: (u64, u64),
}

impl Sharer {
    /// A follower that starts at `now`, and takes nothing yet.
    #[must_use]
    pub fn new(own: &PeerId, (budget, copies): (u64, usize), beat: Duration, now: UnixMillis) -> Self {
        Self {
            circle: Circle::new(Key::of_peer(own), Terms::none(budget), copies),
            control: Control::new(beat * WAIT),
            beat,
            began: now,
            is_listening: true,
            changed: now,
            kept_since: None,
            is_pressed: false,
            lets_go: false,
            sizes: BTreeMap::new(),
            guess: guess(GUESS, budget),
        }
    }

    /// Takes what all followers with a budget say now; returns whether that is news.
    pub fn hear(&mut self, others: impl IntoIterator<Item = (PeerId, Terms)>, now: UnixMillis) -> bool {
        let was_listening = std::mem::replace(&mut self.is_listening, now < self.began.plus(self.beat * LISTEN));
        let is_news = self.circle.hear(others.into_iter().map(|(peer, terms)| (Key::of_peer(&peer), terms)));
        if is_news {
            self.settle(now);
        }
        is_news || was_listening != self.is_listening
    }

    /// Returns what this follower tells, unless it only listens.
    #[must_use]
    pub fn terms(&self) -> Option<&Terms> {
        Some(self.circle.own()).filter(|_| !self.is_listening)
    }

    /// Returns whether a pin that is for everybody is to be here, which it `is_held` already or is not.
    #[must_use]
    pub fn takes(&self, pin: Key, is_held: bool) -> bool {
        let keeps = is_held && (self.is_listening || !self.lets_go);
        keeps || (!self.is_listening && self.circle.is_own(pin))
    }

    /// There was no room for a pin of so many bytes: now that its size is known, the next pass judges it by that.
    pub fn learn(&mut self, pin: Key, bytes: u64) {
        if self.sizes.len() >= SIZES_MAX && !self.sizes.contains_key(&pin) {
            self.sizes.pop_first();
        }
        self.sizes.insert(pin, bytes);
        self.press();
    }

    /// Room is needed: what is kept for others goes with the next pass over what is held.
    pub fn press(&mut self) {
        self.is_pressed = true;
    }

    /// Returns the size of a pin for which there was no room.
    #[must_use]
    pub fn learned(&self, pin: Key) -> Option<u64> {
        self.sizes.get(&pin).copied()
    }

    /// Begins a pass over the pinset.
    #[must_use]
    pub fn begin(&self) -> Offered {
        let offers = Offers::new(self.circle.own());
        Offered {
            circle: self.circle.clone(),
            offers,
            sizes: self.sizes.clone(),
            guess: self.guess,
            named: 0,
            known: (0, 0),
        }
    }

    /// Takes what a pass found; returns whether another one is to follow though nothing else changes.
    pub fn end(&mut self, mut found: Offered, now: UnixMillis, jitter: u8) -> bool {
        let mean = found.known.0.checked_div(found.known.1).unwrap_or(self.guess);
        self.guess = guess(mean, self.circle.own().budget);
        if self.is_listening {
            return true;
        }
        let new = self.control.judge(self.circle.own(), (found.named, &mut found.offers), (now, jitter));
        if let Some(new) = new {
            self.circle.set_own(new);
            self.settle(now);
        }
        self.control.is_waiting(now)
    }

    /// Returns whether something may be let go of when time has passed.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.is_pressed || self.kept_since.is_some()
    }

    /// Begins a pass over the pins that are held: from now on [`Sharer::takes`] says no to those that others have had
    /// the time to take, if it is time for that.
    pub fn begin_held(&mut self, now: UnixMillis) {
        let since = |moment: UnixMillis, beats: u32| now >= moment.plus(self.beat * beats);
        let is_long = self.kept_since.is_some_and(|kept| since(kept, KEPT));
        self.lets_go = !self.is_listening && (self.is_pressed || is_long || since(self.changed, CALM));
    }

    /// Ends it; `keeps` says whether anything is kept that others are to hold.
    pub fn end_held(&mut self, keeps: bool, now: UnixMillis) {
        if self.lets_go {
            (self.is_pressed, self.kept_since) = (false, None);
        } else if keeps {
            self.kept_since.get_or_insert(now);
        } else {
            self.kept_since = None;
        }
    }

    fn settle(&mut self, now: UnixMillis) {
        (self.changed, self.lets_go) = (now, false);
    }
}

fn guess(bytes: u64, budget: u64) -> u64 {
    bytes.min(budget / GUESS_PART).max(1)
}

impl Offered {
    /// Returns whether the others leave a copy of a pin that is for everybody: then its size is asked for.
    #[must_use]
    pub fn offer(&self, pin: Key) -> Option<u64> {
        self.circle.offer(pin)
    }

    /// Returns whether a pin of that number is taken on the terms that the pass began with.
    #[must_use]
    pub fn accepts(&self, pin: Key, draw: u64) -> bool {
        self.circle.own().accepts(draw, pin)
    }

    /// Adds a pin that is offered: bytes of it that are held, if it is.
    pub fn add(&mut self, pin: Key, draw: u64, held: Option<u64>) {
        let bytes = self.size(pin, held);
        let missing = if held.is_some() { 0 } else { bytes };
        self.offers.add(Offer { draw, bytes, missing, pin: pin.short() });
    }

    /// Adds a pin that is this follower's by name.
    pub fn add_named(&mut self, pin: Key, held: Option<u64>) {
        self.named = self.named.saturating_add(self.size(pin, held));
    }

    fn size(&mut self, pin: Key, held: Option<u64>) -> u64 {
        let known = held.filter(|bytes| *bytes > 0).or_else(|| self.sizes.get(&pin).copied());
        if let Some(bytes) = known {
            self.known = (self.known.0.saturating_add(bytes), self.known.1 + 1);
        }
        known.unwrap_or(self.guess)
    }
}
