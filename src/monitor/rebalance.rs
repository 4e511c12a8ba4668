//! Which copies move from peers that hold too much to peers that have room. Pure, in one pass and in memory for the peers alone.
//!
//! What a peer has is its weight in the metric that the allocator tells peers apart by. A copy moves from a peer with less
//! than the mean to one with more, and takes neither over it. So both sides only come nearer: what is too much for one pin
//! stays so for it, the spread never grows, and a second run over what the first one left finds nothing to do.
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Candidate;
use crate::model::{PeerId, Pin, PinType, Replication, UnixMillis};

/// Two peers that are apart by less than one in so many of the mean stay as they are.
const SLACK: i128 = 20;

/// What a peer is to have counts for so long; by then its daemon has told it, and collected what it let go of.
const PROMISED: Duration = Duration::from_hours(24);

/// What a weight counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Bytes,
    Pins,
}

/// The metric of `allocate_by` that peers are balanced by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    name: String,
    level: usize,
    unit: Unit,
}

impl Measure {
    /// The first of the allocator's metrics that says how much a peer holds; [`None`] when no one does.
    #[must_use]
    pub fn of(allocate_by: &[String]) -> Option<Self> {
        let unit = |name: &str| match name {
            "freespace" | "reposize" => Some(Unit::Bytes),
            "numpin" => Some(Unit::Pins),
            _ => None,
        };
        let found = |(level, name): (usize, &String)| Some(Self { name: name.clone(), level, unit: unit(name)? });
        allocate_by.iter().enumerate().find_map(found)
    }

    /// Whether it counts bytes.
    #[must_use]
    pub fn is_of_bytes(&self) -> bool {
        self.unit == Unit::Bytes
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A peer that copies come from and go to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seat {
    /// What it says that it has.
    said: i128,
    /// What it had when the run began, with what was promised before.
    before: i128,
    /// What it has with the moves of the run.
    room: i128,
    /// The values of its tags, level by level.
    tags: Vec<String>,
}

/// One copy's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Who lets go of it.
    pub from: PeerId,
    /// Who is to have it.
    pub to: PeerId,
}

/// How crowded a pin's holders are: by level, the sum of the squares of how many are together.
type Crowding = Vec<u64>;

/// The peers, and what they have by the moves that were made.
#[derive(Clone, Debug)]
pub struct Plan {
    measure: Measure,
    seats: BTreeMap<PeerId, Seat>,
    /// Those with more than the mean, the most first.
    takers: BTreeSet<(Reverse<i128>, PeerId)>,
    mean: i128,
    slack: i128,
    /// Those who have the same tags, by these: for the tags of a pin's holders it is all one which of them has it.
    groups: BTreeMap<Vec<String>, Vec<PeerId>>,
    /// Levels of tags.
    levels: usize,
    /// Bytes that may move yet; [`None`]: as many as want to.
    left: Option<u64>,
}

impl Plan {
    /// A plan over those candidates that are fit, with what was promised to them and by them before.
    #[must_use]
    pub fn new(measure: Measure, candidates: &[Candidate], promises: &Promises, now: UnixMillis) -> Self {
        let seats = seats(&measure, candidates, promises, now);
        let mean = seats.values().map(|seat| seat.room).sum::<i128>().div_euclid(seats.len().max(1) as i128);
        let levels = seats.values().map(|seat| seat.tags.len()).max().unwrap_or(0);
        let takers = seats.iter().filter(|(_, seat)| seat.room > mean).map(|(peer, seat)| (Reverse(seat.room), *peer));
        let mut groups: BTreeMap<Vec<String>, Vec<PeerId>> = BTreeMap::new();
        for (peer, seat) in &seats {
            groups.entry(seat.tags.clone()).or_default().push(*peer);
        }
        let slack = (mean.abs() / SLACK).max(1);
        Self { takers: takers.collect(), mean, slack, groups, levels, left: None, measure, seats }
    }

    /// The same that moves at most so many bytes.
    #[must_use]
    pub fn within(self, max_bytes: Option<u64>) -> Self {
        Self { left: max_bytes, ..self }
    }

    /// Whether so many bytes may move yet.
    #[must_use]
    pub fn affords(&self, bytes: u64) -> bool {
        self.left.is_none_or(|left| bytes <= left)
    }

    /// What peers are balanced by.
    #[must_use]
    pub const fn measure(&self) -> &Measure {
        &self.measure
    }

    /// The peers: what each had before, and what it has by the moves that were made.
    pub fn seats(&self) -> impl Iterator<Item = (&PeerId, i128, i128)> {
        self.seats.iter().map(|(peer, seat)| (peer, seat.before, seat.room))
    }

    /// Whether there may be pins on more than one side of a tag: then those that are crowded go first.
    #[must_use]
    pub fn has_tags(&self) -> bool {
        self.groups.len() > 1
    }

    /// The peers that have too little: only their pins can move.
    #[must_use]
    pub fn givers(&self) -> Vec<PeerId> {
        let Some((Reverse(most), _)) = self.takers.first() else { return Vec::new() };
        let gives = |seat: &Seat| seat.room < self.mean && most - seat.room > self.slack;
        self.seats.iter().filter(|(_, seat)| gives(seat)).map(|(peer, _)| *peer).collect()
    }

    /// Whether other holders would spread a pin better over the tags, whatever they have.
    #[must_use]
    pub fn is_crowded(&self, pin: &Pin) -> bool {
        let now = self.crowding(pin.allocations.iter());
        let other = |group: &'_ Vec<PeerId>| group.iter().find(|peer| !pin.allocations.contains(peer)).copied();
        let others: Vec<PeerId> = self.groups.values().filter_map(other).collect();
        let is_better = |from: &PeerId| others.iter().any(|to| self.crowding_after(pin, from, to) < now);
        pin.allocations.iter().filter(|peer| self.seats.contains_key(peer)).any(is_better)
    }

    /// The next move of a pin of so many bytes; [`None`] when it stays where it is.
    ///
    /// From the peer with least to the one with most, but first where the holders are spread better over the tags by it;
    /// never where they are spread worse. A pin that has fewer than its minimum among the peers is left to repair.
    #[must_use]
    pub fn next(&self, pin: &Pin, bytes: u64) -> Option<Move> {
        let Replication::Between { min, .. } = pin.replication else { return None };
        let seated = pin.allocations.iter().filter(|peer| self.seats.contains_key(peer)).count();
        if pin.kind != PinType::Data || seated < usize::try_from(min).unwrap_or(usize::MAX) {
            return None;
        }
        let now = self.crowding(pin.allocations.iter());
        let better = |(from, to)| {
            let after = self.crowding_after(pin, from, to);
            (after <= now).then_some((after, Move { from: *from, to: *to }))
        };
        // The first of the best: the pairs come in their order.
        self.pairs(pin, self.size(bytes)).filter_map(better).min_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, next)| next)
    }

    /// A move was made.
    pub fn made(&mut self, Move { from, to }: &Move, bytes: u64) {
        let size = self.size(bytes);
        self.left = self.left.map(|left| left.saturating_sub(bytes));
        for (peer, change) in [(from, size), (to, -size)] {
            let Some(seat) = self.seats.get_mut(peer) else { continue };
            self.takers.remove(&(Reverse(seat.room), *peer));
            seat.room += change;
            if seat.room > self.mean {
                self.takers.insert((Reverse(seat.room), *peer));
            }
        }
    }

    /// Remembers what a peer is to have by the moves that were made.
    pub fn promise(&self, peer: &PeerId, promises: &mut Promises, now: UnixMillis) {
        if let Some(seat) = self.seats.get(peer) {
            let promise = Promise { due: seat.room, rises: seat.room > seat.said, until: now.plus(PROMISED) };
            promises.0.insert(*peer, promise);
        }
    }

    fn size(&self, bytes: u64) -> i128 {
        match self.measure.unit {
            Unit::Bytes => i128::from(bytes.max(1)),
            Unit::Pins => 1,
        }
    }

    /// From whom and to whom a copy of that size may move, from least to most first, of those with the same tags only one.
    fn pairs<'a>(&'a self, pin: &'a Pin, size: i128) -> impl Iterator<Item = (&'a PeerId, &'a PeerId)> {
        let giver = move |peer: &'a PeerId| {
            let seat = self.seats.get(peer)?;
            (seat.room + size <= self.mean).then_some((seat.room, peer))
        };
        let mut givers: Vec<(i128, &PeerId)> = pin.allocations.iter().filter_map(giver).collect();
        givers.sort_unstable();
        givers.into_iter().flat_map(move |(room, from)| {
            let fits = move |most: i128| most - size >= self.mean && most - room > self.slack;
            let takers = self.takers.iter().take_while(move |(Reverse(most), _)| fits(*most)).map(|(_, peer)| peer);
            let mut seen = BTreeSet::new();
            let is_new = move |peer: &&PeerId| seen.insert(self.seats.get(peer).map(|seat| &seat.tags));
            let takers = takers.filter(|peer| !pin.allocations.contains(peer)).filter(is_new).take(self.groups.len());
            takers.map(move |to| (from, to))
        })
    }

    fn crowding_after(&self, pin: &Pin, from: &PeerId, to: &PeerId) -> Crowding {
        self.crowding(pin.allocations.iter().filter(|peer| *peer != from).chain([to]))
    }

    fn crowding<'a>(&self, holders: impl Iterator<Item = &'a PeerId>) -> Crowding {
        if self.levels == 0 {
            return Crowding::new();
        }
        let tags: Vec<&[String]> = holders.filter_map(|peer| Some(&self.seats.get(peer)?.tags[..])).collect();
        let together = |level: usize| {
            let mut counts: BTreeMap<&[String], u64> = BTreeMap::new();
            for tags in &tags {
                *counts.entry(tags.get(..=level).unwrap_or(tags)).or_default() += 1;
            }
            counts.values().map(|count| count * count).sum()
        };
        (0..self.levels).map(together).collect()
    }
}

/// The fit ones of these candidates, with what they have.
fn seats(measure: &Measure, candidates: &[Candidate], promises: &Promises, now: UnixMillis) -> BTreeMap<PeerId, Seat> {
    let seat = |candidate: &Candidate| {
        let (peer, scores) = (*candidate.peer(), candidate.scores()?);
        let said = i128::from(scores.get(measure.level)?.weight);
        let before = promises.expected(&peer, said, now);
        let tags = scores.iter().filter(|score| score.partitionable).map(|score| score.value.clone()).collect();
        Some((peer, Seat { said, before, room: before, tags }))
    };
    candidates.iter().filter_map(seat).collect()
}

/// What peers are to have once what was moved has come to them, or was let go of: they say so only then.
#[derive(Clone, Debug, Default)]
pub struct Promises(BTreeMap<PeerId, Promise>);

#[derive(Clone, Copy, Debug)]
struct Promise {
    due: i128,
    /// Whether it is to have more than it said.
    rises: bool,
    until: UnixMillis,
}

impl Promises {
    /// What a peer has that says that it has `said`.
    fn expected(&self, peer: &PeerId, said: i128, now: UnixMillis) -> i128 {
        match self.0.get(peer) {
            Some(promise) if now < promise.until && promise.rises => said.max(promise.due),
            Some(promise) if now < promise.until => said.min(promise.due),
            Some(_) | None => said,
        }
    }
}

#[cfg(test)]
#[path = "rebalance_tests.rs"]
mod tests;
