//! Connections to the daemon's RPC port: TCP or a unix socket.
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::model::Multiaddr;

/// How long a connection may take; the daemon is near, and its port is open or it is not.
const DIAL_MAX: Duration = Duration::from_secs(10);

/// Why an address is no RPC port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no address of an IPFS daemon: /ip4, /ip6 or /dns with /tcp, or /unix, is")]
pub struct NodeAddressError(pub Multiaddr);

/// Where the daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// An address.
    Ip(SocketAddr),
    /// A name, looked up at each dial: whether IPv4, IPv6 or both will do.
    Name { host: String, port: u16, v4: bool, v6: bool },
    /// A socket file.
    Unix(PathBuf),
}

impl Node {
    /// Reads a multiaddress.
    ///
    /// # Errors
    /// [`NodeAddressError`] when it is neither TCP nor a unix socket.
    pub fn parse(address: &Multiaddr) -> Result<Self, NodeAddressError> {
        use libp2p::multiaddr::Protocol as P;
        let mut parts = address.iter();
        let name = |host: &str, port, v4, v6| Self::Name { host: host.to_owned(), port, v4, v6 };
        match (parts.next(), parts.next()) {
            (Some(P::Ip4(ip)), Some(P::Tcp(port))) => Ok(Self::Ip((ip, port).into())),
            (Some(P::Ip6(ip)), Some(P::Tcp(port))) => Ok(Self::Ip((ip, port).into())),
            (Some(P::Dns4(host)), Some(P::Tcp(port))) => Ok(name(&host, port, true, false)),
            (Some(P::Dns6(host)), Some(P::Tcp(port))) => Ok(name(&host, port, false, true)),
            (Some(P::Dns(host)), Some(P::Tcp(port))) => Ok(name(&host, port, true, true)),
            (Some(P::Unix(path)), None) => Ok(Self::Unix(PathBuf::from(path.as_ref()))),
            _ => Err(NodeAddressError(address.clone())),
        }
    }

    /// The host of its URLs.
    pub fn host(&self) -> String {
        match self {
            Self::Ip(address) => address.to_string(),
            Self::Name { host, port, .. } => format!("{host}:{port}"),
            Self::Unix(_) => "unix".into(),
        }
    }

    async fn dial(&self) -> io::Result<Box<dyn Duplex>> {
        match self {
            Self::Ip(address) => Ok(Box::new(no_delay(TcpStream::connect(address).await?)?)),
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Name { host, port, v4, v6 } => {
                let found = tokio::net::lookup_host((host.as_str(), *port)).await?;
                let usable: Vec<SocketAddr> = found.filter(|a| if a.is_ipv4() { *v4 } else { *v6 }).collect();
                Ok(Box::new(no_delay(TcpStream::connect(usable.as_slice()).await?)?))
            }
        }
    }

    /// A failed dial in Go's words.
    fn dial_failed(&self, error: &io::Error) -> DialError {
        let (network, address) = match self {
            Self::Unix(path) => ("unix", path.display().to_string()),
            Self::Ip(_) | Self::Name { .. } => ("tcp", self.host()),
        };
        match error.raw_os_error() {
            Some(_) => DialError(format!("dial {network} {address}: connect: {}", words(error))),
            None => DialError(format!("dial {network} {address}: {}", words(error))),
        }
    }
}

fn no_delay(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// An IO error in Go's words: lower case, no number.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    if error.kind() == io::ErrorKind::TimedOut {
        "i/o timeout".into()
    } else if error.kind() == io::ErrorKind::UnexpectedEof {
        "EOF".into()
    } else {
        text.to_lowercase()
    }
}

/// A dial that failed, in Go's words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct DialError(String);

/// What hyper's client connects by; it ignores the URL, there is one daemon.
#[derive(Clone, Debug)]
pub(super) struct Dialer(pub Arc<Node>);

impl tower::Service<Uri> for Dialer {
    type Response = Socket;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Socket, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let node = self.0.clone();
        Box::pin(async move {
            match tokio::time::timeout(DIAL_MAX, node.dial()).await {
                Ok(Ok(stream)) => Ok(Socket(TokioIo::new(stream))),
                Ok(Err(error)) => Err(node.dial_failed(&error)),
                Err(_) => Err(node.dial_failed(&io::ErrorKind::TimedOut.into())),
            }
        })
    }
}

/// Bytes both ways.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// One connection.
pub(super) struct Socket(TokioIo<Box<dyn Duplex>>);

impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_and_unix_addresses_are_understood() {
        let node = |text: &str| Node::parse(&text.parse().unwrap());
        assert_eq!(node("/ip4/127.0.0.1/tcp/5001").unwrap().host(), "127.0.0.1:5001");
        assert_eq!(node("/ip6/::1/tcp/5001").unwrap().host(), "[::1]:5001");
        assert_eq!(node("/dns4/kubo/tcp/5001").unwrap().host(), "kubo:5001");
        assert_eq!(node("/unix/run%2Fkubo.sock").unwrap().host(), "unix");
        assert!(node("/ip4/127.0.0.1/udp/5001").is_err());
    }

    #[test]
    fn a_refused_dial_reads_as_in_go() {
        let node = Node::parse(&"/ip4/127.0.0.1/tcp/5001".parse().unwrap()).unwrap();
        let error = io::Error::from_raw_os_error(111);
        assert_eq!(node.dial_failed(&error).to_string(), "dial tcp 127.0.0.1:5001: connect: connection refused");
    }
}
