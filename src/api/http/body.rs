//! The bodies of a connection: answers, whose trailers go past hyper, and requests, which have to come in time.
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::connection::Shared;
use crate::task;

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

/// How long a client is waited for in all, in the middle of a body.
const WAIT_MAX: Duration = Duration::from_mins(2);
/// Bytes for which it is waited a second more: who sends slowly and steadily is let, who drips is not.
const PACE_MIN: u64 = 64;

/// The body of a request, which has to come at some pace, and be there by a moment if one is set.
pub(super) struct Timed<B> {
    body: B,
    deadline: Option<Instant>,
    read: u64,
    /// How long the client was waited for, before it is waited for now.
    waited: Duration,
    waits: Option<Waits>,
}

/// The client is waited for.
struct Waits {
    since: Instant,
    late: Pin<Box<Sleep>>,
}

impl<B> Timed<B> {
    pub(super) const fn new(body: B, deadline: Option<Instant>) -> Self {
        Self { body, deadline, read: 0, waited: Duration::ZERO, waits: None }
    }

    /// When a client that is waited for since `since` has been waited for too long.
    fn due(&self, since: Instant) -> Instant {
        let patience = WAIT_MAX.saturating_add(Duration::from_secs(self.read / PACE_MIN));
        let due = since + patience.saturating_sub(self.waited);
        self.deadline.map_or(due, |deadline| deadline.min(due))
    }

    fn begin(&self) -> Waits {
        let since = task::now();
        Waits { since, late: Box::pin(tokio::time::sleep_until(self.due(since).into())) }
    }
}

impl<B> Body for Timed<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            if let Some(Waits { since, .. }) = self.waits.take() {
                self.waited += task::now().saturating_duration_since(since);
            }
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            self.read += data.map_or(0, |data| data.len() as u64);
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let mut waits = self.waits.take().unwrap_or_else(|| self.begin());
        let late = waits.late.as_mut().poll(cx);
        self.waits = Some(waits);
        ready!(late);
        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    type Part = Result<Frame<Bytes>, io::Error>;

    fn part(bytes: usize) -> Frame<Bytes> {
        Frame::data(vec![b'x'; bytes].into())
    }

    /// Sends a part each time that `pause` passes; returns when that was given up, and how many bytes came.
    async fn read(bytes: usize, pause: Duration, parts: usize) -> (Duration, usize, bool) {
        let (sender, receiver) = mpsc::unbounded::<Part>();
        let sending = async {
            for _ in 0..parts {
                tokio::time::sleep(pause).await;
                // Who has given up reads no more.
                let _ = sender.unbounded_send(Ok(part(bytes)));
            }
            drop(sender);
        };
        let (begun, mut body) = (task::now(), Timed::new(StreamBody::new(receiver), None));
        let reading = async {
            let mut count = 0;
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return (task::now() - begun, count, false) };
                count += frame.into_data().unwrap().len();
            }
            (task::now() - begun, count, true)
        };
        tokio::join!(sending, reading).1
    }

    #[tokio::test(start_paused = true)]
    async fn who_drips_is_given_up_and_who_is_slow_and_steady_is_not() {
        let (given_up, count, is_whole) = read(1, Duration::from_secs(50), 100).await;
        assert_eq!((given_up.as_secs(), count, is_whole), (120, 2, false));
        let (given_up, count, is_whole) = read(1, Duration::from_secs(1), 1000).await;
        assert_eq!((given_up.as_secs(), count, is_whole), (121, 120, false));
        let (ended, count, is_whole) = read(64, Duration::from_secs(1), 1000).await;
        assert_eq!((ended.as_secs(), count, is_whole), (1000, 64_000, true));
        let (ended, _, is_whole) = read(64 << 10, Duration::from_secs(90), 20).await;
        assert_eq!((ended.as_secs(), is_whole), (1800, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_waits_for_its_reader_is_not_slow() {
        let parts = (0..50).map(|_| Part::Ok(part(1)));
        let mut body = Timed::new(StreamBody::new(futures::stream::iter(parts)), None);
        while let Some(frame) = body.frame().await {
            assert!(frame.is_ok());
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_that_is_set_holds_whatever_the_pace() {
        let begun = task::now();
        let mut body = Timed::new(StreamBody::new(mpsc::unbounded::<Part>().1), Some(begun + Duration::from_secs(5)));
        // The sender is gone: nothing is waited for.
        assert!(body.frame().await.is_none());
        let (_sender, receiver) = mpsc::unbounded::<Part>();
        let mut body = Timed::new(StreamBody::new(receiver), Some(begun + Duration::from_secs(5)));
        assert!(body.frame().await.unwrap().is_err());
        assert_eq!((task::now() - begun).as_secs(), 5);
    }
}
