//! Answering calls.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::PeerId;
use libp2p::swarm::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::method::{Access, Call, Method, Reply, access};
use super::reader::{ReadError, Reader};
use crate::observe::CallMeters;
use crate::swarm::counts::Counters;
use crate::swarm::handle::Swarm;
use crate::task::{self, Fatal, Task};
use crate::wire::gorpc::{ErrorKind, Response, ServiceId};

/// Streams that wait until the server takes them.
const QUEUE_MAX: usize = 1024;

/// Calls answered at once.
const CALLS_MAX: usize = 1024;

/// Calls of one peer answered at once: sixty listings in parallel are normal.
const CALLS_PEER_MAX: usize = 256;

/// How long the request may take to come, and each part of an answer to go.
const STEP_MAX: Duration = Duration::from_mins(1);

/// How long the name of the method may take to come.
const NAME_WAIT: Duration = Duration::from_secs(15);

/// How long one reply may take to make: IPFS may be asked for it.
const REPLY_WAIT: Duration = Duration::from_mins(5);

/// How long a daemon may collect before its reply.
const GC_WAIT: Duration = Duration::from_hours(1);

/// Bytes of the name of a method.
const NAME_MAX: usize = 1 << 10;

/// Bytes of one argument: a CID, a peer ID or a number.
const ARGUMENT_MAX: usize = 64 << 10;

/// Arguments of a streaming call; the methods served take one.
const ARGUMENTS_MAX: usize = 16;

/// How long, and how many bytes, the rest of a request is read and thrown away: a reset would overtake the answer.
const DRAIN_WAIT: Duration = Duration::from_secs(5);
/// See [`DRAIN_WAIT`].
const DRAIN_MAX: u64 = 1 << 20;

/// What answers calls.
pub trait Serve: Send + Sync + 'static {
    /// Who may call a method; Go's defaults unless overridden.
    fn policy(&self, service: &ServiceId) -> Access {
        access(service)
    }

    /// Whether this peer trusts another.
    fn trusted(&self, peer: &PeerId) -> bool;

    /// Answers a call of `peer`, which may make it; an error ends the answer.
    fn call(&self, peer: PeerId, call: Call) -> BoxStream<'static, Result<Reply, String>>;
}

/// Takes streams of calls.
#[derive(Clone, Debug)]
pub struct CallServer {
    streams: mpsc::Sender<(PeerId, Stream)>,
    counters: Arc<Counters>,
}

impl CallServer {
    /// Answers the call on a stream; when too many wait, the stream is reset.
    pub fn accept(&self, peer: PeerId, stream: Stream) {
        if self.streams.try_send((peer, stream)).is_err() {
            self.counters.calls_dropped.add(1);
        }
    }
}

/// Starts to answer calls with `serve`, timed by `meters`.
#[must_use]
pub fn spawn(swarm: &Swarm, serve: Arc<dyn Serve>, meters: CallMeters) -> (CallServer, Task) {
    let (sender, streams) = mpsc::channel(QUEUE_MAX);
    let counters = swarm.counters();
    let server = CallServer { streams: sender, counters: counters.clone() };
    let actor = Actor { streams, serve, counters, meters, peers: BTreeMap::new(), jobs: JoinSet::new() };
    (server, Task::spawn(|stop| actor.run(stop)))
}

struct Actor {
    streams: mpsc::Receiver<(PeerId, Stream)>,
    serve: Arc<dyn Serve>,
    counters: Arc<Counters>,
    meters: CallMeters,
    peers: BTreeMap<PeerId, Arc<Semaphore>>,
    jobs: JoinSet<()>,
}

impl Actor {
    async fn run(mut self, stop: CancellationToken) -> Result<(), Fatal> {
        loop {
            tokio::select! { biased;
                () = stop.cancelled() => break,
                Some(ended) = self.jobs.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!("a call's handler failed: {error}");
                    }
                }
                Some((peer, stream)) = self.streams.recv(), if self.jobs.len() < CALLS_MAX => self.begin(peer, stream),
            }
        }
        self.jobs.shutdown().await;
        Ok(())
    }

    fn begin(&mut self, peer: PeerId, mut stream: Stream) {
        let Some(permit) = self.permit(peer) else {
            self.counters.calls_dropped.add(1);
            return;
        };
        let (serve, counters, meters) = (self.serve.clone(), self.counters.clone(), self.meters.clone());
        self.jobs.spawn(async move {
            let _permit = permit;
            let outcome = answer(&mut stream, peer, serve.as_ref(), &meters).await;
            match outcome {
                Ok(Outcome::Served) => counters.calls_served.add(1),
                Ok(Outcome::Refused) => counters.calls_refused.add(1),
                Ok(Outcome::Malformed) => counters.calls_malformed.add(1),
                Err(Broken) => counters.calls_broken.add(1),
            }
        });
    }

    fn permit(&mut self, peer: PeerId) -> Option<OwnedSemaphorePermit> {
        if self.peers.len() > CALLS_MAX {
            self.peers.retain(|_, calls| calls.available_permits() < CALLS_PEER_MAX);
        }
        let calls = self.peers.entry(peer).or_insert_with(|| Arc::new(Semaphore::new(CALLS_PEER_MAX)));
        calls.clone().try_acquire_owned().ok()
    }
}

/// What became of a call.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Served,
    Refused,
    Malformed,
}

/// The stream broke or stood still.
#[derive(Debug)]
struct Broken;

impl<E: std::error::Error> From<E> for Broken {
    fn from(_: E) -> Self {
        Self
    }
}

/// Answers the call on `stream`: the right to call is checked before the argument is read.
async fn answer<S>(stream: &mut S, peer: PeerId, serve: &dyn Serve, meters: &CallMeters) -> Result<Outcome, Broken>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut reader = Reader::default();
    let name = tokio::time::timeout(NAME_WAIT, reader.next(stream, NAME_MAX)).await?;
    let service = match name {
        Ok(Some(name)) => ServiceId::decode(&name).ok(),
        Ok(None) => return Ok(Outcome::Malformed),
        Err(ReadError::Io(_)) => return Err(Broken),
        Err(ReadError::Truncated | ReadError::TooLarge(_) | ReadError::Garbled(_)) => None,
    };
    let Some(service) = service else {
        let text = "rpc: service request cannot be decoded".to_owned();
        refuse(stream, ServiceId::default(), ErrorKind::Server, text).await?;
        return Ok(Outcome::Malformed);
    };
    let method = match permitted(&service, &peer, serve) {
        Ok(method) => method,
        Err((kind, text)) => {
            refuse(stream, service, kind, text).await?;
            return Ok(Outcome::Refused);
        }
    };
    match arguments(stream, &mut reader, method).await {
        Ok(call) => {
            let (name, began) = (service.to_string(), task::now());
            reply(stream, service, method, serve.call(peer, call)).await?;
            meters.answered(name, task::now().duration_since(began));
        }
        Err(ReadError::Io(_)) => return Err(Broken),
        Err(error) => {
            refuse(stream, service, ErrorKind::Server, error.to_string()).await?;
            return Ok(Outcome::Malformed);
        }
    }
    Ok(Outcome::Served)
}

/// The method, if there is one that `peer` may call; else Go's kind and text.
fn permitted(service: &ServiceId, peer: &PeerId, serve: &dyn Serve) -> Result<Method, (ErrorKind, String)> {
    let allowed = match serve.policy(service) {
        Access::NoService => {
            return Err((ErrorKind::Server, format!("rpc: can't find service {}", service.name)));
        }
        Access::NoMethod => return Err((ErrorKind::Server, format!("rpc: can't find method {}", service.method))),
        Access::Open => true,
        Access::Trusted => serve.trusted(peer),
        Access::Local => false,
    };
    // What Go serves and we do not is refused, too: Go's peers pass over such answers in silence.
    Method::find(service)
        .filter(|_| allowed)
        .ok_or_else(|| (ErrorKind::Authorization, format!("client does not have permissions to call {service}")))
}

/// Reads what the call carries: one value, or with a streaming call any number until the caller's half ends.
async fn arguments<S: AsyncRead + Unpin>(
    stream: &mut S,
    reader: &mut Reader,
    method: Method,
) -> Result<Call, ReadError> {
    let read = async {
        let first = reader.next(stream, ARGUMENT_MAX).await?;
        if method.is_streaming() && first.is_some() {
            for _ in 0..ARGUMENTS_MAX {
                if reader.next(stream, ARGUMENT_MAX).await?.is_none() {
                    return Ok(first);
                }
            }
            return Err(ReadError::TooLarge(ARGUMENTS_MAX * ARGUMENT_MAX));
        }
        if !method.is_streaming() && first.is_none() {
            return Err(ReadError::Truncated);
        }
        Ok(first)
    };
    let stalled = |_| ReadError::Io(std::io::ErrorKind::TimedOut.into());
    let first: Option<Bytes> = tokio::time::timeout(STEP_MAX, read).await.map_err(stalled)??;
    Ok(method.call(first.as_ref())?)
}

async fn reply<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    service: ServiceId,
    method: Method,
    mut replies: BoxStream<'static, Result<Reply, String>>,
) -> Result<(), Broken> {
    loop {
        let patience = if method == Method::RepoGc { GC_WAIT } else { REPLY_WAIT };
        let reply = match tokio::time::timeout(patience, replies.next()).await? {
            Some(Ok(reply)) => reply,
            Some(Err(text)) => return refuse(stream, service, ErrorKind::Method, text).await,
            None if method.is_streaming() => return finish(stream).await,
            None => return refuse(stream, service, ErrorKind::Method, "no reply".into()).await,
        };
        let header = Response::success(service.clone()).encode();
        send(stream, &[header, reply.encode()].concat()).await?;
        if !method.is_streaming() {
            return finish(stream).await;
        }
    }
}

/// Answers with an error and an empty body.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    service: ServiceId,
    kind: ErrorKind,
    text: String,
) -> Result<(), Broken> {
    let mut bytes = Response::failure(service, kind, text).encode();
    bytes.push(0xc0);
    send(stream, &bytes).await?;
    finish(stream).await
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Result<(), Broken> {
    tokio::time::timeout(STEP_MAX, async {
        stream.write_all(bytes).await?;
        stream.flush().await
    })
    .await??;
    Ok(())
}

/// Ends our half, and reads what is left of the caller's.
async fn finish<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<(), Broken> {
    tokio::time::timeout(STEP_MAX, stream.close()).await??;
    let mut rest = stream.take(DRAIN_MAX);
    // The answer is out; whether the caller ends well does not matter any more.
    let _ = tokio::time::timeout(DRAIN_WAIT, futures::io::copy(&mut rest, &mut futures::io::sink())).await;
    Ok(())
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
