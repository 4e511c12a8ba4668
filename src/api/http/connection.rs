//! One connection: what it is busy with, and its socket.
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::trailers::{Event, Framer};
use crate::task;

/// What the socket, the bodies and the watch of one connection share.
#[derive(Debug)]
pub(super) struct Shared(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    phase: Phase,
    since: Instant,
    /// Requests whose response is not all written, oldest first; more than one only while a response waits in buffers.
    replies: VecDeque<Reply>,
    /// The number of the first of them.
    first: u64,
}

#[derive(Debug)]
struct Reply {
    is_head: bool,
    trailers: Option<HeaderMap>,
    /// Trailers that an answer without a body speaks of all the same, which hyper leaves out.
    announced: Option<HeaderValue>,
}

/// What a connection is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between two requests.
    Idle,
    /// A head is being received.
    Head,
    /// A request is being answered.
    Answer,
}

impl Shared {
    pub(super) fn new() -> Arc<Self> {
        let inner = Inner { phase: Phase::Head, since: task::now(), replies: VecDeque::new(), first: 0 };
        Arc::new(Self(Mutex::new(inner)))
    }

    /// What the connection is busy with, and since when.
    pub(super) fn phase(&self) -> (Phase, Instant) {
        let inner = self.lock();
        (inner.phase, inner.since)
    }

    /// Notes that a request was received whole; returns its number.
    pub(super) fn begin(&self, is_head: bool) -> u64 {
        let mut inner = self.lock();
        inner.enter(Phase::Answer);
        inner.replies.push_back(Reply { is_head, trailers: None, announced: None });
        inner.first + inner.replies.len() as u64 - 1
    }

    fn received(&self) {
        let mut inner = self.lock();
        if inner.phase == Phase::Idle {
            inner.enter(Phase::Head);
        }
    }

    fn ended(&self) {
        let mut inner = self.lock();
        if inner.replies.pop_front().is_some() {
            inner.first += 1;
        }
        if inner.replies.is_empty() {
            inner.enter(Phase::Idle);
        }
    }

    fn is_bodiless(&self) -> Option<bool> {
        self.lock().replies.front().map(|reply| reply.is_head)
    }

    pub(super) fn leave_trailers(&self, number: u64, trailers: HeaderMap) {
        if let Some(reply) = self.lock().reply(number) {
            reply.trailers = Some(trailers);
        }
    }

    /// Notes that the head of a reply has to speak of trailers.
    pub(super) fn announce(&self, number: u64, trailers: HeaderValue) {
        if let Some(reply) = self.lock().reply(number) {
            reply.announced = Some(trailers);
        }
    }

    fn take_announced(&self) -> Option<HeaderValue> {
        self.lock().replies.front_mut().and_then(|reply| reply.announced.take())
    }

    fn take_trailers(&self) -> Option<HeaderMap> {
        self.lock().replies.front_mut().and_then(|reply| reply.trailers.take())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn reply(&mut self, number: u64) -> Option<&mut Reply> {
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok())?;
        self.replies.get_mut(at)
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = task::now();
    }
}

/// A socket that puts trailers where they belong.
#[derive(Debug)]
pub(super) struct Io<S> {
    socket: S,
    shared: Arc<Shared>,
    framer: Framer,
    /// Accepted and not yet written; at most one write of the server's and its trailers.
    out: BytesMut,
}

impl<S: AsyncWrite + Unpin> Io<S> {
    pub(super) fn new(socket: S, shared: Arc<Shared>) -> Self {
        Self { socket, shared, framer: Framer::default(), out: BytesMut::new() }
    }

    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let written = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.out))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn take_in(&mut self, mut bytes: &[u8]) {
        if self.framer.is_at_head()
            && self.shared.is_bodiless().is_none()
            && let Some(refusal) = refusal(bytes)
        {
            self.out.extend_from_slice(refusal.as_bytes());
            return;
        }
        while !bytes.is_empty() {
            let (taken, event) = self.framer.step(bytes, || self.shared.is_bodiless());
            self.out.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            match event {
                Some(Event::Trailers) => self.add_trailers(),
                Some(Event::Ended) => {
                    self.add_announcement();
                    self.shared.ended();
                }
                None => (),
            }
        }
    }

    fn add_announcement(&mut self) {
        let Some(trailers) = self.shared.take_announced() else { return };
        // The head has just been taken in, and goes out after this.
        if self.out.ends_with(b"\r\n\r\n") {
            self.out.truncate(self.out.len() - 2);
            for part in [b"Trailer: ", trailers.as_bytes(), b"\r\n\r\n"] {
                self.out.extend_from_slice(part);
            }
        }
    }

    fn add_trailers(&mut self) {
        for (name, value) in self.shared.take_trailers().iter().flatten() {
            let title = name.as_str().split('-').map(capitalised).collect::<Vec<_>>().join("-");
            for part in [title.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                self.out.extend_from_slice(part);
            }
        }
    }
}

/// What the server says by itself to a head that it cannot read, as Go says it: with its text as the body.
fn refusal(bytes: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(bytes).ok()?.strip_prefix("HTTP/1.1 4")?.split("\r\n").next()?;
    Some(format!("HTTP/1.1 4{line}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n4{line}"))
}

fn capitalised(word: &str) -> String {
    let mut word = word.to_owned();
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    word
}

impl<S: AsyncRead + Unpin> AsyncRead for Io<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.shared.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Io<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.drain(cx))?;
        self.take_in(buf);
        // What does not go out now goes with the next write or flush.
        match self.drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(buf.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// How long a connection may be in each phase; `None` is for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) idle: Option<Duration>,
    pub(super) head: Option<Duration>,
    pub(super) answer: Option<Duration>,
}

impl Limits {
    /// When a connection that entered `phase` at `since` has been in it for too long.
    pub(super) fn due(&self, (phase, since): (Phase, Instant)) -> Option<Instant> {
        let limit = match phase {
            Phase::Idle => self.idle,
            Phase::Head => self.head,
            Phase::Answer => self.answer,
        };
        limit.map(|limit| since + limit)
    }

    /// How often to look: often enough that the shortest limit is exceeded by a quarter at most.
    pub(super) fn tick(&self) -> Option<Duration> {
        [self.idle, self.head, self.answer].into_iter().flatten().min().map(|shortest| shortest / 4)
    }
}
