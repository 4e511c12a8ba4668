//! What libp2p tells the actor.
use std::net::IpAddr;

use bytes::Bytes;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::{ListenError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, gossipsub, identify, mdns, ping};

use super::redial::Target;
use super::run::{Actor, STREAMS_MAX};
use crate::swarm::behaviour::{BehaviourEvent, KAD_LAN, KAD_WAN};
use crate::swarm::event::{Event, MessageToken, Verdict};
use crate::swarm::transport::ip_part;
use crate::task;

/// Bytes of one message: the greatest of ours is a change of 48 KiB.
const PAYLOAD_MAX: usize = 128 << 10;

/// Bytes of a topic that is told on: ours are shorter.
const TOPIC_MAX: usize = 1024;

/// Addresses taken of what a peer says of itself.
const OWN_ADDRESSES_MAX: usize = 16;

impl Actor {
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not listed needs no action, in later libp2p neither")]
    pub fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, concurrent_dial_errors, .. } => {
                for (address, _) in concurrent_dial_errors.unwrap_or_default() {
                    self.reached.take(&address);
                }
                if let Some(pending) = self.dials.remove(&connection_id) {
                    self.dial_succeeded(pending, peer_id);
                }
                self.on_connected(peer_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                tracing::debug!("disconnected from {peer_id}: {cause:?}");
                self.on_disconnected(peer_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                let pending = self.dials.remove(&connection_id);
                self.dial_failed(pending, &error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error: ListenError::Transport(error), .. } => {
                tracing::debug!("handshake with {send_back_addr}: {error:?}");
                self.handshake_failed(&send_back_addr);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!("listening on {address}");
                self.on_listen_addresses();
            }
            SwarmEvent::ExpiredListenAddr { .. } => self.on_listen_addresses(),
            SwarmEvent::ListenerError { error, .. } => tracing::warn!("listener: {error}"),
            _ => (),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most protocols look after themselves")]
    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_identified(peer_id, &info);
            }
            BehaviourEvent::Ping(ping::Event { connection, result: Err(failure), .. })
                if !matches!(failure, ping::Failure::Unsupported) =>
            {
                // The host is gone without a word: without this the connection would look open for minutes.
                self.swarm.close_connection(connection);
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => self.dial_found(found, task::now()),
            _ => (),
        }
    }

    fn on_connected(&mut self, peer: PeerId, endpoint: &ConnectedPoint) {
        if let ConnectedPoint::Dialer { address, .. } = endpoint {
            self.reached.take(address);
            self.shared.book.add(peer, address);
        }
        self.redial.connected(peer);
        self.outbox.set(peer, true);
        self.tell_connections();
        self.shared.view().connected.insert(peer);
    }

    fn on_disconnected(&mut self, peer: PeerId) {
        self.watch.gone(peer);
        self.redial.lost(peer, task::now(), rand::random());
        self.outbox.set(peer, false);
        self.tell_connections();
        self.shared.view().connected.remove(&peer);
    }

    /// Tells at once who came and went, so that nothing of a peer is told before its coming; a full queue is told later.
    fn tell_connections(&mut self) {
        while self.outbox.has_news() {
            let Ok(permit) = self.events.try_reserve() else { break };
            if let Some(event) = self.outbox.take() {
                permit.send(event);
            }
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_message(&MessageToken { id: message_id, relay: propagation_source }, message);
            }
            gossipsub::Event::Subscribed { peer_id, topic } => self.on_subscribed(peer_id, &topic),
            gossipsub::Event::SlowPeer { peer_id, .. } => tracing::debug!("{peer_id} takes gossip too slowly"),
            gossipsub::Event::Unsubscribed { .. } | gossipsub::Event::GossipsubNotSupported { .. } => (),
        }
    }

    /// Hands a message on, unless somebody says too much or the owner is behind.
    fn on_message(&mut self, token: &MessageToken, message: gossipsub::Message) {
        let (now, relay) = (task::now(), token.relay);
        let (Some(source), Some(topic)) = (message.source, self.topics.get(&message.topic).cloned()) else {
            return self.judge(token, Verdict::Ignore);
        };
        self.watch.heard(relay, now);
        self.watch.heard(source, now);
        let len = message.data.len();
        if len > PAYLOAD_MAX {
            self.shared.counters.gossip_limited.add(1);
            return self.judge(token, Verdict::Reject);
        }
        if !self.rates.admit(source, len, now) || (relay != source && !self.rates.admit(relay, len, now)) {
            self.shared.counters.gossip_limited.add(1);
            return self.judge(token, Verdict::Ignore);
        }
        let event = Event::Gossip { topic, source, relay, token: token.clone(), bytes: Bytes::from(message.data) };
        if self.events.capacity() > STREAMS_MAX && self.events.try_send(event).is_ok() {
            self.shared.counters.gossip_received.add(1);
        } else {
            self.shared.counters.gossip_dropped.add(1);
            self.judge(token, Verdict::Ignore);
        }
    }

    /// A neighbour listens to a topic: if it is one of ours, the neighbour is a member.
    fn on_subscribed(&mut self, peer: PeerId, topic: &gossipsub::TopicHash) {
        let Some(topic) = self.topics.get(topic).cloned() else { return self.on_subscribed_elsewhere(peer, topic) };
        let now = task::now();
        self.watch.subscribed(peer, now);
        self.redial.add(Target::Known(peer), now);
        if self.outbox.is_connected(&peer) {
            self.redial.connected(peer);
        }
        if self.events.try_send(Event::Subscribed { peer, topic }).is_err() {
            self.shared.counters.gossip_dropped.add(1);
        }
    }

    /// A neighbour listens to another topic, which is told as long as there is room for what matters more.
    fn on_subscribed_elsewhere(&mut self, peer: PeerId, topic: &gossipsub::TopicHash) {
        if topic.as_str().len() <= TOPIC_MAX && self.events.capacity() > STREAMS_MAX {
            // Somebody who hears of it later, or never, loses nothing.
            let _ = self.events.try_send(Event::SubscribedElsewhere { peer, topic: topic.as_str().to_owned() });
        }
    }

    fn on_identified(&mut self, peer: PeerId, info: &identify::Info) {
        // Loopback addresses mean something only to a peer of this host, which sees us on loopback, too.
        let same_host = ip(&info.observed_addr).is_some_and(|ip| ip.is_loopback());
        let usable = |address: &&Multiaddr| same_host || !ip(address).is_some_and(|ip| ip.is_loopback());
        for address in info.listen_addrs.iter().filter(usable).take(OWN_ADDRESSES_MAX) {
            if !self.shared.book.add(peer, address) {
                continue;
            }
            let behaviour = self.swarm.behaviour_mut();
            let (table, protocol) = match ip(address) {
                Some(ip) if !is_public(ip) => (&mut behaviour.lan, KAD_LAN),
                Some(_) | None => (&mut behaviour.wan, KAD_WAN),
            };
            if let Some(table) = table.as_mut().filter(|_| info.protocols.contains(&protocol)) {
                table.add_address(&peer, address.clone());
            }
        }
    }

    /// Tells the handles, and the peers where not all may be told, what we listen on.
    fn on_listen_addresses(&mut self) {
        let told: Vec<Multiaddr> = if self.announce.is_empty() {
            self.swarm.listeners().filter(|address| !self.no_announce.contains(address)).cloned().collect()
        } else {
            self.announce.iter().filter(|address| !self.no_announce.contains(address)).cloned().collect()
        };
        if self.announce.is_empty() && !self.no_announce.is_empty() {
            let old: Vec<Multiaddr> = self.swarm.external_addresses().cloned().collect();
            old.iter().filter(|address| !told.contains(address)).for_each(|a| self.swarm.remove_external_address(a));
            for address in &told {
                self.swarm.add_external_address(address.clone());
            }
        }
        let own = self.own;
        self.shared.view().listen = told.into_iter().filter_map(|address| address.with_p2p(own).ok()).collect();
    }
}

fn ip(address: &Multiaddr) -> Option<IpAddr> {
    ip_part(&address.iter().next()?)
}

/// Returns whether an address belongs to the wide area's hash table.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()),
        IpAddr::V6(ip) => {
            !(ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified())
        }
    }
}
