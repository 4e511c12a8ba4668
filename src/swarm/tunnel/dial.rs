//! The host that asks: made for one dial, with an identity that nobody has to know.
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{DialError, Stream, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, TransportError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

use super::PROTOCOL;
use super::host::{Behaviour, run, swarm};
use crate::swarm::args::Secret;
use crate::swarm::transport::peer_of;
use crate::task::Task;

/// How long dialling may take, handshake and all: with a wrong secret the other side may say nothing.
const DIAL_MAX: Duration = Duration::from_secs(15);

/// A stream to a peer; its connection goes with it.
pub struct TunnelStream {
    stream: Compat<Stream>,
    _host: Task,
}

impl std::fmt::Debug for TunnelStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TunnelStream")
    }
}

/// Dials `address`, in the private network of `secret` if there is one, and opens a stream for HTTP.
///
/// # Errors
/// What failed, in one line.
pub async fn dial(address: Multiaddr, secret: Option<&Secret>) -> io::Result<TunnelStream> {
    let dialled = tokio::time::timeout(DIAL_MAX, open(address.clone(), secret)).await;
    let error = match dialled {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) => error,
        Err(_) => format!("no answer within {DIAL_MAX:?}"),
    };
    // A wrong secret looks like silence.
    let network = if secret.is_some() { " in the private network of the secret" } else { "" };
    Err(io::Error::other(format!("failed to dial {address}{network}: {error}")))
}

async fn open(address: Multiaddr, secret: Option<&Secret>) -> Result<TunnelStream, String> {
    let mut swarm = swarm(&Keypair::generate_ed25519(), secret).map_err(|error| error.to_string())?;
    let options = match peer_of(&address) {
        Some(peer) => DialOpts::peer_id(peer).addresses(vec![address]).build(),
        None => DialOpts::unknown_peer_id().address(address).build(),
    };
    swarm.dial(options).map_err(|error| reason(&error))?;
    let peer = connected(&mut swarm).await?;
    let mut control = swarm.behaviour().streams.new_control();
    let host = Task::spawn(|stop| run(swarm, stop));
    let stream = control.open_stream(peer, PROTOCOL).await.map_err(|error| error.to_string())?;
    Ok(TunnelStream { stream: stream.compat(), _host: host })
}

async fn connected(swarm: &mut Swarm<Behaviour>) -> Result<PeerId, String> {
    loop {
        let event = swarm.select_next_some().await;
        if let SwarmEvent::ConnectionEstablished { peer_id, .. } = event {
            return Ok(peer_id);
        } else if let SwarmEvent::OutgoingConnectionError { error, .. } = event {
            return Err(reason(&error));
        }
    }
}

/// The innermost cause of each address that was tried: what is around it repeats the address.
fn reason(error: &DialError) -> String {
    let DialError::Transport(tried) = error else { return one_line(&error.to_string()) };
    let cause = |error: &TransportError<io::Error>| match error {
        TransportError::MultiaddrNotSupported(_) => "the address is not supported: TCP is".into(),
        TransportError::Other(error) => innermost(error),
    };
    let causes: Vec<String> = tried.iter().map(|(_, error)| one_line(&cause(error))).collect();
    causes.join("; ")
}

fn innermost(error: &io::Error) -> String {
    let mut error: &(dyn std::error::Error + 'static) = error;
    loop {
        // An io::Error stands for what it wraps, and passes it over as its source.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped.map(|wrapped| wrapped as &(dyn std::error::Error + 'static)).or_else(|| error.source()) {
            Some(inner) => error = inner,
            None => return error.to_string(),
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl AsyncRead for TunnelStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for TunnelStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
