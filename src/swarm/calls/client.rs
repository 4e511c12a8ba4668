//! Calling other peers.
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{AsyncWriteExt, StreamExt, TryStreamExt, stream};
use libp2p::PeerId;
use libp2p::swarm::Stream;
use tokio::time::Instant;

use super::method::PROTOCOL;
use super::reader::{ReadError, Reader};
use crate::model::{Cid, Drain, Draining, PeerInfo, PinInfo, RepoGc, StatusFilter};
use crate::swarm::handle::{OpenError, Swarm};
use crate::task;
use crate::wire::gorpc::{self, ErrorKind, Response, ServiceId};
use crate::wire::msgpack::DecodeError;

/// How long a call with one reply may take, as in Go.
const UNARY_MAX: Duration = Duration::from_secs(15);

/// How long a call with many replies may take: a peer with millions of pins answers with as many.
const STREAM_MAX: Duration = Duration::from_mins(30);

/// How long such a call may stand still.
const STREAM_IDLE: Duration = Duration::from_mins(1);

/// Bytes of one reply: the ID of a peer that knows a thousand others has 100 KiB.
const REPLY_MAX: usize = 1 << 20;

/// Bytes of the reply about collected blocks: 200,000 of them.
const GC_REPLY_MAX: usize = 16 << 20;

/// How long a daemon may collect.
const GC_MAX: Duration = Duration::from_hours(1);

/// Bytes of the header before a reply; an error's text is in it.
const HEADER_MAX: usize = 64 << 10;

/// How Go's servers say that they do not know a service or a method.
const UNKNOWN: &str = "rpc: can't find ";

/// The order in which a peer is to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// That of the pinset's keys: Go's peers do not know it, which is [`CallError::Unknown`].
    Keys,
    /// Any.
    Any,
}

impl Order {
    /// The service that answers so; `go` is Go's.
    const fn service(self, go: &'static str) -> &'static str {
        match self {
            Self::Keys => "Ordered",
            Self::Any => go,
        }
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The peer is not reached, or serves no calls.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It took longer than this.
    #[error("no reply in {0:?}")]
    Deadline(Duration),
    /// The peer may answer us, and will not: it does not trust us, or does not serve this.
    #[error("{0}")]
    Refused(String),
    /// The peer does not know this call, or a service of it.
    #[error("{0}")]
    Unknown(String),
    /// The peer's error.
    #[error("{0}")]
    Remote(String),
    /// The stream ended before the reply.
    #[error("EOF")]
    Closed,
    /// The reply is too large, cut, or no value.
    #[error("{0}")]
    Garbled(String),
    /// The stream broke.
    #[error("stream: {0}")]
    Io(#[from] io::Error),
}

impl From<ReadError> for CallError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Io(error),
            ReadError::Truncated | ReadError::TooLarge(_) | ReadError::Garbled(_) => Self::Garbled(error.to_string()),
        }
    }
}

impl From<DecodeError> for CallError {
    fn from(error: DecodeError) -> Self {
        Self::Garbled(error.to_string())
    }
}

/// Calls other peers; calls to this peer itself do not go through it.
#[derive(Clone, Debug)]
pub struct Calls {
    swarm: Swarm,
    deadline: Option<Duration>,
}

impl Calls {
    /// Calls through `swarm`, with the deadlines that fit each kind of call.
    #[must_use]
    pub fn new(swarm: Swarm) -> Self {
        Self { swarm, deadline: None }
    }

    /// The same with another deadline for each call.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Who a peer is.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn id(&self, peer: PeerId) -> Result<PeerInfo, CallError> {
        let reply = self.unary(peer, "Cluster", "ID", &gorpc::encode_nothing()).await?;
        Ok(gorpc::decode_peer_info(&reply)?)
    }

    /// A peer's version.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn version(&self, peer: PeerId) -> Result<String, CallError> {
        let reply = self.unary(peer, "Cluster", "Version", &gorpc::encode_nothing()).await?;
        Ok(gorpc::decode_version(&reply)?)
    }

    /// The status of a pin on a peer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn status(&self, peer: PeerId, cid: &Cid) -> Result<PinInfo, CallError> {
        pin_info(&self.unary(peer, "PinTracker", "Status", &gorpc::encode_cid(cid)).await?)
    }

    /// Makes a peer try a failed pin again; returns its status.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn recover(&self, peer: PeerId, cid: &Cid) -> Result<PinInfo, CallError> {
        pin_info(&self.unary(peer, "PinTracker", "Recover", &gorpc::encode_cid(cid)).await?)
    }

    /// The status of all pins on a peer.
    #[must_use]
    pub fn status_all(
        &self,
        peer: PeerId,
        filter: StatusFilter,
        order: Order,
    ) -> BoxStream<'static, Result<PinInfo, CallError>> {
        pin_infos(self.stream(peer, order.service("PinTracker"), "StatusAll", &gorpc::encode_filter(filter)))
    }

    /// Makes a peer try all failed pins again; returns their status.
    #[must_use]
    pub fn recover_all(&self, peer: PeerId, order: Order) -> BoxStream<'static, Result<PinInfo, CallError>> {
        pin_infos(self.stream(peer, order.service("Cluster"), "RecoverAllLocal", &gorpc::encode_nothing()))
    }

    /// Who a peer's members are, as each of them answers.
    #[must_use]
    pub fn peers(&self, peer: PeerId) -> BoxStream<'static, Result<PeerInfo, CallError>> {
        let replies = self.stream(peer, "Cluster", "Peers", &gorpc::encode_nothing());
        replies.map(|reply| Ok(gorpc::decode_peer_info(&reply?)?)).boxed()
    }

    /// The neighbours of a peer's daemon.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn swarm_peers(&self, peer: PeerId) -> Result<Vec<PeerId>, CallError> {
        let reply = self.unary(peer, "IPFSConnector", "SwarmPeers", &gorpc::encode_nothing()).await?;
        Ok(gorpc::decode_peers(&reply)?)
    }

    /// Makes a peer's daemon collect.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn gc(&self, peer: PeerId) -> Result<RepoGc, CallError> {
        let request = request("Cluster", "RepoGCLocal", &gorpc::encode_nothing());
        let deadline = self.deadline.unwrap_or(GC_MAX);
        Ok(gorpc::decode_gc(&self.exchange(peer, request, deadline, GC_REPLY_MAX).await?, peer)?)
    }

    /// Drains a peer, or asks how far that is.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn drain(&self, peer: PeerId, what: Draining) -> Result<Drain, CallError> {
        let reply = self.unary(peer, "Departure", "Drain", &gorpc::encode_draining(what)).await?;
        Ok(gorpc::decode_drain(&reply, peer)?)
    }

    /// Calls a method that has one reply; returns its bytes.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn unary(&self, peer: PeerId, service: &str, method: &str, argument: &[u8]) -> Result<Bytes, CallError> {
        let deadline = self.deadline.unwrap_or(UNARY_MAX);
        self.exchange(peer, request(service, method, argument), deadline, REPLY_MAX).await
    }

    async fn exchange(
        &self,
        peer: PeerId,
        request: Vec<u8>,
        deadline: Duration,
        reply_max: usize,
    ) -> Result<Bytes, CallError> {
        let call = async {
            let mut stream = self.swarm.open(peer, PROTOCOL).await?;
            stream.write_all(&request).await?;
            // Our half stays open until the reply is here: closing it cancels the call in Go.
            stream.flush().await?;
            let reply = next_reply(&mut stream, &mut Reader::default(), reply_max).await?.ok_or(CallError::Closed)?;
            // The reply is complete; what becomes of the stream matters to nobody.
            let _ = stream.close().await;
            Ok(reply)
        };
        tokio::time::timeout(deadline, call).await.unwrap_or(Err(CallError::Deadline(deadline)))
    }

    /// Calls a method that has any number of replies; returns the bytes of each as it comes.
    #[must_use]
    pub fn stream(
        &self,
        peer: PeerId,
        service: &str,
        method: &str,
        argument: &[u8],
    ) -> BoxStream<'static, Result<Bytes, CallError>> {
        let (swarm, request) = (self.swarm.clone(), request(service, method, argument));
        let limit = self.deadline.unwrap_or(STREAM_MAX);
        let begin = async move {
            let mut stream = swarm.open(peer, PROTOCOL).await?;
            stream.write_all(&request).await?;
            // The end of our half is the end of the arguments.
            stream.close().await?;
            Ok::<_, CallError>((stream, Reader::default()))
        };
        let deadline = Instant::from_std(task::now()) + limit;
        stream::once(async move { within(deadline, limit, begin).await })
            .map_ok(move |opened| {
                stream::try_unfold(opened, move |(mut stream, mut reader)| async move {
                    let reply = within(deadline, limit, next_reply(&mut stream, &mut reader, REPLY_MAX)).await?;
                    Ok(reply.map(|reply| (reply, (stream, reader))))
                })
            })
            .try_flatten()
            .boxed()
    }
}

/// Waits for `step` until the call's deadline, or until it stands still for too long.
async fn within<T>(
    deadline: Instant,
    limit: Duration,
    step: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let idle = Instant::from_std(task::now()) + STREAM_IDLE;
    match tokio::time::timeout_at(deadline.min(idle), step).await {
        Ok(result) => result,
        Err(_) => Err(CallError::Deadline(if idle < deadline { STREAM_IDLE } else { limit })),
    }
}

fn request(service: &str, method: &str, argument: &[u8]) -> Vec<u8> {
    [&ServiceId::new(service, method).encode(), argument].concat()
}

async fn next_reply(stream: &mut Stream, reader: &mut Reader, max: usize) -> Result<Option<Bytes>, CallError> {
    let Some(header) = reader.next(stream, HEADER_MAX).await? else { return Ok(None) };
    let header = Response::decode(&header)?;
    match (header.error.is_empty(), header.kind) {
        (false, ErrorKind::Authorization) => return Err(CallError::Refused(header.error)),
        (false, _) if header.error.starts_with(UNKNOWN) => return Err(CallError::Unknown(header.error)),
        (false, _) => return Err(CallError::Remote(header.error)),
        (true, _) => (),
    }
    reader.next(stream, max).await?.ok_or(CallError::Closed).map(Some)
}

fn pin_info(reply: &[u8]) -> Result<PinInfo, CallError> {
    gorpc::decode_pin_info(reply)?.ok_or_else(|| CallError::Garbled("status without a CID".into()))
}

/// Statuses without a CID are passed over, as in Go.
fn pin_infos(replies: BoxStream<'static, Result<Bytes, CallError>>) -> BoxStream<'static, Result<PinInfo, CallError>> {
    replies.try_filter_map(|reply| async move { Ok(gorpc::decode_pin_info(&reply)?) }).boxed()
}
