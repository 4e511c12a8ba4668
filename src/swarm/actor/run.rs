//! The actor's state and loop, and what it is told.
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::gossipsub::{MessageAcceptance, TopicHash};
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::hourly::Hourly;
use super::outbox::Outbox;
use super::peerstore;
use super::pending::Pending;
use super::rates::Rates;
use super::redial::{Redial, Target};
use super::watch::Watch;
use crate::swarm::behaviour::Behaviour;
use crate::swarm::event::{Event, MessageToken, Verdict};
use crate::swarm::handle::{Command, Shared};
use crate::swarm::transport::Reached;
use crate::task::{self, Fatal};

/// Commands that wait for the loop: every verdict is one, and a burst of gossip brings a thousand at once.
pub const COMMANDS_MAX: usize = 8192;

/// Messages that wait for the owner; what comes past that is ignored, and sync repairs it.
const GOSSIP_MAX: usize = 1024;

/// Room in the event queue that gossip leaves to streams: a listing opens one of every peer at once.
pub const STREAMS_MAX: usize = 4096;

/// Events that wait for the owner.
pub const EVENTS_MAX: usize = GOSSIP_MAX + STREAMS_MAX;

/// Connections from which on peers that others told us of are not dialled: Go's low water mark.
const CONNECTIONS_LOW: usize = 100;

/// How often silent neighbours are looked for.
const TICK: Duration = Duration::from_secs(1);

/// How often the file of known peers is written, when they changed.
const SAVE_EVERY: Duration = Duration::from_mins(5);

pub struct Actor {
    pub swarm: Box<libp2p::Swarm<Behaviour>>,
    pub own: PeerId,
    pub commands: mpsc::Receiver<Command>,
    pub events: mpsc::Sender<Event>,
    pub shared: Arc<Shared>,
    pub outbox: Outbox,
    pub topics: BTreeMap<TopicHash, Arc<str>>,
    pub redial: Redial,
    pub dials: BTreeMap<ConnectionId, Pending>,
    pub reached: Reached,
    pub watch: Watch,
    pub rates: Rates,
    /// Peers found on the local network -> until when they are not dialled again.
    pub finds: BTreeMap<PeerId, Instant>,
    /// Hosts of the local network that answered: their failing handshakes are no news.
    pub neighbours: BTreeSet<IpAddr>,
    pub told_dials: Hourly<Multiaddr>,
    pub told_remotes: Hourly<IpAddr>,
    pub announce: Vec<Multiaddr>,
    pub no_announce: Vec<Multiaddr>,
    pub peerstore: Option<PathBuf>,
    /// What the file of known peers holds.
    pub saved: Vec<Multiaddr>,
    pub jobs: JoinSet<()>,
}

impl Actor {
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Fatal> {
        let events = self.events.clone();
        let mut ticks = tokio::time::interval(TICK);
        let mut saves = tokio::time::interval(SAVE_EVERY);
        loop {
            self.dial_due(task::now());
            let due = self.next_dial();
            // Not biased: a burst from the network must not hold up commands, nor the other way round.
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(permit) = events.reserve(), if self.outbox.has_news() => {
                    if let Some(event) = self.outbox.take() {
                        permit.send(event);
                    }
                }
                Some(event) = self.swarm.next() => self.on_event(event),
                Some(command) = self.commands.recv() => self.on_command(command),
                _ = ticks.tick() => self.tick(task::now()),
                _ = saves.tick() => self.save(),
                Some(_) = self.jobs.join_next() => (),
                () = task::sleep_until(due) => (),
            }
        }
        self.save();
        while self.jobs.join_next().await.is_some() {}
        Ok(())
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish { topic, bytes } => self.publish(&topic, &bytes),
            Command::Verdict { token, verdict } => self.judge(&token, verdict),
            Command::Dial { to, reply } => self.dial_asked(to, reply),
            Command::Learn(peer) => self.learn(peer),
        }
    }

    fn publish(&mut self, topic: &str, bytes: &[u8]) {
        let counters = &self.shared.counters;
        match self.swarm.behaviour_mut().gossip.publish(TopicHash::from_raw(topic), bytes) {
            Ok(_) => counters.published.add(1),
            Err(error) => {
                counters.publish_failed.add(1);
                tracing::debug!("a message on {topic} was not published: {error}");
            }
        }
    }

    pub fn judge(&mut self, token: &MessageToken, verdict: Verdict) {
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => MessageAcceptance::Reject,
        };
        self.swarm.behaviour_mut().gossip.report_message_validation_result(&token.id, &token.relay, acceptance);
    }

    fn learn(&mut self, peer: PeerId) {
        if self.outbox.connected().len() < CONNECTIONS_LOW && !self.outbox.is_connected(&peer) {
            self.redial.add(Target::Known(peer), task::now());
        }
    }

    fn tick(&mut self, now: Instant) {
        self.shared.traffic.look(now);
        for peer in self.watch.silent(now) {
            tracing::info!("gossip of {peer} fell silent: connecting to it anew");
            self.shared.counters.watchdog_disconnects.add(1);
            // A peer that is gone already has nothing to disconnect.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// Writes the file of known peers aside of the loop, when they changed.
    fn save(&mut self) {
        let Some(path) = self.peerstore.clone() else { return };
        let peers: BTreeSet<PeerId> = self.redial.known().chain(self.outbox.connected().iter().copied()).collect();
        let addresses_of = |peer: &PeerId| {
            let peer = *peer;
            self.shared.book.of(&peer).into_iter().filter_map(move |address| address.with_p2p(peer).ok())
        };
        let addresses: Vec<Multiaddr> = peers.iter().flat_map(addresses_of).collect();
        if addresses == self.saved {
            return;
        }
        self.saved.clone_from(&addresses);
        self.jobs.spawn_blocking(move || {
            if let Err(error) = peerstore::save(&path, &addresses) {
                tracing::warn!("the file of known peers {} cannot be written: {error}", path.display());
            }
        });
    }
}
