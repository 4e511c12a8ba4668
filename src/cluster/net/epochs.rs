//! Neighbours that speak another epoch: nothing of theirs is taken, which is hard to see from outside.
use std::sync::Arc;

use super::counts::Counts;
use crate::crdt::{Check, Notice};
use crate::model::PeerId;
use crate::swarm::Hourly;
use crate::task;

/// Whom an operator was told of.
pub struct Epochs {
    ours: u32,
    told: Hourly<PeerId>,
    counts: Arc<Counts>,
}

impl Epochs {
    /// Nobody yet, and our epoch.
    #[must_use]
    pub fn new(ours: u32, counts: Arc<Counts>) -> Self {
        Self { ours, told: Hourly::default(), counts }
    }

    /// Takes that `peer` listens to a topic that is none of ours; returns what is to be told of it, once an hour.
    pub fn heard(&mut self, peer: PeerId, topic: &str, check: &dyn Check) -> Option<Notice> {
        let epoch = check.epoch_of(topic).filter(|epoch| *epoch != self.ours)?;
        self.counts.add("neighbours_of_other_epoch", 1);
        let notice = Notice::OtherEpoch { peer, epoch, ours: self.ours };
        self.told.is_due(peer, task::now()).then_some(notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::Lone;

    #[tokio::test]
    async fn a_neighbour_of_another_epoch_is_told_of_once() {
        let lone = Lone::start(|config| config.crdt.epoch = 3).await;
        let inner = &lone.cluster.inner;
        let mut epochs = Epochs::new(3, inner.counts.clone());
        let (peer, check) = (PeerId::random(), inner.pinset.check());
        let mut heard = |topic: &str| epochs.heard(peer, topic, check.as_ref());
        for topic in ["automerge-heartbeat/1/3/lone", "automerge-heartbeat/1/2/other", "automerge/1/2/lone", "x"] {
            assert_eq!(heard(topic), None, "{topic}");
        }
        let notice = Notice::OtherEpoch { peer, epoch: 2, ours: 3 };
        assert_eq!(heard("automerge-heartbeat/1/2/lone"), Some(notice));
        assert_eq!(heard("automerge-heartbeat/1/2/lone"), None);
        assert_eq!(lone.cluster.counts()["neighbours_of_other_epoch"], 2);
        lone.stop().await;
    }
}
