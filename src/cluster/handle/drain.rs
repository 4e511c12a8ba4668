//! Taking a peer away: it says that it leaves, the others give what it holds to others.
use super::{Cluster, Error};
use crate::cluster::pinset::Pinset;
use crate::cluster::status::blocking;
use crate::model::{Drain, Draining, PeerId, Replication};
use crate::swarm::calls::CallError;
use crate::wire::glance::Glance;

impl Cluster {
    /// Begins or ends to drain `peer`, or only looks; returns how far that is.
    ///
    /// A peer that is being drained gets no new pins, and its pins get other holders, also where repinning is disabled. It
    /// stays so over restarts until that is ended. Pins that everybody holds stay where they are.
    ///
    /// # Errors
    /// When the peer is not reached, does not trust this one or is of a version that cannot; what reading and writing say.
    pub async fn drain(&self, peer: PeerId, what: Draining) -> Result<Drain, Error> {
        if peer == self.own_id() {
            return self.drain_own(what).await;
        }
        self.inner.calls.drain(peer, what).await.map_err(|error| Error::Other(refusal(&peer, &error)))
    }

    /// As [`Cluster::drain`], of this peer.
    pub(in crate::cluster) async fn drain_own(&self, what: Draining) -> Result<Drain, Error> {
        let inner = self.inner.clone();
        let work = move || {
            let departure = &inner.departure;
            let set = |is_leaving| departure.set(is_leaving).map_err(|error| Error::Other(error.to_string()));
            match what {
                Draining::Look => (),
                Draining::Begin => set(true)?,
                Draining::End => set(false)?,
            }
            let [pins_left, pins_everywhere] = count(&inner.pinset, inner.own)?;
            // After the pins: what moves meanwhile counts as the one or as the other.
            let pins_kept = inner.tracker.kept().map_err(|error| Error::Other(error.to_string()))?;
            Ok(Drain { peer: inner.own, leaving: departure.is_leaving(), pins_left, pins_kept, pins_everywhere })
        };
        blocking(work).await
    }
}

/// Returns how many pins are allocated to `own`, and how many to everybody; those of others are passed over.
fn count(pinset: &Pinset, own: PeerId) -> Result<[u64; 2], Error> {
    let (mut left, mut everywhere, bytes) = (0, 0, own.to_bytes());
    let sieve =
        |pin: &Glance<'_>| pin.replication() == Replication::Everywhere || pin.allocations().any(|p| p == bytes);
    for part in pinset.parts() {
        let mut rest = Some(part);
        while let Some(part) = rest {
            let (pins, next) = pinset.sift(&part, &sieve)?;
            for pin in pins {
                match pin.replication {
                    Replication::Everywhere => everywhere += 1,
                    Replication::Between { .. } => left += u64::from(pin.allocations.contains(&own)),
                }
            }
            rest = next;
        }
    }
    Ok([left, everywhere])
}

fn refusal(peer: &PeerId, error: &CallError) -> String {
    match error {
        // Go's peers, and ours of before, know no such service.
        CallError::Unknown(_) => {
            format!("{peer} cannot be drained, its version does not know how: {error}")
        }
        CallError::Refused(_) => {
            format!(
                "{peer} refuses: it does not trust this peer, or its version does not know how to be drained: {error}"
            )
        }
        CallError::Remote(_) => format!("{peer} says: {error}"),
        CallError::Open(_) | CallError::Deadline(_) | CallError::Closed | CallError::Garbled(_) | CallError::Io(_) => {
            format!("{peer} did not answer: {error}")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    use crate::cluster::testing::{Lone, between, cid, metric_of};
    use crate::model::{PinOptions, Trust};
    use crate::monitor::LEAVING;
    use crate::task;

    /// Waits until what this peer tells of itself has come to its own ear.
    async fn until_told(lone: &Lone, is_leaving: bool) {
        let told = || lone.cluster.inner.members.leaving(task::wall()).contains(&lone.cluster.own_id());
        let waited = tokio::time::timeout(Duration::from_secs(30), async {
            while told() != is_leaving {
                tokio::task::yield_now().await;
            }
        });
        waited.await.expect("the informers tell it at once");
    }

    #[tokio::test]
    async fn a_peer_that_is_drained_says_so_counts_and_stays_so_over_a_restart() {
        // The other is not there: this peer moves its pins itself.
        let lone = Lone::start(|config| config.crdt.trusted_peers = Trust::Only([].into())).await;
        let (own, other) = (lone.cluster.own_id(), lone.hear_of(&[("ping", 0), ("freespace", 9)]));
        assert!(lone.cluster.inner.members.receive(metric_of("freespace", own, 99), task::wall()));
        for n in 0..2 {
            assert_eq!(lone.cluster.pin(cid(n), between(1, 1)).await.unwrap().allocations, [own]);
        }
        lone.cluster.pin(cid(9), PinOptions::default()).await.unwrap();
        let before = lone.cluster.drain(own, Draining::Look).await.unwrap();
        assert_eq!((before.peer, before.leaving, before.pins_left, before.pins_everywhere), (own, false, 2, 1));
        assert!(lone.cluster.drain(own, Draining::Begin).await.unwrap().leaving);
        until_told(&lone, true).await;
        assert_eq!(lone.cluster.pin(cid(2), between(1, 1)).await.unwrap().allocations, [other]);
        let mut news = lone.cluster.inner.pinset.news_watch();
        while lone.cluster.drain(own, Draining::Look).await.unwrap().pins_left > 0 {
            tokio::time::timeout(Duration::from_secs(30), news.changed()).await.unwrap().unwrap();
        }
        assert_eq!(lone.cluster.allocation(cid(1)).unwrap().allocations, [other]);
        let home = lone.stop().await;

        let lone = home.start().await;
        assert!(lone.cluster.drain(own, Draining::Look).await.unwrap().leaving);
        until_told(&lone, true).await;
        assert_eq!(lone.cluster.metrics(LEAVING).len(), 1);
        assert!(!lone.cluster.drain(own, Draining::End).await.unwrap().leaving);
        until_told(&lone, false).await;
        let home = lone.stop().await;

        let lone = home.start().await;
        assert!(!lone.cluster.drain(own, Draining::Look).await.unwrap().leaving);
        lone.stop().await;
    }

    #[tokio::test]
    async fn a_peer_that_is_not_reached_is_told_by_its_name() {
        let lone = Lone::start(|_| ()).await;
        let stranger = PeerId::random();
        let error = lone.cluster.drain(stranger, Draining::Begin).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{stranger} did not answer: ")), "{error}");
        lone.stop().await;
    }

    #[test]
    fn who_will_not_or_cannot_is_told_apart() {
        let peer = PeerId::random();
        let told = |error| refusal(&peer, &error);
        assert!(told(CallError::Unknown("rpc: can't find service Departure".into())).contains("version does not know"));
        assert!(told(CallError::Refused("no".into())).contains("does not trust this peer, or"));
        assert_eq!(told(CallError::Remote("the disk is full".into())), format!("{peer} says: the disk is full"));
    }
}
