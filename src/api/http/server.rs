//! Accepts connections and serves a router on them.
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::body::{Diverted, Timed};
use super::connection::{Io, Limits, Phase, Shared};
use super::guests::Guests;
use super::listener::{Listener, Stream};
use super::remote::Remote;
use super::tls::Tls;
use crate::task::{self, Fatal, Task};

/// How long answers that are under way may go on after the stop: the rest of the peer needs some of its 8 seconds too.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);
/// The pause after an accept that failed: it fails for want of file descriptors, and trying at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a head may have beyond the configured bytes, as in Go.
const HEAD_SLOP: usize = 4096;
/// The least buffer that hyper accepts, in bytes.
const BUFFER_MIN: usize = 8192;
/// What a connection buffers while its client is slow, in bytes; above the 32 KiB that streams hand over at a time.
const BUFFER_MAX: usize = 64 * 1024;

/// How long clients may take; `None` is for ever.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the head of a request to the end of its body.
    pub read: Option<Duration>,
    /// For the head of a request.
    pub read_header: Option<Duration>,
    /// Between two requests on a connection.
    pub idle: Option<Duration>,
    /// From the head of a request to the end of its answer.
    pub write: Option<Duration>,
}

impl Default for Timeouts {
    /// Go's defaults.
    fn default() -> Self {
        Self { read: None, read_header: Some(Duration::from_secs(5)), idle: Some(Duration::from_mins(2)), write: None }
    }
}

/// What an HTTP server needs.
#[derive(Debug)]
pub struct Args {
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// What it serves.
    pub router: Router,
    /// What encrypts it; `None` is plain HTTP.
    pub tls: Option<Tls>,
    /// How long clients may take.
    pub timeouts: Timeouts,
    /// Greatest head of a request in bytes; 4,096 more are let pass.
    pub max_header_bytes: usize,
}

/// Serves HTTP/1.1 until the task is stopped; answers that are under way then have 5 seconds.
///
/// Trailers of response bodies reach every client, whether it asked for them or not.
#[must_use]
pub fn serve(args: Args) -> Task {
    Task::spawn(|stop| run(args, stop))
}

/// Goes with every request: cancelled when the server is to stop, so that answers without an end come to one.
#[derive(Clone, Debug)]
pub struct Stopping(pub CancellationToken);

/// What all connections of a server have in common.
struct Common {
    http: http1::Builder,
    router: Router,
    limits: Limits,
    tls: Option<Tls>,
    read: Option<Duration>,
}

impl Common {
    fn new(router: Router, tls: Option<Tls>, timeouts: Timeouts, max_header_bytes: usize) -> Self {
        let head_max = max_header_bytes.saturating_add(HEAD_SLOP);
        let mut http = http1::Builder::new();
        // The watch below knows idle from busy, which hyper's own timer does not.
        http.header_read_timeout(None).title_case_headers(true);
        http.max_header_size(head_max).max_buf_size(BUFFER_MAX.max(head_max).max(BUFFER_MIN));
        let limits = Limits { idle: timeouts.idle, head: timeouts.read_header, answer: timeouts.write };
        Self { http, router, limits, tls, read: timeouts.read }
    }
}

async fn run(args: Args, stop: CancellationToken) -> Result<(), Fatal> {
    let Args { listeners, router, tls, timeouts, max_header_bytes } = args;
    let common = Arc::new(Common::new(router, tls, timeouts, max_header_bytes));
    let mut guests = Guests::new();
    let mut turn = 0;
    loop {
        let has_room = guests.has_room();
        tokio::select! { biased;
            () = stop.cancelled() => break,
            Some(()) = guests.gone() => (),
            accepted = accept(&listeners, &mut turn), if has_room => match accepted {
                Ok(stream) => {
                    let shared = Shared::new();
                    let talk = welcome(stream, Arc::clone(&common), Arc::clone(&shared), stop.clone());
                    guests.welcome(shared, talk);
                }
                Err(error) => {
                    tracing::warn!("accepting an HTTP connection failed: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listeners);
    let all = async { while guests.gone().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_MAX, all).await.is_err() {
        tracing::warn!("{} HTTP answers were cut off by the shutdown", guests.len());
    }
    guests.shutdown().await;
    Ok(())
}

/// Accepts from the listeners in turn, so that a busy one starves no other.
async fn accept(listeners: &[Listener], turn: &mut usize) -> io::Result<Stream> {
    poll_fn(|cx| {
        for step in 0..listeners.len() {
            let at = (*turn + step) % listeners.len();
            if let Poll::Ready(accepted) = listeners[at].poll_accept(cx) {
                *turn = at + 1;
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}

/// Shakes hands where that is asked for; then answers.
async fn welcome(stream: Stream, common: Arc<Common>, shared: Arc<Shared>, stop: CancellationToken) {
    let remote = stream.remote();
    let Some(tls) = common.tls.as_ref().filter(|_| !stream.is_encrypted()) else {
        return converse((stream, remote), common, shared, stop).await;
    };
    let shaken = tokio::select! {
        shaken = tls.accept(stream, common.limits.head) => shaken,
        () = stop.cancelled() => return,
    };
    match shaken {
        Ok(stream) => converse((stream, remote), common, shared, stop).await,
        Err(error) => tracing::debug!("a TLS handshake failed: {error}"),
    }
}

async fn converse<S>((stream, remote): (S, Remote), common: Arc<Common>, shared: Arc<Shared>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let io = TokioIo::new(Io::new(stream, Arc::clone(&shared)));
    let stopping = Stopping(stop.clone());
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(stopping.clone());
        request.extensions_mut().insert(remote);
        answer(request, &common, Arc::clone(&shared))
    });
    let mut connection = pin!(common.http.serve_connection(io, service));
    let mut is_stopping = false;
    loop {
        let next_look = common.limits.tick().map(|tick| task::now() + tick);
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!("an HTTP connection ended early: {error}");
                }
                return;
            }
            () = stop.cancelled(), if !is_stopping => {
                if shared.phase().0 != Phase::Answer {
                    return;
                }
                connection.as_mut().graceful_shutdown();
                is_stopping = true;
            }
            () = task::sleep_until(next_look) => {
                if common.limits.due(shared.phase()).is_some_and(|due| due <= task::now()) {
                    return;
                }
            }
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    common: &Common,
    shared: Arc<Shared>,
) -> Result<axum::http::Response<Diverted<Body>>, Infallible> {
    let number = shared.begin(request.method() == Method::HEAD);
    let deadline = common.read.map(|limit| task::now() + limit);
    let request = request.map(|body| Body::new(Timed::new(body, deadline)));
    let response = common.router.clone().oneshot(request).await?;
    if response.status() == StatusCode::NO_CONTENT
        && let Some(trailers) = response.headers().get(header::TRAILER)
    {
        shared.announce(number, trailers.clone());
    }
    Ok(response.map(|body| Diverted::new(body, shared, number)))
}
