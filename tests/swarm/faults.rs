//! Wrong secrets, dead addresses, foreign programs: what is said and counted.
use std::io::Write;
use std::sync::{Arc, Mutex};

use ipfs_cluster::swarm::{Args, DialError, Secret, SwarmError, spawn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing_subscriber::fmt::MakeWriter;

use crate::node::{args, own_address, start, start_with, until};

/// Collects log lines of this thread.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn listen() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(log.clone())
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub fn lines(&self, with: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(with)).map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

const CAUSE: &str = "wrong secret, or not a cluster peer";

#[tokio::test]
async fn with_a_wrong_secret_both_sides_name_the_cause_once() {
    let (log, _guard) = Log::listen();
    let a = start_with(&[]).await;
    let mut stranger = args();
    stranger.secret = Some(Secret([8; 32]));
    stranger.addresses = vec![a.address()];
    let b = start(stranger).await;
    until("several tries", || b.swarm.counts().dials_refused >= 2 && a.swarm.counts().handshakes_refused >= 2).await;
    assert!(a.swarm.connected().is_empty() && b.swarm.connected().is_empty());
    let address = a.address().to_string();
    let dialer = log.lines(&address);
    assert_eq!(dialer.len(), 1, "{dialer:?}");
    assert!(dialer[0].contains(CAUSE), "{dialer:?}");
    let listener = log.lines("connection from 127.0.0.1");
    assert_eq!(listener.len(), 1, "{listener:?}");
    assert!(listener[0].contains(CAUSE), "{listener:?}");
}

#[tokio::test]
async fn a_peer_without_a_secret_is_refused_by_one_with() {
    let a = start_with(&[]).await;
    let mut open = args();
    open.secret = None;
    let b = start(open).await;
    let error = b.swarm.connect(a.address()).await.unwrap_err();
    assert!(matches!(error, DialError::Refused(_)), "{error}");
    assert!(error.to_string().contains(CAUSE));
}

#[tokio::test]
async fn a_dead_address_is_not_taken_for_a_wrong_secret() {
    let (log, _guard) = Log::listen();
    let a = start(Args { listen: vec![own_address()], ..args() }).await;
    let address = a.address();
    a.task.stop().await.unwrap();
    let b = start_with(std::slice::from_ref(&address)).await;
    until("several tries", || b.swarm.counts().dials_failed >= 2).await;
    assert_eq!(b.swarm.counts().dials_refused, 0);
    let lines = log.lines(&address.to_string());
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("not reached"), "{lines:?}");
    let error = b.swarm.connect(address).await.unwrap_err();
    assert!(matches!(error, DialError::Unreached(_)), "{error}");
}

#[tokio::test]
async fn another_peer_at_a_configured_address_is_named() {
    let (log, _guard) = Log::listen();
    let a = start_with(&[]).await;
    let mut address = a.address();
    address.pop();
    let wrong = address.with_p2p(libp2p::PeerId::random()).unwrap();
    let b = start_with(std::slice::from_ref(&wrong)).await;
    until("a try", || b.swarm.counts().dials_failed >= 1).await;
    until("the sentence", || !log.lines(&a.id().to_string()).is_empty()).await;
}

#[tokio::test]
async fn a_foreign_program_on_the_port_changes_nothing() {
    let a = start_with(&[]).await;
    let port = a.address().iter().find_map(|part| match part {
        libp2p::multiaddr::Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    for request in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], &[0; 4096]] {
        let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port.unwrap())).await.unwrap();
        socket.write_all(request).await.unwrap();
        socket.shutdown().await.unwrap();
        // Whatever comes back is garbage to a foreign program.
        let _ = socket.read_to_end(&mut Vec::new()).await;
    }
    until("both are counted", || a.swarm.counts().handshakes_refused == 2).await;
    let b = start_with(&[a.address()]).await;
    until("connected", || a.swarm.connected() == [b.id()]).await;
}

#[tokio::test]
async fn addresses_that_cannot_be_listened_on_are_passed_over_unless_all_are() {
    let mut some = args();
    some.listen.push("/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap());
    let a = start(some.clone()).await;
    assert_eq!(a.swarm.listen_addresses().len(), 1);
    some.listen = vec!["/ip4/127.0.0.1/udp/0/quic".parse().unwrap(), a.address()];
    let error = spawn(some).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, SwarmError::Listen(_)), "{error}");
    assert!(error.to_string().contains("only TCP is supported"), "{error}");
}

#[tokio::test]
async fn what_is_announced_is_told_to_others_and_what_is_not_is_not() {
    let announced: ipfs_cluster::model::Multiaddr = "/dns4/peer.example/tcp/9096".parse().unwrap();
    let mut public = args();
    public.announce = vec![announced.clone()];
    let a = start(public).await;
    assert_eq!(a.swarm.listen_addresses(), [announced.with_p2p(a.id()).unwrap()]);
}
