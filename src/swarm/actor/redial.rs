//! Whom to dial again, and when: pure.
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use crate::swarm::transport::peer_of;

/// The first wait after a failure or a lost connection.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// The longest wait.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// The longest wait for a peer that nobody configured and that did not answer for about an hour.
const WAIT_STRANGER: Duration = Duration::from_mins(10);

/// Failures in a row after which a peer that nobody configured is dialled less often.
const STRANGER_FAILURES: u32 = 64;

/// How many known peers are dialled again; configured addresses are not counted.
const KNOWN_MAX: usize = 1024;

/// What to dial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// An address of the configuration, never forgotten.
    Configured(Multiaddr),
    /// A peer, at the addresses that we know of it.
    Known(PeerId),
}

#[derive(Debug, Default)]
struct State {
    due: Option<Instant>,
    failures: u32,
    /// Whom the target led to, while it is connected.
    peer: Option<PeerId>,
}

/// Targets and their next dials.
#[derive(Debug, Default)]
pub struct Redial {
    targets: BTreeMap<Target, State>,
    queue: BTreeSet<(Instant, Target)>,
}

impl Redial {
    /// Adds a target, due at once; one that is there stays as it is.
    pub fn add(&mut self, target: Target, now: Instant) {
        if self.targets.contains_key(&target) {
            return;
        }
        if matches!(target, Target::Known(_)) && self.known().count() >= KNOWN_MAX && !self.forget_stranger() {
            return;
        }
        self.queue.insert((now, target.clone()));
        self.targets.insert(target, State { due: Some(now), ..State::default() });
    }

    /// Returns the known peers, in order.
    pub fn known(&self) -> impl Iterator<Item = PeerId> {
        self.targets.keys().filter_map(|target| match target {
            Target::Known(peer) => Some(*peer),
            Target::Configured(_) => None,
        })
    }

    /// Forgets a target: it turned out to be this peer itself.
    pub fn forget(&mut self, target: &Target) {
        self.set_due(target, None);
        self.targets.remove(target);
    }

    /// Makes room for a known peer; returns whether one was dead for long enough to be forgotten.
    fn forget_stranger(&mut self) -> bool {
        let dead = |(target, state): &(&Target, &State)| {
            matches!(target, Target::Known(_)) && state.peer.is_none() && state.failures > STRANGER_FAILURES
        };
        let stranger = self.targets.iter().find(dead).map(|(target, _)| target.clone());
        stranger.inspect(|target| self.forget(target)).is_some()
    }

    /// When the next target is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// Takes the next target that is due; it comes again after [`Redial::failed`] or [`Redial::lost`].
    pub fn take(&mut self, now: Instant) -> Option<Target> {
        let (due, _) = self.queue.first()?;
        if *due > now {
            return None;
        }
        let (_, target) = self.queue.pop_first()?;
        if let Some(state) = self.targets.get_mut(&target) {
            state.due = None;
        }
        Some(target)
    }

    /// A dial of `target` led to `peer`.
    pub fn reached(&mut self, target: &Target, peer: PeerId) {
        if let Some(state) = self.targets.get_mut(target) {
            state.peer = Some(peer);
            state.failures = 0;
        }
        self.set_due(target, None);
    }

    /// A connection to `peer` is open, whoever dialled: its targets are not due.
    pub fn connected(&mut self, peer: PeerId) {
        for target in self.targets_of(peer) {
            self.reached(&target, peer);
        }
    }

    /// The last connection to `peer` is gone: its targets are due in about a second.
    pub fn lost(&mut self, peer: PeerId, now: Instant, jitter: f64) {
        for target in self.targets_of(peer) {
            if let Some(state) = self.targets.get_mut(&target) {
                state.peer = None;
            }
            self.set_due(&target, Some(now + WAIT_MIN.mul_f64(0.5 + jitter)));
        }
    }

    /// A dial of `target` failed: it is due after a wait that doubles, give or take half of it.
    pub fn failed(&mut self, target: &Target, now: Instant, jitter: f64) {
        let Some(state) = self.targets.get_mut(target) else { return };
        state.failures = state.failures.saturating_add(1);
        let longest = match target {
            Target::Known(_) if state.failures > STRANGER_FAILURES => WAIT_STRANGER,
            Target::Known(_) | Target::Configured(_) => WAIT_MAX,
        };
        let wait = WAIT_MIN.saturating_mul(1 << (state.failures - 1).min(10)).min(longest);
        if state.peer.is_none() {
            self.set_due(target, Some(now + wait.mul_f64(0.5 + jitter * 0.5)));
        }
    }

    fn targets_of(&self, peer: PeerId) -> Vec<Target> {
        let is_of = |target: &Target, state: &State| match target {
            Target::Known(known) => *known == peer,
            Target::Configured(address) => state.peer == Some(peer) || peer_of(address) == Some(peer),
        };
        self.targets.iter().filter(|(target, state)| is_of(target, state)).map(|(target, _)| target.clone()).collect()
    }

    fn set_due(&mut self, target: &Target, due: Option<Instant>) {
        let Some(state) = self.targets.get_mut(target) else { return };
        if let Some(old) = state.due.take() {
            self.queue.remove(&(old, target.clone()));
        }
        state.due = due;
        if let Some(due) = due {
            self.queue.insert((due, target.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task;

    fn configured() -> Target {
        Target::Configured("/ip4/127.0.0.1/tcp/1".parse().unwrap())
    }

    #[test]
    fn waits_double_up_to_a_minute_and_never_end() {
        let (mut redial, mut now, target) = (Redial::default(), task::now(), configured());
        redial.add(target.clone(), now);
        let mut waits = Vec::new();
        for _ in 0..200 {
            assert_eq!(redial.take(now), Some(target.clone()));
            assert_eq!(redial.take(now), None);
            redial.failed(&target, now, 1.0);
            let due = redial.next_due().unwrap();
            waits.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(waits.last(), Some(&60));
    }

    #[test]
    fn a_lost_peer_is_due_again_in_about_a_second() {
        let (mut redial, now, target, peer) = (Redial::default(), task::now(), configured(), PeerId::random());
        redial.add(target.clone(), now);
        redial.add(Target::Known(peer), now);
        redial.take(now).unwrap();
        redial.reached(&target, peer);
        redial.connected(peer);
        assert_eq!(redial.next_due(), None);
        redial.lost(peer, now, 0.5);
        assert_eq!(redial.next_due(), Some(now + WAIT_MIN));
        assert_eq!(
            (redial.take(now + WAIT_MIN), redial.take(now + WAIT_MIN)),
            (Some(target), Some(Target::Known(peer)))
        );
    }

    #[test]
    fn an_address_with_its_peer_is_not_dialled_while_the_peer_is_connected() {
        let (mut redial, now, peer) = (Redial::default(), task::now(), PeerId::random());
        let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}").parse().unwrap();
        redial.add(Target::Configured(address), now);
        redial.connected(peer);
        assert_eq!(redial.take(now + WAIT_MAX), None);
    }

    #[test]
    fn known_peers_are_bounded_and_a_dead_one_makes_room() {
        let (mut redial, now, dead) = (Redial::default(), task::now(), PeerId::random());
        redial.add(Target::Known(dead), now);
        (0..2 * KNOWN_MAX).for_each(|_| redial.add(Target::Known(PeerId::random()), now));
        assert_eq!(redial.known().count(), KNOWN_MAX);
        (0..=STRANGER_FAILURES).for_each(|_| redial.failed(&Target::Known(dead), now, 1.0));
        let new = PeerId::random();
        redial.add(Target::Known(new), now);
        assert!(redial.known().any(|peer| peer == new) && redial.known().all(|peer| peer != dead));
    }

    #[test]
    fn a_peer_that_nobody_configured_is_dialled_less_often_after_an_hour() {
        let (mut redial, now, peer) = (Redial::default(), task::now(), PeerId::random());
        redial.add(Target::Known(peer), now);
        for _ in 0..=STRANGER_FAILURES {
            redial.failed(&Target::Known(peer), now, 1.0);
        }
        assert_eq!(redial.next_due(), Some(now + WAIT_STRANGER));
    }
}
