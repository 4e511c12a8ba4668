//! The host that serves: its own identity, and no private network, as in Go.
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream as _, StreamExt};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{Config, NetworkBehaviour, Stream, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, connection_limits, identify, ping};
use libp2p_stream::IncomingStreams;
use tokio_util::sync::CancellationToken;

use super::PROTOCOL;
use crate::swarm::args::SwarmError;
use crate::swarm::traffic::Tallies;
use crate::swarm::transport::{Reached, build, is_free, is_supported};
use crate::task::{Fatal, Task};

/// Connections at a time: anybody may dial, so that these are few.
const CONNECTIONS_MAX: u32 = 512;
/// Connections that are being negotiated.
const PENDING_MAX: u32 = 64;
/// Connections of one peer.
const CONNECTIONS_PEER_MAX: u32 = 8;
/// Streams of one connection whose protocol is not known yet.
const NEGOTIATING_MAX: usize = 64;
/// How long a connection without streams stays open: clients ask again.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// How long listening may take to begin.
const LISTEN_MAX: Duration = Duration::from_secs(5);
/// How long a dial may take to open.
const DIAL_MAX: Duration = Duration::from_secs(10);

/// What runs on the connections.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub streams: libp2p_stream::Behaviour,
}

/// A swarm of one identity that carries streams, in the private network of `secret` if there is one.
pub(super) fn swarm(
    keypair: &Keypair,
    secret: Option<&crate::swarm::Secret>,
) -> Result<Swarm<Behaviour>, libp2p::noise::Error> {
    let limits = connection_limits::ConnectionLimits::default()
        .with_max_established_incoming(Some(CONNECTIONS_MAX))
        .with_max_pending_incoming(Some(PENDING_MAX))
        .with_max_established_per_peer(Some(CONNECTIONS_PEER_MAX));
    let about = identify::Config::new(String::new(), keypair.public())
        .with_agent_version(concat!("ipfs-cluster/", env!("CARGO_PKG_VERSION")).into());
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(limits),
        identify: identify::Behaviour::new(about),
        ping: ping::Behaviour::default(),
        streams: libp2p_stream::Behaviour::new(),
    };
    let config = Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE_MAX)
        .with_max_negotiating_inbound_streams(NEGOTIATING_MAX);
    let transport = build(keypair, secret, DIAL_MAX, Reached::default(), Tallies::default())?;
    Ok(Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config))
}

/// Streams of others, as they come; those that nobody takes are closed.
pub struct Incoming {
    streams: IncomingStreams,
    address: Multiaddr,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Incoming").field(&self.address).finish()
    }
}

impl Incoming {
    /// The first address that is listened on, with the peer.
    #[must_use]
    pub const fn address(&self) -> &Multiaddr {
        &self.address
    }

    /// The next stream, and whose it is; `None` when the host has ended.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(PeerId, Stream)>> {
        Pin::new(&mut self.streams).poll_next(cx)
    }
}

/// Listens as the owner of `keypair`, for as long as the task is kept.
///
/// # Errors
/// [`SwarmError`], when none of the addresses can be listened on.
pub async fn listen(keypair: &Keypair, addresses: &[Multiaddr]) -> Result<(Incoming, Task), SwarmError> {
    let mut swarm = swarm(keypair, None)?;
    let mut faults = Vec::new();
    for address in addresses {
        let result = if is_supported(address) {
            let listening = is_free(address).map_err(|error| error.to_string());
            listening.and_then(|()| swarm.listen_on(address.clone()).map(drop).map_err(|error| error.to_string()))
        } else {
            Err("only TCP is supported".into())
        };
        faults.extend(result.err().map(|error| format!("{address}: {error}")));
    }
    let refused = |faults: Vec<String>| SwarmError::Listen(faults.join("; "));
    if faults.len() == addresses.len() {
        return Err(refused(faults));
    }
    for fault in &faults {
        tracing::info!("not listening on {fault}");
    }
    let first = tokio::time::timeout(LISTEN_MAX, first_address(&mut swarm)).await;
    let first = first.map_err(|_| refused(vec![format!("no address within {LISTEN_MAX:?}")]))?;
    let address = first.map_err(|error| refused(vec![error]))?.with(Protocol::P2p(keypair.public().to_peer_id()));
    let streams = swarm.behaviour().streams.new_control().accept(PROTOCOL);
    let streams = streams.map_err(|error| refused(vec![error.to_string()]))?;
    Ok((Incoming { streams, address }, Task::spawn(|stop| run(swarm, stop))))
}

async fn first_address(swarm: &mut Swarm<Behaviour>) -> Result<Multiaddr, String> {
    loop {
        let event = swarm.select_next_some().await;
        if let SwarmEvent::NewListenAddr { address, .. } = event {
            return Ok(address);
        } else if let SwarmEvent::ListenerError { error, .. } | SwarmEvent::ListenerClosed { reason: Err(error), .. } =
            event
        {
            return Err(error.to_string());
        }
    }
}

/// Carries streams until it is stopped.
pub(super) async fn run(mut swarm: Swarm<Behaviour>, stop: CancellationToken) -> Result<(), Fatal> {
    loop {
        tokio::select! { biased;
            () = stop.cancelled() => return Ok(()),
            event = swarm.select_next_some() => {
                if let SwarmEvent::ListenerError { error, .. } = event {
                    tracing::warn!("listening for HTTP over libp2p: {error}");
                }
            }
        }
    }
}
