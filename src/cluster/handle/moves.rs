//! Who holds a pin: for one that is new, and for one whose holders are gone or leave.
use super::{Cluster, Error, STALE_TRIES, seen};
use crate::crdt::{Op, WriteError};
use crate::model::{Cid, PeerId, Pin, Replication, UnixMillis};
use crate::monitor::{AllocateError, Candidate, Census, Request, Standing, Unfit, allocate};
use crate::task;

impl Cluster {
    /// Chooses the holders of a pin that is at `current`, among the candidates as `judge` leaves them.
    pub(super) fn allocate(
        &self,
        pin: &Pin,
        current: &[PeerId],
        judge: &dyn Fn(Candidate) -> Candidate,
    ) -> Result<Vec<PeerId>, Error> {
        self.choose(pin, current, judge).map_err(|error| {
            tracing::warn!(cid = %pin.cid, ?error, "a pin could not be allocated");
            error.into()
        })
    }

    fn choose(
        &self,
        pin: &Pin,
        current: &[PeerId],
        judge: &dyn Fn(Candidate) -> Candidate,
    ) -> Result<Vec<PeerId>, AllocateError> {
        let now = task::wall();
        let candidates = self.fit(self.inner.members.candidates(&self.levels(), now), judge, now);
        let (cid, replication) = (&pin.cid, pin.replication);
        let request = Request { cid, replication, current, priority: &pin.user_allocations, candidates: &candidates };
        allocate(&request)
    }

    /// The metrics that a candidate is compared by.
    fn levels(&self) -> Vec<&str> {
        self.inner.allocate_by.iter().map(String::as_str).collect()
    }

    /// The candidates, with who may hold pins by what this peer is configured with.
    fn fit(
        &self,
        candidates: Vec<Candidate>,
        judge: &dyn Fn(Candidate) -> Candidate,
        now: UnixMillis,
    ) -> Vec<Candidate> {
        let (leaving, trust) = (self.inner.members.leaving(now), self.inner.trust());
        let fit = |candidate: Candidate| {
            let trusted = trust.trusts(&self.inner.own, candidate.peer());
            let is_staying = !leaving.contains(candidate.peer());
            judge(candidate.only_if(is_staying, Unfit::Leaving))
                .only_if(trusted || !self.inner.only_trusted, Unfit::NotTrusted)
                .only_if(!trusted || !self.inner.only_untrusted, Unfit::Trusted)
        };
        candidates.into_iter().map(fit).collect()
    }

    /// The members that copies may come from and go to.
    pub(super) fn seats(&self, now: UnixMillis) -> Vec<Candidate> {
        let members = self.inner.members.peerset(now);
        let mut seats = self.fit(self.inner.members.candidates_or_full(&self.levels(), now), &|seat| seat, now);
        seats.retain(|seat| members.contains(seat.peer()));
        seats
    }

    /// Whether a peer may be given a copy now.
    pub(super) fn can_take(&self, peer: &PeerId) -> bool {
        let now = task::wall();
        let candidates = self.fit(self.inner.members.candidates(&self.levels(), now), &|candidate| candidate, now);
        let is_fit = candidates.iter().any(|candidate| candidate.peer() == peer && candidate.scores().is_some());
        is_fit && self.inner.members.peerset(now).contains(peer)
    }

    /// Writes a pin with other holders in the place of `planned`; returns whether that was still so, and it was written.
    pub(super) async fn shift(&self, planned: &Pin, moved: Pin) -> Result<bool, Error> {
        self.writable()?;
        let existing = self.inner.pinset.get(&planned.cid)?;
        if existing.as_ref().is_none_or(|(pin, _)| pin != planned) {
            return Ok(false);
        }
        match self.inner.pinset.write(Op::Pin(Box::new(moved)), seen(existing)).await {
            Ok(_) => Ok(true),
            Err(Error::Write(WriteError::Stale)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives a pin new holders in the place of those that are gone; returns whether it has other holders now.
    ///
    /// A pin that has enough of them is left as it is, and nothing is written.
    ///
    /// # Errors
    /// [`Error::Allocate`] when too few peers can hold it; what reading and writing say.
    pub(in crate::cluster) async fn reallocate(&self, cid: Cid, census: &Census) -> Result<bool, Error> {
        self.writable()?;
        for _ in 0..STALE_TRIES {
            let existing = self.inner.pinset.get(&cid)?;
            let Some((pin, _)) = existing.as_ref().filter(|(pin, _)| census.is_short(pin)) else { return Ok(false) };
            let allocations = self.without_the_gone(pin, census)?;
            if allocations == pin.allocations {
                return Ok(false);
            }
            let moved = Pin { allocations, ..pin.clone() };
            match self.inner.pinset.write(Op::Pin(Box::new(moved)), seen(existing)).await {
                Ok(_) => return Ok(true),
                Err(Error::Write(WriteError::Stale)) => (),
                Err(error) => return Err(error),
            }
        }
        Err(Error::Contended(cid))
    }

    /// A holder that is missed for a short while only, or tells no metric just now, keeps the pin.
    fn without_the_gone(&self, pin: &Pin, census: &Census) -> Result<Vec<PeerId>, Error> {
        let current = census.holders(pin);
        let judge = |candidate: Candidate| match census.standing(candidate.peer()) {
            _ if current.contains(candidate.peer()) => candidate.kept(),
            Standing::Gone => candidate.only_if(false, Unfit::Excluded),
            Standing::Here | Standing::Missed => candidate,
        };
        // A peer that leaves is replaced, where that can be, also when those that stay would be enough.
        self.choose(&as_many(pin), &current, &judge).or_else(|_| self.allocate(pin, &current, &judge))
    }
}

/// The pin with as many holders as it has for its minimum, as far as its maximum allows.
fn as_many(pin: &Pin) -> Pin {
    let replication = match pin.replication {
        Replication::Everywhere => Replication::Everywhere,
        Replication::Between { min, max } => {
            let holders = u32::try_from(pin.allocations.len()).unwrap_or(u32::MAX);
            Replication::Between { min: min.max(holders.min(max)), max }
        }
    };
    Pin { replication, ..pin.clone() }
}
