//! A muxer and its streams, with what passes through them counted.
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};

use super::negotiation::{Negotiation, Stand};
use super::tally::{Tallies, Tally};

/// Counts what the streams of a connection carry.
#[derive(Debug)]
pub struct Counted<M> {
    inner: M,
    tallies: Tallies,
}

impl<M> Counted<M> {
    /// Counts the streams of `inner` with `tallies`.
    pub const fn new(inner: M, tallies: Tallies) -> Self {
        Self { inner, tallies }
    }
}

impl<M> StreamMuxer for Counted<M>
where
    M: StreamMuxer + Unpin,
    M::Substream: Unpin,
{
    type Substream = CountedStream<M::Substream>;
    type Error = M::Error;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.get_mut().inner).poll(cx)
    }

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        let Self { inner, tallies } = self.get_mut();
        Pin::new(inner).poll_inbound(cx).map_ok(|stream| CountedStream::new(stream, false, tallies.clone()))
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        let Self { inner, tallies } = self.get_mut();
        Pin::new(inner).poll_outbound(cx).map_ok(|stream| CountedStream::new(stream, true, tallies.clone()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.get_mut().inner).poll_close(cx)
    }
}

/// One stream; the bytes until its protocol is known count as unnamed, as in Go.
#[derive(Debug)]
pub struct CountedStream<S> {
    inner: S,
    is_dialer: bool,
    tally: Arc<Tally>,
    /// Gone when the protocol is known, or will not be.
    negotiation: Option<Box<(Negotiation, Tallies)>>,
}

impl<S> CountedStream<S> {
    fn new(inner: S, is_dialer: bool, tallies: Tallies) -> Self {
        let tally = tallies.unnamed();
        Self { inner, is_dialer, tally, negotiation: Some(Box::new((Negotiation::default(), tallies))) }
    }

    fn follow(&mut self, by_dialer: bool, bytes: &[u8]) {
        let Some(following) = &mut self.negotiation else { return };
        let (negotiation, tallies) = &mut **following;
        match negotiation.hear(by_dialer, bytes) {
            Stand::Open => return,
            Stand::Agreed(protocol) => self.tally = tallies.of(&protocol),
            Stand::Lost => (),
        }
        self.negotiation = None;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let n = ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        this.tally.received(n);
        this.follow(!this.is_dialer, &buf[..n]);
        Poll::Ready(Ok(n))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let n = ready!(Pin::new(&mut this.inner).poll_write(cx, buf))?;
        this.tally.sent(n);
        this.follow(this.is_dialer, &buf[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_close(cx)
    }
}
