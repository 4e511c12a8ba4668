//! The two pipes of a peer: what the swarm says goes to the parts, what the engine decides goes to the swarm.
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::checks::{Checks, Gossip, METRICS_TOPIC};
use super::counts::Counts;
use super::epochs::Epochs;
use super::notices::Notices;
use super::syncs::Syncs;
use crate::cluster::pinset::{Outbound, Pinset};
use crate::crdt::{Input, Sending, Talk};
use crate::model::PeerId;
use crate::swarm::calls::CallServer;
use crate::swarm::{Event, Swarm};
use crate::task::{self, Fatal};

/// From the swarm to the parts.
pub struct Inlet {
    /// Who takes what the engine is to hear, or decides it.
    pub pinset: Pinset,
    /// Who checks gossip.
    pub checks: Checks,
    /// Who syncs.
    pub syncs: Syncs,
    /// Who answers calls.
    pub answers: CallServer,
    /// Who gets to know new neighbours.
    pub neighbours: mpsc::Sender<PeerId>,
    /// Who tells new neighbours of this peer.
    pub bell: watch::Sender<()>,
    /// Who knows neighbours of other epochs.
    pub epochs: Epochs,
    /// Where an operator finds notices.
    pub notices: Arc<Notices>,
}

impl Inlet {
    /// Runs until it is stopped, or until nobody is left to hear.
    pub async fn run(mut self, mut events: mpsc::Receiver<Event>, stop: CancellationToken) -> Result<(), Fatal> {
        let protocols = self.pinset.protocols();
        loop {
            tokio::select! { biased;
                () = stop.cancelled() => return Ok(()),
                event = events.recv() => match event {
                    Some(event) => self.handle(event, &protocols),
                    None => return Ok(()),
                },
            }
        }
    }

    fn handle(&mut self, event: Event, protocols: &[String; 2]) {
        match event {
            Event::Connected(peer) => {
                // A full queue means that many are new at once: the rounds of the chores meet the rest.
                let _ = self.neighbours.try_send(peer);
                self.offer(Input::PeerSeen(peer));
            }
            Event::Disconnected(peer) => self.offer(Input::PeerGone(peer)),
            Event::Subscribed { peer, topic } => {
                if &*topic == METRICS_TOPIC {
                    self.bell.send_replace(());
                } else {
                    self.offer(Input::PeerSeen(peer));
                }
            }
            Event::SubscribedElsewhere { peer, topic } => {
                if let Some(notice) = self.epochs.heard(peer, &topic, self.pinset.check().as_ref()) {
                    self.notices.tell(notice, task::wall());
                }
            }
            Event::Gossip { topic, source, relay, token, bytes } => {
                self.checks.gossip(Gossip { topic, source, relay, token, bytes });
            }
            Event::Stream { peer, protocol, stream } => {
                match Talk::ALL.into_iter().find(|talk| protocols[*talk as usize] == protocol.as_ref()) {
                    Some(talk) => self.syncs.answer(peer, talk, stream),
                    None => self.answers.accept(peer, stream),
                }
            }
        }
    }

    /// The queue being full is counted where it is; heartbeats say again what was lost.
    fn offer(&self, input: Input) {
        let _ = self.pinset.offer(input);
    }
}

/// From the engine to the swarm, after each commit.
pub struct Outlet {
    /// Who takes what the engine is to hear, or decides it.
    pub pinset: Pinset,
    /// Who publishes.
    pub swarm: Swarm,
    /// Who syncs.
    pub syncs: Syncs,
    /// Where losses are counted.
    pub counts: Arc<Counts>,
    /// Where an operator finds notices.
    pub notices: Arc<Notices>,
}

impl Outlet {
    /// Runs until it is stopped, or until nobody is left to hear.
    pub async fn run(self, mut outbound: mpsc::Receiver<Outbound>, stop: CancellationToken) -> Result<(), Fatal> {
        let topics = self.pinset.topics();
        loop {
            let next = tokio::select! { biased;
                () = stop.cancelled() => return Ok(()),
                next = outbound.recv() => next,
            };
            match next {
                Some(Outbound::Sending(Sending::Gossip { topic, bytes })) => {
                    if let Some(topic) = topics.get(topic) {
                        self.publish(topic, bytes);
                    }
                }
                Some(Outbound::Sending(sending)) => self.syncs.send(sending),
                Some(Outbound::Notice(notice)) => self.notices.tell(notice, task::wall()),
                Some(Outbound::Counts(counts)) => counts.iter().for_each(|(name, n)| self.counts.add(name, *n)),
                None => return Ok(()),
            }
        }
    }

    /// A full queue loses the message, which is counted: heartbeats and syncs bring what it said.
    fn publish(&self, topic: &str, bytes: Bytes) {
        if !self.swarm.publish(topic, bytes) {
            self.counts.add("publish_dropped", 1);
        }
    }
}
