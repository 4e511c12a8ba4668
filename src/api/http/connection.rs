//! One connection: what it is busy with, its socket, and the bodies that go out on it.
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
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
        inner.replies.push_back(Reply { is_head, trailers: None });
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

    fn leave_trailers(&self, number: u64, trailers: HeaderMap) {
        let mut inner = self.lock();
        let at = number.checked_sub(inner.first).and_then(|at| usize::try_from(at).ok());
        if let Some(reply) = at.and_then(|at| inner.replies.get_mut(at)) {
            reply.trailers = Some(trailers);
        }
    }

    fn take_trailers(&self) -> Option<HeaderMap> {
        self.lock().replies.front_mut().and_then(|reply| reply.trailers.take())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
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
        while !bytes.is_empty() {
            let (taken, event) = self.framer.step(bytes, || self.shared.is_bodiless());
            self.out.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            match event {
                Some(Event::Trailers) => self.add_trailers(),
                Some(Event::Ended) => self.shared.ended(),
                None => (),
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

/// A body whose trailers go past hyper.
pub(super) struct Diverted<B> {
    body: B,
    shared: Arc<Shared>,
    number: u64,
}

impl<B> Diverted<B> {
    pub(super) const fn new(body: B, shared: Arc<Shared>, number: u64) -> Self {
        Self { body, shared, number }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Diverted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(match frame.map(|frame| frame.map(Frame::into_trailers)) {
            Some(Ok(Ok(trailers))) => {
                self.shared.leave_trailers(self.number, trailers);
                None
            }
            Some(Ok(Err(frame))) => Some(Ok(frame)),
            Some(Err(error)) => Some(Err(error)),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
