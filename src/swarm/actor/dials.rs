//! Dials: whom, and what is said when they fail.
use std::time::{Duration, Instant};

use libp2p::swarm::DialError as Failure;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use super::pending::{Cause, Pending};
use super::redial::Target;
use super::run::Actor;
use crate::swarm::handle::{Dial, DialError};
use crate::swarm::transport::{ip_part, peer_of, without_peer};
use crate::task;

/// Dials of ours at once; a large file of dead peers must not take all sockets.
const DIALS_MAX: usize = 16;

/// Dials at once with the ones that callers asked for.
const ASKED_MAX: usize = 256;

/// How long a peer found on the local network is left alone after a dial: most of them are no cluster peers.
const FOUND_AGAIN: Duration = Duration::from_mins(10);

/// How many found peers are remembered; more are not dialled.
const FINDS_MAX: usize = 1024;

impl Actor {
    /// When the next dial of ours may begin.
    pub fn next_dial(&self) -> Option<Instant> {
        self.redial.next_due().filter(|_| self.dials.len() < DIALS_MAX)
    }

    /// Begins the dials that are due.
    pub fn dial_due(&mut self, now: Instant) {
        while self.dials.len() < DIALS_MAX {
            let Some(target) = self.redial.take(now) else { break };
            let peer = match &target {
                Target::Configured(address) => peer_of(address),
                Target::Known(peer) => Some(*peer),
            };
            if let Some(peer) = peer.filter(|peer| self.outbox.is_connected(peer)) {
                self.redial.reached(&target, peer);
                continue;
            }
            let opts = match (&target, peer) {
                (Target::Configured(address), Some(peer)) => opts_at(peer, vec![address.clone()]),
                (Target::Configured(address), None) => DialOpts::from(address.clone()),
                (Target::Known(peer), _) => opts_of(*peer),
            };
            self.begin(opts, Pending { cause: Cause::Target(target), reply: None });
        }
    }

    /// Dials for a caller.
    pub fn dial_asked(&mut self, to: Dial, reply: oneshot::Sender<Result<PeerId, DialError>>) {
        let peer = match &to {
            Dial::Peer(peer) => Some(*peer),
            Dial::Address(address) => peer_of(address),
        };
        if let Some(peer) = peer.filter(|peer| self.outbox.is_connected(peer)) {
            // A caller that went away needs no answer.
            let _ = reply.send(Ok(peer));
            return;
        }
        if self.dials.len() >= ASKED_MAX {
            let _ = reply.send(Err(DialError::NoAnswer("too many dials at once")));
            return;
        }
        let opts = match to {
            Dial::Peer(peer) => opts_of(peer),
            Dial::Address(address) => DialOpts::from(address),
        };
        self.begin(opts, Pending { cause: Cause::Asked, reply: Some(reply) });
    }

    /// Dials peers found on the local network, each once in ten minutes.
    pub fn dial_found(&mut self, found: Vec<(PeerId, Multiaddr)>, now: Instant) {
        self.finds.retain(|_, until| *until > now);
        for (peer, address) in found {
            if self.neighbours.len() < FINDS_MAX {
                self.neighbours.extend(ip_of(&address));
            }
            if peer == self.own || self.outbox.is_connected(&peer) || self.finds.contains_key(&peer) {
                continue;
            }
            self.shared.counters.mdns_found.add(1);
            if self.finds.len() < FINDS_MAX {
                self.finds.insert(peer, now + FOUND_AGAIN);
                // The mdns behaviour adds the peer's other addresses.
                self.begin(opts_found(peer), Pending { cause: Cause::Found, reply: None });
            }
        }
    }

    fn begin(&mut self, opts: DialOpts, pending: Pending) {
        let id = opts.connection_id();
        self.shared.counters.dials.add(1);
        match self.swarm.dial(opts) {
            Ok(()) => drop(self.dials.insert(id, pending)),
            Err(error) => self.dial_failed(Some(pending), &error),
        }
    }

    /// A dial led to `peer`.
    pub fn dial_succeeded(&mut self, pending: Pending, peer: PeerId) {
        if let Cause::Target(target) = &pending.cause {
            self.redial.reached(target, peer);
        }
        self.finds.remove(&peer);
        pending.reply.map(|reply| reply.send(Ok(peer)));
    }

    /// A dial of ours, or of some protocol, failed.
    pub fn dial_failed(&mut self, pending: Option<Pending>, error: &Failure) {
        let refused = self.refused_address(error);
        self.shared.counters.dials_failed.add(1);
        if refused.is_some() {
            self.shared.counters.dials_refused.add(1);
        }
        tracing::debug!("{error}");
        let Some(pending) = pending else { return };
        match &pending.cause {
            Cause::Target(target) => self.target_failed(target, refused.as_ref(), error),
            Cause::Found => self.shared.counters.mdns_failed.add(1),
            Cause::Asked => (),
        }
        let told = refused
            .map_or_else(|| DialError::Unreached(error.to_string()), |address| DialError::Refused(address.to_string()));
        pending.reply.map(|reply| reply.send(Err(told)));
    }

    /// The address whose TCP connection opened and whose handshake failed.
    fn refused_address(&self, error: &Failure) -> Option<Multiaddr> {
        let attempts: Vec<&Multiaddr> = match error {
            Failure::Transport(attempts) => attempts.iter().map(|(address, _)| address).collect(),
            Failure::WrongPeerId { address, .. } | Failure::LocalPeerId { address } => {
                // The handshake was good; the address is only to be forgotten.
                self.reached.take(address);
                Vec::new()
            }
            Failure::NoAddresses | Failure::DialPeerConditionFalse(_) | Failure::Aborted | Failure::Denied { .. } => {
                Vec::new()
            }
        };
        attempts.into_iter().filter(|address| self.reached.take(address)).last().map(without_peer)
    }

    fn target_failed(&mut self, target: &Target, refused: Option<&Multiaddr>, error: &Failure) {
        if let (Failure::WrongPeerId { address, .. }, Target::Known(peer)) = (error, target) {
            self.shared.book.remove(peer, address);
        }
        if let (Failure::LocalPeerId { .. }, Target::Configured(address)) = (error, target) {
            tracing::info!("the peer address {address} is this peer's own");
            self.redial.forget(target);
            return;
        }
        let now = task::now();
        self.redial.failed(target, now, rand::random());
        let Target::Configured(address) = target else { return };
        let fault = match (refused, error) {
            (Some(_), _) => "it was reached, but the handshake failed: wrong secret, or not a cluster peer".to_owned(),
            (None, Failure::WrongPeerId { obtained, .. }) => format!("another peer lives there, {obtained}"),
            (None, Failure::Transport(_)) => "it is not reached: wrong address, or the peer is down".to_owned(),
            (None, _) => return,
        };
        if self.told_dials.is_due(address.clone(), now) {
            tracing::warn!("cannot connect to the peer address {address}: {fault}; trying again");
        }
    }

    /// A remote's handshake with us failed.
    pub fn handshake_failed(&mut self, remote: &Multiaddr) {
        self.shared.counters.handshakes_refused.add(1);
        let Some(ip) = ip_of(remote) else { return };
        if !self.neighbours.contains(&ip) && self.told_remotes.is_due(ip, task::now()) {
            tracing::warn!("the handshake of a connection from {ip} failed: wrong secret, or not a cluster peer");
        }
    }
}

fn opts_of(peer: PeerId) -> DialOpts {
    DialOpts::peer_id(peer).condition(PeerCondition::Disconnected).build()
}

/// Two peers find each other at the same moment: from their listeners' ports their dials would meet half-way, as one
/// connection that both began, and both would fail.
fn opts_found(peer: PeerId) -> DialOpts {
    DialOpts::peer_id(peer).condition(PeerCondition::Disconnected).allocate_new_port().build()
}

fn opts_at(peer: PeerId, addresses: Vec<Multiaddr>) -> DialOpts {
    DialOpts::peer_id(peer).condition(PeerCondition::Disconnected).addresses(addresses).build()
}

/// The first IP address in `address`.
fn ip_of(address: &Multiaddr) -> Option<std::net::IpAddr> {
    address.iter().find_map(|part| ip_part(&part))
}
