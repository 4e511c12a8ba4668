//! Where clients connect to: TCP addresses, unix sockets, and streams over libp2p.
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use multiaddr::Multiaddr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, lookup_host};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

use super::remote::Remote;
use crate::model::PeerId;
use crate::swarm::{self, tunnel::Incoming};
use crate::wire::rest::{io_words, tcp_target};

/// A bound address that accepts connections; a unix socket's file goes when it is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: String,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
    Streams(Mutex<Incoming>),
}

/// Why an address could not be bound; the texts are Go's.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Neither TCP nor a unix socket.
    #[error("cannot listen for HTTP on {0}: it has to be /ip4, /ip6 or /dns4 with /tcp, or /unix")]
    Unsupported(String),
    /// The system refused.
    #[error("listen {address}: bind: {}", io_words(.error))]
    Refused {
        /// The network and address.
        address: String,
        /// Why.
        #[source]
        error: io::Error,
    },
}

impl Listener {
    /// Binds a multiaddress such as `/ip4/127.0.0.1/tcp/9094` or `/unix/run/api.sock`; port 0 takes one that is free.
    ///
    /// # Errors
    /// [`BindError`].
    pub async fn bind(address: &str) -> Result<Self, BindError> {
        if let Some(path) = address.strip_prefix("/unix/") {
            return Self::unix(Path::new(&format!("/{path}"))).await;
        }
        let unsupported = || BindError::Unsupported(address.into());
        let parsed: Multiaddr = address.parse().map_err(|_| unsupported())?;
        let (target, _) = tcp_target(&parsed).filter(|(_, has_more)| !has_more).ok_or_else(unsupported)?;
        Self::tcp(&target).await.map_err(|error| {
            let network = if target.starts_with('[') { "tcp6" } else { "tcp4" };
            BindError::Refused { address: format!("{network} {target}"), error }
        })
    }

    async fn tcp(target: &str) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in lookup_host(target).await? {
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    let address = multiaddress(listener.local_addr()?);
                    return Ok(Self { socket: Socket::Tcp(listener), address });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Binds a unix socket; a file left behind by a process that is gone is replaced.
    ///
    /// # Errors
    /// [`BindError::Refused`].
    pub async fn unix(path: &Path) -> Result<Self, BindError> {
        let refused = |error| BindError::Refused { address: format!("unix {}", path.display()), error };
        let is_stale = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        if UnixStream::connect(path).await.as_ref().is_err_and(is_stale) {
            std::fs::remove_file(path).map_err(refused)?;
        }
        let listener = UnixListener::bind(path).map_err(refused)?;
        Ok(Self { socket: Socket::Unix(listener, path.into()), address: format!("/unix{}", path.display()) })
    }

    /// Takes the streams that come to a libp2p host, each a connection that is encrypted already.
    #[must_use]
    pub fn streams(incoming: Incoming) -> Self {
        let address = incoming.address().to_string();
        Self { socket: Socket::Streams(Mutex::new(incoming)), address }
    }

    /// The bound multiaddress, with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The bound TCP address; `None` for all others.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(..) | Socket::Streams(_) => None,
        }
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        match &self.socket {
            Socket::Tcp(listener) => listener.poll_accept(cx).map_ok(|(stream, _)| {
                // Answers are small: waiting to fill a segment would only delay them. A socket that refuses still works.
                let _ = stream.set_nodelay(true);
                Stream::Tcp(stream)
            }),
            Socket::Unix(listener, _) => listener.poll_accept(cx).map_ok(|(stream, _)| Stream::Unix(stream)),
            Socket::Streams(incoming) => {
                match incoming.lock().unwrap_or_else(PoisonError::into_inner).poll_next(cx) {
                    Poll::Ready(Some((peer, stream))) => Poll::Ready(Ok(Stream::Libp2p(stream.compat(), peer))),
                    // A host that has ended is its owner's to notice.
                    Poll::Ready(None) | Poll::Pending => Poll::Pending,
                }
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Socket::Unix(_, path) = &self.socket {
            // Somebody else may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn multiaddress(address: SocketAddr) -> String {
    let family = if address.is_ipv4() { "ip4" } else { "ip6" };
    format!("/{family}/{}/tcp/{}", address.ip(), address.port())
}

/// An accepted connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Libp2p(Compat<swarm::Stream>, PeerId),
}

impl Stream {
    /// Who is at the other end.
    pub(super) fn remote(&self) -> Remote {
        match self {
            Self::Tcp(stream) => stream.peer_addr().map_or(Remote::Local, |address| Remote::Address(address.ip())),
            Self::Unix(_) => Remote::Local,
            Self::Libp2p(_, peer) => Remote::Peer(*peer),
        }
    }

    /// Whether bytes are encrypted below.
    pub(super) const fn is_encrypted(&self) -> bool {
        matches!(self, Self::Libp2p(..))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Libp2p(stream, _) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Libp2p(stream, _) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Libp2p(stream, _) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Libp2p(stream, _) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
