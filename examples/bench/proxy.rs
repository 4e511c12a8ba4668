//! A TCP proxy that counts bytes and lets each wait on its way, as a long line does.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Error;
use super::common::process::now;

/// Pieces on their way in one direction: 64 MiB, more than the windows of what is tested here.
const PIECES_MAX: usize = 1_024;

/// Bytes of a piece.
const PIECE: usize = 64 << 10;

/// The proxy; it ends when it is dropped.
pub struct Proxy {
    port: u16,
    bytes: Arc<AtomicU64>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// A way to `port` that takes `delay` in each direction.
    pub async fn start(port: u16, delay: Duration) -> Result<Self, Error> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let own = listener.local_addr()?.port();
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = bytes.clone();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                ways.spawn(connect(near, port, delay, counted.clone()));
            }
        });
        Ok(Self { port: own, bytes, _accepting: accepting })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Bytes that it carried, both ways.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

async fn connect(near: TcpStream, port: u16, delay: Duration, bytes: Arc<AtomicU64>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::join!(carry(near_in, far_out, delay, bytes.clone()), carry(far_in, near_out, delay, bytes));
}

/// Each piece leaves `delay` after it came; a line that is broken at one end is closed at the other.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
    bytes: Arc<AtomicU64>,
) {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    let read = async move {
        loop {
            let mut piece = vec![0; PIECE];
            match from.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(n) => piece.truncate(n),
            }
            bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if sender.send((now() + delay, piece)).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = pieces.recv().await {
            tokio::time::sleep_until(due.into()).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
