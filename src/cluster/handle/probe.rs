//! What probes are answered, and how many pins there are: from what is at hand, whatever the pinset's size.
use super::{Cluster, Error};
use crate::cluster::pinset::State;
use crate::crdt::Summary;
use crate::model::{PinCounts, Probe, TrackerStatus};

impl Cluster {
    /// Answers a probe, without waiting for anything: what is well.
    ///
    /// # Errors
    /// What is not, in words that strangers may read.
    pub fn probe(&self, probe: Probe) -> Result<&'static str, String> {
        verdict(probe, &self.inner.pinset.state().borrow(), &self.summary())
    }

    /// Returns how many pins there are, and where this peer stands with those that it is to hold.
    ///
    /// # Errors
    /// When the pinset is not open, or the ledger cannot be read.
    pub fn pin_counts(&self) -> Result<PinCounts, Error> {
        match &*self.inner.pinset.state().borrow() {
            State::Open => (),
            State::Reopening { error } => return Err(Error::Reopening(error.clone())),
            State::Closed => return Err(Error::Shutdown),
        }
        let rows = self.inner.tracker.counts().map_err(|error| Error::Other(error.to_string()))?;
        let by_status = TrackerStatus::TRACKED.map(|status| (status, rows.of(status)));
        let held_up = self.inner.tracker.held_up();
        Ok(PinCounts { peer: self.own_id(), pins: self.summary().entries, by_status: by_status.into(), held_up })
    }
}

fn verdict(probe: Probe, state: &State, summary: &Summary) -> Result<&'static str, String> {
    match (probe, state) {
        (_, State::Closed) => Err("this peer is going down".into()),
        (Probe::Live, State::Open | State::Reopening { .. }) => Ok("this peer runs"),
        // The error itself names files: the log tells it to those who may know.
        (Probe::Ready | Probe::Synced, State::Reopening { .. }) => {
            Err("the pinset is being opened again after an error, which the log tells".into())
        }
        (Probe::Ready, State::Open) => Ok("pins are read and written"),
        (Probe::Synced, State::Open) => synced(summary),
    }
}

fn synced(summary: &Summary) -> Result<&'static str, String> {
    match summary {
        Summary { joining: true, .. } => Err("the pins of another peer's state are still being taken over".into()),
        Summary { in_sync: false, .. } => Err("another peer knows changes that are not here yet".into()),
        Summary { pending: 1.., .. } => Err(format!("changes wait for others that they stand on: {}", summary.pending)),
        Summary { .. } => Ok("all changes that were heard of are here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::{Lone, cid};
    use crate::model::PinOptions;

    fn all(state: &State, summary: &Summary) -> [bool; 3] {
        Probe::ALL.map(|probe| verdict(probe, state, summary).is_ok())
    }

    #[test]
    fn each_probe_asks_for_more_than_the_one_before() {
        let whole = Summary { in_sync: true, ..Summary::default() };
        assert_eq!(all(&State::Open, &whole), [true; 3]);
        for behind in [
            Summary { in_sync: false, ..whole.clone() },
            Summary { joining: true, ..whole.clone() },
            Summary { pending: 3, ..whole.clone() },
        ] {
            assert_eq!(all(&State::Open, &behind), [true, true, false], "{behind:?}");
        }
        let reopening = State::Reopening { error: "/secret/path is damaged".into() };
        assert_eq!(all(&reopening, &whole), [true, false, false]);
        assert!(!verdict(Probe::Ready, &reopening, &whole).unwrap_err().contains("/secret/path"));
        assert_eq!(all(&State::Closed, &whole), [false; 3]);
    }

    #[tokio::test]
    async fn a_lone_peer_is_well_and_counts_its_pins() {
        let lone = Lone::start(|_| ()).await;
        assert!(Probe::ALL.into_iter().all(|probe| lone.cluster.probe(probe).is_ok()));
        for n in 0..3 {
            lone.cluster.pin(cid(n), PinOptions::default()).await.unwrap();
        }
        lone.cluster.unpin(cid(0)).await.unwrap();
        let counts = lone.cluster.pin_counts().unwrap();
        assert_eq!((counts.pins, counts.peer), (2, lone.cluster.own_id()));
        assert_eq!(counts.by_status.len(), TrackerStatus::TRACKED.len());
        let cluster = lone.cluster.clone();
        lone.stop().await;
        assert!(Probe::ALL.into_iter().all(|probe| cluster.probe(probe).is_err()));
        assert!(matches!(cluster.pin_counts(), Err(Error::Shutdown)));
    }
}
