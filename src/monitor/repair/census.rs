//! Who may be counted on, and which pins have too few holders by that.
use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::{PeerId, Pin, Replication, UnixMillis};
use crate::monitor::Distance;

/// The metric of a peer that is being drained; it says so itself for as long as it is.
pub const LEAVING: &str = "leaving";

/// Who may be counted on at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub(super) here: BTreeSet<PeerId>,
    /// Those of the gone that speak.
    pub(super) leaving: BTreeSet<PeerId>,
    pub(super) missed: BTreeSet<PeerId>,
    pub(super) gone: BTreeSet<PeerId>,
    /// Whether nobody is gone yet: this peer has not listened for long enough.
    pub(super) is_young: bool,
}

/// Where a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is a member.
    Here,
    /// It was one a short while ago, and may come back.
    Missed,
    /// It was not heard for longer than the grace, or it is leaving.
    Gone,
}

impl Census {
    /// Counts peers by when they were last to be counted on; `own` is here, unless it leaves.
    ///
    /// `lives` has the end of each peer's last sign of life, `began` is when this peer began to listen; until it has done so
    /// for the grace, nobody is gone. Peers in `leaving` are, though they speak: what they hold is to be held by others.
    #[must_use]
    pub fn of(
        own: PeerId,
        lives: impl IntoIterator<Item = (PeerId, UnixMillis)>,
        leaving: &BTreeSet<PeerId>,
        (began, grace, now): (UnixMillis, Duration, UnixMillis),
    ) -> Self {
        let mut census = Self { is_young: now < began.plus(grace), leaving: leaving.clone(), ..Self::default() };
        census.here.insert(own);
        for (peer, until) in lives {
            let side = if now <= until {
                &mut census.here
            } else if census.is_young || now < until.plus(grace) {
                &mut census.missed
            } else {
                &mut census.gone
            };
            side.insert(peer);
        }
        for peer in leaving {
            census.here.remove(peer);
            census.missed.remove(peer);
            census.gone.insert(*peer);
        }
        census
    }

    /// Returns where a peer stands; one that was never heard is gone once this one has listened for the grace.
    #[must_use]
    pub fn standing(&self, peer: &PeerId) -> Standing {
        if self.here.contains(peer) {
            Standing::Here
        } else if self.missed.contains(peer) || (self.is_young && !self.gone.contains(peer)) {
            Standing::Missed
        } else {
            Standing::Gone
        }
    }

    /// The members.
    #[must_use]
    pub fn here(&self) -> &BTreeSet<PeerId> {
        &self.here
    }

    /// Returns whether a peer says that it is being drained.
    #[must_use]
    pub fn is_leaving(&self, peer: &PeerId) -> bool {
        self.leaving.contains(peer)
    }

    /// The peers that this one has heard of.
    pub(super) fn known(&self) -> impl Iterator<Item = &PeerId> {
        self.here.iter().chain(&self.missed).chain(&self.gone)
    }

    /// The holders of a pin that may be counted on, in their order.
    #[must_use]
    pub fn holders(&self, pin: &Pin) -> Vec<PeerId> {
        pin.allocations.iter().filter(|peer| self.standing(peer) != Standing::Gone).copied().collect()
    }

    /// Returns whether a pin needs new holders: it has fewer than its minimum, or one of them leaves.
    #[must_use]
    pub fn is_short(&self, pin: &Pin) -> bool {
        match pin.replication {
            Replication::Everywhere => false,
            Replication::Between { min, .. } => {
                let holders = pin.allocations.iter().filter(|peer| self.standing(peer) != Standing::Gone).count();
                holders < usize::try_from(min).unwrap_or(usize::MAX)
                    || pin.allocations.iter().any(|peer| self.is_leaving(peer))
            }
        }
    }

    /// Returns how many peers come before `own` in repairing a pin: members that hold it first, then the others, each by
    /// distance. One that leaves does its part: it knows how large its pins are. `trusts` says whose writes count.
    #[must_use]
    pub fn turn(&self, own: &PeerId, pin: &Pin, trusts: impl Fn(&PeerId) -> bool) -> usize {
        let speaks = |peer: &PeerId| self.here.contains(peer) || self.leaving.contains(peer);
        let can_act = |peer: &&PeerId| speaks(peer) && (*peer == own || trusts(peer));
        let holders: Vec<PeerId> = pin.allocations.iter().filter(can_act).copied().collect();
        let rank = |peers: &[PeerId]| Distance::new(own, peers).rank(&pin.cid);
        if holders.contains(own) {
            return rank(&holders);
        }
        let speaking = self.here.iter().chain(&self.leaving).filter(can_act);
        let others: Vec<PeerId> = speaking.filter(|peer| !holders.contains(peer)).copied().collect();
        holders.len() + rank(&others)
    }
}
