//! Fetches a snapshot from those who lend it, several at once, and believes it when a peer that we trust attests the clock and
//! the digest that all its frames together have.
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::believe::{Belief, believe};
use super::lender::{Heal, IDLE, Lender, Offer, Places, Wanted, hashes, is_useful, remember};
use super::verify::{Reading, Verdict};
use crate::crdt::automerge::formats::clock::Hash;
use crate::crdt::automerge::formats::snapshot::frame;
use crate::crdt::automerge::formats::snapshot::lend::{Ask, Gathering, Lent, Piece, WINDOW};
use crate::crdt::automerge::formats::snapshot::manifest::Manifest;
use crate::crdt::automerge::merge::Merge;
use crate::crdt::automerge::tables::join::Believed;
use crate::crdt::automerge::tables::shelf;
use crate::crdt::{Notice, Now, Rows, RowsError, Sending, Talk};
use crate::model::PeerId;

/// Peers that lend to us at once: enough to fill a line, few enough to leave others a place.
const LENDERS_MAX: usize = 3;

/// A lender that has no place now is asked again after so long at the least, in milliseconds.
const LATER_MIN: u64 = 1_000;

/// Who lent us what was no snapshot is not asked again for so long, in milliseconds: a day.
const LIAR_WAIT: u64 = 24 * 60 * 60 * 1000;

/// A stream that ended is opened again after so long, in milliseconds.
const AGAIN: u64 = 1_000;

/// Joins because a digest differs happen once in so long with one peer, in milliseconds.
const HEAL_WAIT: u64 = 60_000;

/// Frames that one step copies from a snapshot that is here already.
const COPIES_MAX: usize = 16;

/// A pinset that is empty takes a snapshot of more pins than this instead of the log: it is faster.
const LOG_PINS_MAX: u64 = 20_000;

/// The fetching of snapshots.
pub struct Fetch {
    epoch: u32,
    cluster_name: String,
    wanted: Option<Wanted>,
    lenders: BTreeMap<PeerId, Lender>,
    /// Who may lend, and from when on it may be asked, in milliseconds of the monotonic clock.
    offers: BTreeMap<PeerId, u64>,
    /// Who was asked to help with what is on its way in.
    asked_for_help: BTreeSet<PeerId>,
    liars: BTreeMap<PeerId, u64>,
    heal: Option<Heal>,
    healed: BTreeMap<PeerId, u64>,
    /// A join of a snapshot that this peer lent is under way.
    giver: Option<PeerId>,
}

impl Fetch {
    /// Goes on with what a stop or a crash interrupted.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn open(epoch: u32, cluster_name: String, merge: &Merge, rows: &mut dyn Rows) -> Result<Self, RowsError> {
        let mut fetch = Self {
            epoch,
            cluster_name,
            wanted: None,
            lenders: BTreeMap::new(),
            offers: BTreeMap::new(),
            asked_for_help: BTreeSet::new(),
            liars: BTreeMap::new(),
            heal: None,
            healed: BTreeMap::new(),
            giver: None,
        };
        let incoming = merge.state.shelf.incoming().filter(|_| merge.state.joining.is_none());
        if let Some(generation) = incoming
            && let Some(manifest) = shelf::manifest(generation, rows)?
            && let Ok(belief) = believe(&manifest, epoch, &fetch.cluster_name, |peer| merge.trusts(peer))
        {
            let there = shelf::places(generation, rows)?;
            let mut wanted = Wanted::new(generation, manifest.core, belief, None, false);
            wanted.missing.retain(|place| !there.contains(place));
            fetch.wanted = Some(wanted);
        }
        Ok(fetch)
    }

    /// `peer` says which snapshots it lends; `must` when its log does not reach for us. Returns whether one is fetched.
    pub fn offer(&mut self, peer: PeerId, offers: &[Offer], must: bool, merge: &Merge, now: Now) -> bool {
        let is_new = merge.state.counters.pins == 0 && merge.state.clock.rows().next().is_none();
        let is_wanted = |offer: &Offer| (must || (is_new && offer.pins > LOG_PINS_MAX)) && merge.trusts(&offer.by);
        if !offers.iter().any(is_wanted) || self.is_liar(&peer, now) || merge.state.joining.is_some() {
            return false;
        }
        self.add_offer(peer, now.mono);
        true
    }

    /// The state of `heal.peer` is to be joined, because no log can mend what differs; once a minute at most.
    pub fn heal(&mut self, heal: Heal, now: Now) {
        let is_late = self.healed.get(&heal.peer).is_none_or(|at| at + HEAL_WAIT <= now.mono);
        // What nobody lends any more is not waited for.
        let is_free = self.wanted.is_none() || (self.lenders.is_empty() && !self.has_work());
        if is_late && is_free && self.heal.is_none() && !self.is_liar(&heal.peer, now) {
            self.wanted = None;
            remember(&mut self.healed, heal.peer, now.mono);
            self.heal = Some(heal);
            self.offers.insert(heal.peer, now.mono);
        }
    }

    /// Returns whether a snapshot is on its way in, so that syncs would only bring the same.
    pub fn is_busy(&self) -> bool {
        !self.lenders.is_empty() || self.wanted.as_ref().is_some_and(|wanted| wanted.missing.is_empty())
    }

    /// Returns whether a step has something to do.
    pub fn has_work(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.is_here() || wanted.reads_on())
    }

    /// Returns whether frames are still copied out of older snapshots.
    pub fn copies(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| !wanted.copies.is_empty())
    }

    /// Who lent the snapshot that is being joined.
    pub const fn giver(&self) -> Option<PeerId> {
        self.giver
    }

    /// The trust list changed: what was attested by who is no longer in it is not believed any more.
    pub fn retrust(&mut self, merge: &Merge) {
        if self.wanted.as_ref().is_some_and(|wanted| !merge.trusts(&wanted.belief.by)) {
            self.wanted = None;
        }
    }

    /// `peer` cannot be reached any more.
    pub fn gone(&mut self, peer: &PeerId, now: Now) {
        self.ended(peer, now);
        self.offers.remove(peer);
        if self.heal.is_some_and(|heal| heal.peer == *peer) {
            self.heal = None;
        }
    }

    /// The stream to `peer` ended: what it owes is asked of others, and of it again later.
    pub fn ended(&mut self, peer: &PeerId, now: Now) {
        self.lenders.remove(peer);
        if let Some(at) = self.offers.get_mut(peer) {
            *at = now.mono + AGAIN;
        }
    }

    /// When something is due without an input, in milliseconds of the monotonic clock.
    pub fn due(&self) -> Option<u64> {
        let idle = self.lenders.values().map(Lender::due);
        let free = self.lenders.len() < self.lenders_max();
        let offers = self.offers.iter().filter(|(peer, _)| free && !self.lenders.contains_key(*peer));
        idle.chain(offers.map(|(_, at)| *at)).min()
    }

    /// How many may lend at once: the first one says what there is, the others help.
    const fn lenders_max(&self) -> usize {
        if self.wanted.is_some() { LENDERS_MAX } else { 1 }
    }

    /// Gives up silent streams, and opens those that are to be had.
    pub fn advance(&mut self, merge: &Merge, now: Now, sends: &mut Vec<Sending>) {
        let silent: Vec<PeerId> =
            self.lenders.iter().filter(|(_, lender)| lender.due() <= now.mono).map(|(peer, _)| *peer).collect();
        for peer in silent {
            self.forget(&peer, sends);
        }
        self.liars.retain(|_, until| *until > now.mono);
        if merge.state.joining.is_some() || self.wanted.as_ref().is_some_and(Wanted::is_here) {
            return;
        }
        let resting: Vec<PeerId> =
            self.lenders.iter().filter(|(_, lender)| lender.asked.is_empty()).map(|(peer, _)| *peer).collect();
        for peer in resting {
            self.ask(peer, now, sends);
        }
        let most = self.lenders_max();
        let ready: Vec<PeerId> = self.offers.iter().filter(|(_, at)| **at <= now.mono).map(|(peer, _)| *peer).collect();
        for peer in ready {
            if self.lenders.len() >= most || self.lenders.contains_key(&peer) {
                continue;
            }
            self.lenders.insert(peer, Lender::new(now));
            let fresh = self.heal.is_some_and(|heal| heal.peer == peer) && self.wanted.is_none();
            let hello = Ask::Manifest { epoch: self.epoch, fresh }.encode().into();
            sends.push(Sending::Open { peer, talk: Talk::Snapshot, hello });
        }
    }

    /// Asks neighbours that may have the same frames, when there is more to fetch than one lender is asked for at once.
    pub fn ask_for_help(&mut self, neighbours: &BTreeSet<PeerId>, now: Now) {
        let Some(wanted) = &self.wanted else { return };
        if wanted.missing.len() <= WINDOW || self.lenders.len() + self.offers.len() >= LENDERS_MAX {
            return;
        }
        let fresh = neighbours.iter().filter(|peer| !self.asked_for_help.contains(*peer) && !self.is_liar(peer, now));
        if let Some(peer) = fresh.min().copied() {
            self.asked_for_help.insert(peer);
            self.add_offer(peer, now.mono);
        }
    }

    /// Takes what a lender says; `hash` is that of the plain frame, when it came whole.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn lent(
        &mut self,
        peer: PeerId,
        (lent, hash): (Lent, Option<Hash>),
        merge: &mut Merge,
        (now, rows): (Now, &mut dyn Rows),
        sends: &mut Vec<Sending>,
    ) -> Result<(), RowsError> {
        let Some(lender) = self.lenders.get_mut(&peer) else {
            sends.push(Sending::Close { peer, talk: Talk::Snapshot });
            return Ok(());
        };
        lender.last = now.mono;
        match lent {
            Lent::Manifest(piece) => match lender.manifest.add(&piece).map(|whole| whole.map(|w| Manifest::decode(&w)))
            {
                Ok(None) => Ok(()),
                Ok(Some(Ok(manifest))) => self.manifest(peer, manifest, merge, (now, rows), sends),
                Ok(Some(Err(_))) | Err(_) => {
                    self.lied(peer, merge, now, sends);
                    Ok(())
                }
            },
            Lent::Frame { place, piece } => self.frame(peer, (place, &piece, hash), merge, (now, rows), sends),
            Lent::Later { millis } => {
                self.close(&peer, sends);
                self.lenders.remove(&peer);
                remember(&mut self.offers, peer, now.mono + u64::from(millis).clamp(LATER_MIN, IDLE));
                Ok(())
            }
            Lent::Nothing => {
                self.forget(&peer, sends);
                Ok(())
            }
        }
    }

    fn manifest(
        &mut self,
        peer: PeerId,
        manifest: Manifest,
        merge: &mut Merge,
        (now, rows): (Now, &mut dyn Rows),
        sends: &mut Vec<Sending>,
    ) -> Result<(), RowsError> {
        // It is said once.
        if self.lenders.get(&peer).is_none_or(|lender| lender.offer.is_some()) {
            self.forget(&peer, sends);
            return Ok(());
        }
        let id = manifest.core.id();
        let others = self.lenders.iter().filter(|(other, _)| **other != peer).any(|(_, lender)| lender.offer.is_some());
        let places = match &self.wanted {
            Some(wanted) if wanted.id == id => Places::Same,
            Some(wanted) if others => wanted.shared(&manifest.core),
            Some(_) | None => {
                let Ok(belief) = believe(&manifest, self.epoch, &self.cluster_name, |peer| merge.trusts(peer)) else {
                    merge.count("snapshots_not_believed", 1);
                    self.forget(&peer, sends);
                    return Ok(());
                };
                let heal = self.heal.filter(|heal| heal.peer == peer);
                if heal.is_none() && !is_useful(&manifest.core, merge) {
                    self.forget(&peer, sends);
                    return Ok(());
                }
                self.want(peer, manifest, belief, heal, merge, rows)?;
                Places::Same
            }
        };
        let shares_nothing = matches!(&places, Places::Other(map) if map.is_empty());
        if shares_nothing {
            self.forget(&peer, sends);
        } else if let Some(lender) = self.lenders.get_mut(&peer) {
            lender.offer = Some((id, places));
            self.ask(peer, now, sends);
        }
        Ok(())
    }

    /// Begins with another snapshot: what is here of it already is copied.
    fn want(
        &mut self,
        peer: PeerId,
        manifest: Manifest,
        belief: Belief,
        heal: Option<Heal>,
        merge: &mut Merge,
        rows: &mut dyn Rows,
    ) -> Result<(), RowsError> {
        let mut here: BTreeMap<Hash, (u64, u32)> = BTreeMap::new();
        if let Some(served) = merge.state.shelf.served()
            && let Some(known) = shelf::manifest(served.generation, rows)?
        {
            here.extend(hashes(&known.core).map(|(place, hash)| (hash, (served.generation, place))));
        }
        if let Some(old) = &self.wanted {
            let there = hashes(&old.core).filter(|(place, _)| !old.missing.contains(place));
            here.extend(there.map(|(place, hash)| (hash, (old.generation, place))));
        }
        let generation = merge.state.shelf.begin_incoming(&manifest, rows)?;
        let is_repair = heal.is_some_and(|heal| heal.is_repair);
        let mut wanted = Wanted::new(generation, manifest.core, belief, Some(peer), is_repair);
        for (place, hash) in hashes(&wanted.core) {
            if let Some((from, its)) = here.get(&hash) {
                wanted.copies.push_back((place, *from, *its));
            }
        }
        for (place, ..) in &wanted.copies {
            wanted.missing.remove(place);
        }
        self.wanted = Some(wanted);
        self.asked_for_help = BTreeSet::from([peer]);
        merge.count("snapshots_wanted", 1);
        Ok(())
    }

    fn frame(
        &mut self,
        peer: PeerId,
        (place, piece, hash): (u32, &Piece, Option<Hash>),
        merge: &mut Merge,
        (now, rows): (Now, &mut dyn Rows),
        sends: &mut Vec<Sending>,
    ) -> Result<(), RowsError> {
        let Some(lender) = self.lenders.get_mut(&peer) else { return Ok(()) };
        let Some(ours) = lender.asked.get(&place).copied() else {
            self.lied(peer, merge, now, sends);
            return Ok(());
        };
        if lender.frame.as_ref().is_none_or(|(known, _)| *known != place) {
            lender.frame = Some((place, Gathering::default()));
        }
        let gathered = lender.frame.as_mut().map_or(Ok(None), |(_, gathering)| gathering.add(piece));
        let packed = match gathered {
            Ok(None) => return Ok(()),
            Ok(Some(packed)) => packed,
            Err(_) => {
                self.lied(peer, merge, now, sends);
                return Ok(());
            }
        };
        lender.frame = None;
        lender.asked.remove(&place);
        let Some(wanted) = &mut self.wanted else { return Ok(()) };
        let hash = hash.or_else(|| frame::unpack(&packed).ok().map(|plain| frame::hash(&plain)));
        if hash != Some(wanted.core.frames[ours as usize].hash) {
            merge.count("snapshot_frames_refused", 1);
            self.lied(peer, merge, now, sends);
            return Ok(());
        }
        if wanted.missing.remove(&ours) {
            shelf::put_frame(wanted.generation, ours, &packed, rows)?;
            merge.count("snapshot_frames", 1);
        }
        if wanted.missing.is_empty() {
            self.close_all(sends);
        } else {
            self.ask(peer, now, sends);
        }
        Ok(())
    }

    /// Asks a lender for more, when half of what it was asked for has come.
    fn ask(&mut self, peer: PeerId, now: Now, sends: &mut Vec<Sending>) {
        let Some(wanted) = &self.wanted else { return };
        let taken: BTreeSet<u32> = self.lenders.values().flat_map(|lender| lender.asked.values().copied()).collect();
        let Some(lender) = self.lenders.get_mut(&peer) else { return };
        let Some((id, places)) = &lender.offer else { return };
        if lender.asked.len() > WINDOW / 2 {
            return;
        }
        let its = |ours: u32| match places {
            Places::Same => Some(ours),
            Places::Other(map) => map.get(&ours).copied(),
        };
        let free = wanted.missing.iter().filter(|ours| !taken.contains(ours));
        let next: Vec<(u32, u32)> =
            free.filter_map(|ours| Some((its(*ours)?, *ours))).take(WINDOW - lender.asked.len()).collect();
        // Others have what is left on the way; if they fail it is asked again.
        if next.is_empty() {
            return;
        }
        let ask = Ask::Frames { id: *id, places: next.iter().map(|(its, _)| *its).collect() };
        lender.asked.extend(next);
        lender.asked_at = now.mono;
        sends.push(Sending::Frame { peer, talk: Talk::Snapshot, bytes: Bytes::from(ask.encode()) });
    }

    /// Works on what is here; returns the snapshot that is whole and believed, once.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn step(
        &mut self,
        merge: &mut Merge,
        now: Now,
        rows: &mut dyn Rows,
        sends: &mut Vec<Sending>,
    ) -> Result<Option<Believed>, RowsError> {
        let Some(wanted) = &mut self.wanted else { return Ok(None) };
        for _ in 0..COPIES_MAX {
            let Some((ours, generation, its)) = wanted.copies.pop_front() else { break };
            match shelf::frame(generation, its, rows)? {
                Some(packed) => shelf::put_frame(wanted.generation, ours, &packed, rows)?,
                None => drop(wanted.missing.insert(ours)),
            }
        }
        if !wanted.copies.is_empty() {
            return Ok(None);
        }
        let reading = wanted.reading.get_or_insert_with(|| Reading::of(&wanted.core, wanted.generation));
        match reading.step(&wanted.core, |place| !wanted.missing.contains(&place), rows)? {
            Verdict::NotYet => Ok(None),
            Verdict::Digest(hash) if hash == wanted.belief.digest_hash => Ok(self.whole()),
            Verdict::Digest(_) | Verdict::Broken => {
                self.close_all(sends);
                merge.state.shelf.end_incoming(rows)?;
                merge.count("snapshots_refused", 1);
                if let Some(giver) = self.wanted.take().and_then(|wanted| wanted.giver) {
                    self.blame(giver, merge, now);
                }
                Ok(None)
            }
        }
    }

    fn whole(&mut self) -> Option<Believed> {
        let Wanted { generation, core, belief, giver, is_repair, .. } = self.wanted.take()?;
        (self.giver, self.heal) = (giver, None);
        self.offers.clear();
        let Belief { digest_hash, tips, proofs, by: _ } = belief;
        Some(Believed { generation, core, digest_hash, tips, proofs, is_repair })
    }

    fn is_liar(&self, peer: &PeerId, now: Now) -> bool {
        self.liars.get(peer).is_some_and(|until| *until > now.mono)
    }

    fn add_offer(&mut self, peer: PeerId, at: u64) {
        if !self.offers.contains_key(&peer) {
            remember(&mut self.offers, peer, at);
        }
    }

    fn lied(&mut self, peer: PeerId, merge: &mut Merge, now: Now, sends: &mut Vec<Sending>) {
        self.forget(&peer, sends);
        self.blame(peer, merge, now);
    }

    fn blame(&mut self, peer: PeerId, merge: &mut Merge, now: Now) {
        self.offers.remove(&peer);
        remember(&mut self.liars, peer, now.mono + LIAR_WAIT);
        if self.heal.is_some_and(|heal| heal.peer == peer) {
            self.heal = None;
        }
        merge.told.notices.push(Notice::BadSnapshot { peer });
    }

    fn forget(&mut self, peer: &PeerId, sends: &mut Vec<Sending>) {
        self.close(peer, sends);
        self.lenders.remove(peer);
        self.offers.remove(peer);
        if self.heal.is_some_and(|heal| heal.peer == *peer) {
            self.heal = None;
        }
    }

    fn close(&self, peer: &PeerId, sends: &mut Vec<Sending>) {
        if self.lenders.contains_key(peer) {
            sends.push(Sending::Close { peer: *peer, talk: Talk::Snapshot });
        }
    }

    fn close_all(&mut self, sends: &mut Vec<Sending>) {
        for peer in std::mem::take(&mut self.lenders).into_keys() {
            sends.push(Sending::Close { peer, talk: Talk::Snapshot });
        }
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
