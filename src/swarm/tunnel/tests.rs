//! Real hosts on loopback.
use std::future::poll_fn;

use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::FuturesAsyncReadCompatExt;

use super::*;
use crate::swarm::transport::without_peer;
use crate::task::Task;

async fn host() -> (Incoming, Task) {
    listen(&Keypair::generate_ed25519(), &["/ip4/127.0.0.1/tcp/0".parse().unwrap()]).await.unwrap()
}

#[tokio::test]
async fn bytes_go_both_ways_and_the_server_knows_no_peer_before() {
    let (mut incoming, _task) = host().await;
    for address in [incoming.address().clone(), without_peer(incoming.address())] {
        let mut near = dial(address, None).await.unwrap();
        near.write_all(b"asked").await.unwrap();
        let (_, far) = poll_fn(|cx| incoming.poll_next(cx)).await.unwrap();
        let (mut far, mut bytes) = (far.compat(), [0; 5]);
        far.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"asked");
        far.write_all(b"answered").await.unwrap();
        far.shutdown().await.unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answered");
    }
}

#[tokio::test]
async fn another_identity_and_nobody_are_told_in_a_line() {
    let (incoming, _task) = host().await;
    let other = without_peer(incoming.address()).with(Protocol::P2p(PeerId::random()));
    let why = |address: Multiaddr| async move { dial(address, None).await.unwrap_err().to_string() };
    let mistaken = why(other.clone()).await;
    assert!(mistaken.starts_with(&format!("failed to dial {other}: ")) && !mistaken.contains('\n'), "{mistaken}");
    let nobody = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    assert_eq!(why(nobody).await, "failed to dial /ip4/127.0.0.1/tcp/1: Connection refused (os error 111)");
}

#[tokio::test]
async fn a_host_that_can_listen_nowhere_does_not_start() {
    let key = Keypair::generate_ed25519();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_address = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    for addresses in [vec!["/ip4/127.0.0.1/udp/1/quic-v1"], vec!["/ip4/192.0.2.1/tcp/1"], vec![taken_address.as_str()]]
    {
        let addresses: Vec<_> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        assert!(listen(&key, &addresses).await.is_err(), "{addresses:?}");
    }
}
