//! The bodies of a connection: answers, whose trailers go past hyper, and requests, which have to come in time.
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::connection::Shared;

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

/// The body of a request that has to be there by a moment.
pub(super) struct Timed {
    body: Incoming,
    late: Pin<Box<Sleep>>,
}

impl Timed {
    pub(super) fn new(body: Incoming, deadline: Instant) -> Self {
        Self { body, late: Box::pin(tokio::time::sleep_until(deadline.into())) }
    }
}

impl Body for Timed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(self.late.as_mut().poll(cx));
        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
