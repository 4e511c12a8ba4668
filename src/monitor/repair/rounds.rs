//! When the pinset is looked through, and how fast pins are given new holders.
use std::collections::BTreeSet;
use std::time::Duration;

use super::census::Census;
use crate::model::{PeerId, UnixMillis};

/// By so much two clocks may part between two looks, in milliseconds: a clock that is slewed stays far below.
const JUMP: u64 = 5_000;

/// Pins that could not be repaired, or that another peer was to repair, are looked at again after this long.
const AGAIN: Duration = Duration::from_hours(1);

/// While a peer leaves, the next round comes this long after the first, and then twice as long after each, up to [`AGAIN`]:
/// for pins that were given to it by peers that did not know yet, and for peers that do not do their part.
const LEAVING_AGAIN: Duration = Duration::from_mins(1);

/// A peer that is back is as new only so long after a round: one that comes and goes all the time costs a scan now and then.
const BACK_AFTER: Duration = Duration::from_secs(10);

/// Since when this peer has listened to the others without a break.
///
/// A machine that slept, or whose clock was set, finds everybody's metrics expired: that says nothing about the others.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    began: UnixMillis,
    last: (UnixMillis, u64),
}

impl Listening {
    /// Begins now: on the wall clock, and in milliseconds of the monotonic one.
    #[must_use]
    pub const fn new(wall: UnixMillis, mono: u64) -> Self {
        Self { began: wall, last: (wall, mono) }
    }

    /// Returns since when; it begins anew when the two clocks went on by different times since the last question.
    pub fn since(&mut self, wall: UnixMillis, mono: u64) -> UnixMillis {
        let (last_wall, last_mono) = self.last;
        let went_on = i64::try_from(mono.saturating_sub(last_mono)).unwrap_or(i64::MAX);
        if wall.0.saturating_sub(last_wall.0).abs_diff(went_on) > JUMP {
            self.began = wall;
        }
        self.last = (wall, mono);
        self.began
    }
}

/// When the pinset is looked through for pins that have too few holders.
///
/// Once after the start, for what happened meanwhile; whenever a peer is found gone; an hour after a round that left
/// something undone, or as soon as there are more members; and again and again while a peer leaves.
#[derive(Clone, Debug, Default)]
pub struct Rounds {
    last: Option<Round>,
}

#[derive(Clone, Debug)]
struct Round {
    /// The peers that were gone, and have not come back since.
    gone: BTreeSet<PeerId>,
    members: usize,
    was_young: bool,
    ended: UnixMillis,
    undone: u64,
    /// How many rounds there were for these peers, but for the first.
    again: usize,
}

impl Rounds {
    /// Returns whether a round is due.
    #[must_use]
    pub fn is_due(&mut self, census: &Census, now: UnixMillis) -> bool {
        let Some(last) = &mut self.last else {
            // Peers that leave say so themselves: nobody has to be waited for.
            return !census.is_young || !census.gone.is_empty();
        };
        if now >= last.ended.plus(BACK_AFTER) {
            last.gone.retain(|peer| !census.here.contains(peer));
        }
        let is_left = last.undone > 0 && (now >= last.ended.plus(AGAIN) || census.here.len() > last.members);
        let is_leaving = !census.leaving.is_empty() && now >= last.ended.plus(last.pause());
        !last.is_of(census) || is_leaving || (!census.is_young && (last.was_young || is_left))
    }

    /// Returns how many peers this one waits for in the round that begins: one more each time, should the first not act.
    #[must_use]
    pub fn patience(&self, census: &Census) -> usize {
        self.last.as_ref().filter(|last| last.is_of(census)).map_or(0, |last| last.again + 1)
    }

    /// A round ended with so many pins that still have too few holders.
    pub fn end(&mut self, census: &Census, undone: u64, now: UnixMillis) {
        let again = self.patience(census);
        let (members, was_young) = (census.here.len(), census.is_young);
        self.last = Some(Round { gone: census.gone.clone(), members, was_young, ended: now, undone, again });
    }
}

impl Round {
    fn is_of(&self, census: &Census) -> bool {
        census.gone.iter().all(|peer| self.gone.contains(peer))
    }

    /// How long after it the next one comes while a peer leaves.
    fn pause(&self) -> Duration {
        let doubled = u32::try_from(self.again).ok().and_then(|again| 2_u32.checked_pow(again));
        doubled.map_or(AGAIN, |times| LEAVING_AGAIN.saturating_mul(times).min(AGAIN))
    }
}

/// Holds the bytes a second that repairs make IPFS daemons fetch.
#[derive(Clone, Debug)]
pub struct Brake {
    /// Bytes a second; zero: no limit.
    rate: u64,
    /// Until when what was let go is paid, in milliseconds of the monotonic clock.
    busy_until: u64,
}

impl Brake {
    /// A brake that holds nothing yet.
    #[must_use]
    pub const fn new(rate: u64) -> Self {
        Self { rate, busy_until: 0 }
    }

    /// Returns how long the next pin has to wait, whatever its size: until those before it are paid.
    #[must_use]
    pub const fn wait(&self, now: u64) -> Duration {
        Duration::from_millis(self.busy_until.saturating_sub(now))
    }

    /// A pin of so many bytes was let go.
    pub fn pay(&mut self, bytes: u64, now: u64) {
        if let Some(millis) = bytes.saturating_mul(1000).checked_div(self.rate) {
            self.busy_until = self.busy_until.max(now).saturating_add(millis);
        }
    }
}
