//! What others hold of a running swarm.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use libp2p::swarm::Stream;
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use tokio::sync::{mpsc, oneshot};

use super::book::Book;
use super::counts::{Counters, Counts};
use super::event::{MessageToken, Verdict};
use super::traffic::{Tallies, Traffic};

/// How long opening a stream may take, a dial included.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a caller waits for a dial that it asked for.
const DIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// Addresses taken of one told member.
const TOLD_ADDRESSES_MAX: usize = 16;

/// What the actor is told.
#[derive(Debug)]
pub enum Command {
    /// Publish a message.
    Publish { topic: String, bytes: Bytes },
    /// Forward a message, or not.
    Verdict { token: MessageToken, verdict: Verdict },
    /// Connect to somebody.
    Dial { to: Dial, reply: oneshot::Sender<Result<PeerId, DialError>> },
    /// Others told of a member, whose addresses are in the book.
    Learn(PeerId),
}

/// Whom to dial.
#[derive(Clone, Debug)]
pub enum Dial {
    /// Who lives at an address.
    Address(Multiaddr),
    /// A peer, at the addresses that we know of it.
    Peer(PeerId),
}

/// Why a connection did not come about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Nobody is reached there.
    #[error("failed to dial: {0}")]
    Unreached(String),
    /// Somebody is reached, but the handshake fails.
    #[error("the handshake with {0} failed: wrong secret, or not a cluster peer")]
    Refused(String),
    /// It takes too long, or the swarm is busy or stopped.
    #[error("failed to dial: {0}")]
    NoAnswer(&'static str),
}

/// Why a stream did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The peer does not speak the protocol.
    #[error("failed to negotiate protocol: protocols not supported: [{0}]")]
    Unsupported(StreamProtocol),
    /// The peer is not connected, and no address of it was ever heard of.
    #[error("routing: not found")]
    Unknown,
    /// The peer is not connected and cannot be dialled.
    #[error("failed to dial: {0}")]
    Unreached(String),
    /// The connection broke.
    #[error("failed to dial: {0}")]
    Io(#[from] std::io::Error),
    /// No answer in time.
    #[error("no answer of {0} in {OPEN_TIMEOUT:?}")]
    Timeout(PeerId),
}

/// What the actor tells its handles.
#[derive(Debug, Default)]
pub struct View {
    /// The connected peers.
    pub connected: BTreeSet<PeerId>,
    /// Where we listen, or what we announce, each with our ID.
    pub listen: Vec<Multiaddr>,
}

/// What handles and actor share.
#[derive(Debug, Default)]
pub struct Shared {
    /// What happened.
    pub counters: Arc<Counters>,
    /// The bytes.
    pub traffic: Tallies,
    /// The known addresses.
    pub book: Book,
    view: Mutex<View>,
}

impl Shared {
    /// The state that the actor keeps up to date.
    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The peers that this one is connected to.
#[derive(Clone)]
pub struct Swarm {
    own: PeerId,
    commands: mpsc::Sender<Command>,
    control: libp2p_stream::Control,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Swarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Swarm").field("own", &self.own).finish_non_exhaustive()
    }
}

impl Swarm {
    pub(super) fn new(
        own: PeerId,
        commands: mpsc::Sender<Command>,
        control: libp2p_stream::Control,
        shared: Arc<Shared>,
    ) -> Self {
        Self { own, commands, control, shared }
    }

    /// This peer's ID.
    #[must_use]
    pub fn own_id(&self) -> PeerId {
        self.own
    }

    /// Publishes a message; returns whether the swarm took it. It may still reach nobody, which sync repairs.
    #[must_use]
    pub fn publish(&self, topic: &str, bytes: Bytes) -> bool {
        self.command(Command::Publish { topic: topic.into(), bytes })
    }

    /// Says what becomes of a message; without a verdict it is not forwarded.
    pub fn verdict(&self, token: MessageToken, verdict: Verdict) {
        self.command(Command::Verdict { token, verdict });
    }

    /// Opens a stream to a peer; one that is not connected is dialled.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(&self, peer: PeerId, protocol: StreamProtocol) -> Result<Stream, OpenError> {
        let mut control = self.control.clone();
        match tokio::time::timeout(OPEN_TIMEOUT, control.open_stream(peer, protocol)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(libp2p_stream::OpenStreamError::UnsupportedProtocol(p))) => Err(OpenError::Unsupported(p)),
            Ok(Err(libp2p_stream::OpenStreamError::Io(error))) if error.kind() == std::io::ErrorKind::NotConnected => {
                if self.known_addresses(&peer).is_empty() {
                    return Err(OpenError::Unknown);
                }
                Err(OpenError::Unreached(innermost(&error.to_string())))
            }
            Ok(Err(libp2p_stream::OpenStreamError::Io(error))) => Err(OpenError::Io(error)),
            Ok(Err(other)) => Err(OpenError::Io(std::io::Error::other(other))),
            Err(_) => Err(OpenError::Timeout(peer)),
        }
    }

    /// Connects to who lives at an address; returns who that is.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn connect(&self, address: Multiaddr) -> Result<PeerId, DialError> {
        self.dial(Dial::Address(address)).await
    }

    /// Connects to a peer, unless it is connected.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn dial_peer(&self, peer: PeerId) -> Result<(), DialError> {
        self.dial(Dial::Peer(peer)).await.map(|_| ())
    }

    async fn dial(&self, to: Dial) -> Result<PeerId, DialError> {
        let (reply, answer) = oneshot::channel();
        if !self.command(Command::Dial { to, reply }) {
            return Err(DialError::NoAnswer("the swarm is busy or stopped"));
        }
        match tokio::time::timeout(DIAL_TIMEOUT, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(DialError::NoAnswer("the swarm is stopped")),
            Err(_) => Err(DialError::NoAnswer("no answer in time")),
        }
    }

    /// Notes addresses of a member that others know, and connects to it while we know few peers.
    pub fn add_addresses(&self, peer: PeerId, addresses: &[Multiaddr]) {
        let told = addresses.iter().take(TOLD_ADDRESSES_MAX);
        if peer != self.own && told.filter(|address| self.shared.book.add(peer, address)).count() > 0 {
            self.command(Command::Learn(peer));
        }
    }

    /// Returns the connected peers, in order.
    #[must_use]
    pub fn connected(&self) -> Vec<PeerId> {
        self.shared.view().connected.iter().copied().collect()
    }

    /// Returns the addresses that others reach us at, each with `/p2p/` and our ID.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.shared.view().listen.clone()
    }

    /// Returns the known addresses of a peer, the newest first, each with `/p2p/` and its ID.
    #[must_use]
    pub fn known_addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.shared.book.of(peer).into_iter().filter_map(|address| address.with_p2p(*peer).ok()).collect()
    }

    /// Returns what happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counters.snapshot()
    }

    /// Returns the bytes by protocol; the empty one is what was said before one was agreed on.
    #[must_use]
    pub fn traffic(&self) -> BTreeMap<String, Traffic> {
        self.shared.traffic.traffic()
    }

    pub(super) fn counters(&self) -> Arc<Counters> {
        self.shared.counters.clone()
    }

    fn command(&self, command: Command) -> bool {
        let taken = self.commands.try_send(command).is_ok();
        if !taken {
            self.shared.counters.commands_dropped.add(1);
        }
        taken
    }
}

/// The cause at the end of a dial's error, which repeats itself over many lines an address.
fn innermost(text: &str) -> String {
    match text.rsplit_once(" (os error ") {
        Some((before, _)) => before.rsplit([':', '-']).next().unwrap_or(before).trim().to_lowercase(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_dial_is_its_last_cause() {
        let text = "Failed to negotiate transport protocol(s): [(/ip4/127.0.0.1/tcp/1: : Multiple dial errors occurred:\n \
                    - Connection refused (os error 111): Connection refused (os error 111))]";
        assert_eq!(innermost(text), "connection refused");
        assert_eq!(innermost("Dial error: no addresses for peer."), "Dial error: no addresses for peer.");
    }
}
