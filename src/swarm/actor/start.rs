//! Builds a swarm and lets it listen.
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::gossipsub::IdentTopic;
use libp2p::swarm::{Config, SwarmEvent};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::hourly::Hourly;
use super::outbox::Outbox;
use super::peerstore;
use super::rates::Rates;
use super::redial::{Redial, Target};
use super::run::{Actor, COMMANDS_MAX, EVENTS_MAX};
use super::watch::Watch;
use crate::swarm::args::{Args, SwarmError};
use crate::swarm::behaviour::Behaviour;
use crate::swarm::event::Event;
use crate::swarm::handle::{Shared, Swarm};
use crate::swarm::inbound;
use crate::swarm::traffic::Tallies;
use crate::swarm::transport::{Reached, build, is_free, is_supported};
use crate::task::{self, Task};

/// How long a connection that nobody uses stays: calls want it, and peers trim on their side.
const IDLE_TIMEOUT: Duration = Duration::from_hours(1);

/// How long the start waits until the addresses that it listens on are known.
const LISTEN_WAIT: Duration = Duration::from_secs(1);

/// Streams of one connection that are negotiated at once; a listing of a large cluster opens many.
const NEGOTIATING_MAX: usize = 256;

/// Starts a swarm: it listens when this returns, and dials from then on.
///
/// # Errors
/// See [`SwarmError`].
pub async fn spawn(args: Args) -> Result<(Swarm, mpsc::Receiver<Event>, Task), SwarmError> {
    let listeners = args.listen.iter().filter(|address| is_supported(address)).count();
    let (handle, events, mut actor) = assemble(args)?;
    first_addresses(&mut actor, listeners).await;
    Ok((handle, events, Task::spawn(|stop| actor.run(stop))))
}

/// Builds everything and listens.
fn assemble(args: Args) -> Result<(Swarm, mpsc::Receiver<Event>, Box<Actor>), SwarmError> {
    let (events, receiver) = mpsc::channel(EVENTS_MAX);
    let (sender, commands) = mpsc::channel(COMMANDS_MAX);
    let (shared, reached) = (Arc::new(Shared::default()), Reached::default());
    let own = args.keypair.public().to_peer_id();
    let inbound = inbound::Behaviour::new(args.protocols.clone(), events.clone(), shared.counters.clone());
    let behaviour = Behaviour::new(&args, shared.book.clone(), inbound)?;
    let control = behaviour.outbound.new_control();
    let mut swarm = network(&args, behaviour, reached.clone(), shared.traffic.clone())?;
    let topics = subscribe(&mut swarm, &args.topics)?;
    let actor = Actor {
        swarm,
        own,
        commands,
        events,
        topics,
        reached,
        redial: targets(&args, own, &shared),
        watch: Watch::new(args.gossip.heartbeat),
        shared: shared.clone(),
        announce: args.announce,
        no_announce: args.no_announce,
        peerstore: args.peerstore,
        outbox: Outbox::default(),
        dials: BTreeMap::new(),
        rates: Rates::default(),
        finds: BTreeMap::new(),
        neighbours: BTreeSet::new(),
        told_dials: Hourly::default(),
        told_remotes: Hourly::default(),
        saved: Vec::new(),
        jobs: JoinSet::new(),
    };
    Ok((Swarm::new(own, sender, control, shared), receiver, Box::new(actor)))
}

/// Puts the protocols on the transport, and listens.
fn network(
    args: &Args,
    behaviour: Behaviour,
    reached: Reached,
    traffic: Tallies,
) -> Result<Box<libp2p::Swarm<Behaviour>>, SwarmError> {
    let transport = build(&args.keypair, args.secret.as_ref(), args.dial_timeout, reached, traffic)?;
    let config = Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE_TIMEOUT)
        .with_max_negotiating_inbound_streams(NEGOTIATING_MAX);
    let own = args.keypair.public().to_peer_id();
    let mut swarm = Box::new(libp2p::Swarm::new(transport, behaviour, own, config));
    listen(&mut swarm, &args.listen)?;
    for address in &args.announce {
        swarm.add_external_address(address.clone());
    }
    Ok(swarm)
}

/// Listens on every address that can be listened on.
fn listen(swarm: &mut libp2p::Swarm<Behaviour>, addresses: &[Multiaddr]) -> Result<(), SwarmError> {
    let mut faults = Vec::new();
    for address in addresses {
        let result = if is_supported(address) {
            let listening = is_free(address).and_then(|()| swarm.listen_on(address.clone()).map_err(io::Error::other));
            listening.map(|_| ()).map_err(|error| format!("{address}: {error}"))
        } else {
            Err(format!("{address}: only TCP is supported"))
        };
        if let Err(fault) = result {
            tracing::info!("not listening on {fault}");
            faults.push(fault);
        }
    }
    if !addresses.is_empty() && faults.len() == addresses.len() {
        return Err(SwarmError::Listen(faults.join("; ")));
    }
    Ok(())
}

fn subscribe(
    swarm: &mut libp2p::Swarm<Behaviour>,
    topics: &[String],
) -> Result<BTreeMap<libp2p::gossipsub::TopicHash, Arc<str>>, SwarmError> {
    let mut hashes = BTreeMap::new();
    for name in topics {
        let topic = IdentTopic::new(name.as_str());
        let gossip = &mut swarm.behaviour_mut().gossip;
        gossip.subscribe(&topic).map_err(|error| SwarmError::Gossip(error.to_string()))?;
        hashes.insert(topic.hash(), Arc::from(name.as_str()));
    }
    Ok(hashes)
}

/// Whom to dial from the start: what is configured, and the peers of the file.
fn targets(args: &Args, own: PeerId, shared: &Shared) -> Redial {
    let (mut redial, now) = (Redial::default(), task::now());
    for address in &args.addresses {
        if is_supported(address) {
            redial.add(Target::Configured(address.clone()), now);
        } else {
            tracing::warn!("the peer address {address} is passed over: only TCP is supported");
        }
    }
    let Some(path) = &args.peerstore else { return redial };
    match peerstore::load(path) {
        Ok(known) => {
            for (peer, address) in known.into_iter().filter(|(peer, _)| *peer != own) {
                shared.book.add(peer, &address);
                redial.add(Target::Known(peer), now);
            }
        }
        Err(error) => tracing::warn!("the file of known peers {} cannot be read: {error}", path.display()),
    }
    redial
}

/// Lets the swarm run until each listener has told an address.
async fn first_addresses(actor: &mut Actor, listeners: usize) {
    let mut told = HashSet::new();
    let deadline = tokio::time::Instant::from_std(task::now()) + LISTEN_WAIT;
    while told.len() < listeners {
        let Ok(Some(event)) = tokio::time::timeout_at(deadline, actor.swarm.next()).await else { break };
        if let SwarmEvent::NewListenAddr { listener_id, .. } = &event {
            told.insert(*listener_id);
        }
        actor.on_event(event);
    }
}
