//! Streams and frames.
use bytes::Bytes;
use futures::AsyncWriteExt;
use futures::future::join_all;
use ipfs_cluster::swarm::StreamProtocol;
use ipfs_cluster::swarm::streams::{FRAME_MAX, FrameError, read_frame, write_frame};

use crate::node::{ECHO, Node, start_with, until};

/// Answers each frame with itself, each stream apart, for ever.
async fn echo(node: &mut Node) {
    let mut jobs = tokio::task::JoinSet::new();
    loop {
        let (_, _, mut stream) = node.stream().await;
        jobs.spawn(async move {
            while let Ok(Some(frame)) = read_frame(&mut stream).await {
                write_frame(&mut stream, &frame).await.unwrap();
            }
            stream.close().await
        });
    }
}

#[tokio::test]
async fn a_burst_of_sixty_streams_is_served_whole() {
    let mut a = start_with(&[]).await;
    let b = start_with(&[a.address()]).await;
    a.connected(b.id()).await;
    let to = a.id();
    let calls = (0..60u8).map(|n| {
        let swarm = b.swarm.clone();
        async move {
            let mut stream = swarm.open(to, ECHO).await.unwrap();
            let frame = vec![n; 5000];
            write_frame(&mut stream, &frame).await.unwrap();
            assert_eq!(read_frame(&mut stream).await.unwrap(), Some(Bytes::from(frame)));
        }
    });
    tokio::select! {
        () = echo(&mut a) => unreachable!("it runs for ever"),
        _ = join_all(calls) => (),
    }
    assert_eq!(a.swarm.counts().streams_accepted, 60);
    assert_eq!(a.swarm.counts().streams_dropped, 0);
}

#[tokio::test]
async fn both_ends_count_the_bytes_of_a_protocol() {
    let mut a = start_with(&[]).await;
    let b = start_with(&[a.address()]).await;
    a.connected(b.id()).await;
    let to = a.id();
    let call = async {
        let mut stream = b.swarm.open(to, ECHO).await.unwrap();
        write_frame(&mut stream, &vec![1; 70_000]).await.unwrap();
        assert_eq!(read_frame(&mut stream).await.unwrap().map(|frame| frame.len()), Some(70_000));
    };
    tokio::select! {
        () = echo(&mut a) => unreachable!("it runs for ever"),
        () = call => (),
    }
    let (here, there) = (a.swarm.traffic(), b.swarm.traffic());
    for (mine, theirs) in [(here[ECHO.as_ref()], there[ECHO.as_ref()]), (there[ECHO.as_ref()], here[ECHO.as_ref()])] {
        // A frame is its length and its bytes; the name of the protocol was agreed on before.
        assert!((70_001..70_100).contains(&mine.total_in), "{mine:?}");
        assert_eq!((mine.total_in, mine.total_out), (theirs.total_out, theirs.total_in));
    }
    assert!(here[""].total_in > 0 && here.contains_key("/ipfs/id/1.0.0"), "{:?}", here.keys());
    assert!(here.keys().any(|protocol| protocol.starts_with("/meshsub/")), "{:?}", here.keys());
    until("a rate is seen", || b.swarm.traffic()[ECHO.as_ref()].rate_in > 0.0).await;
}

#[tokio::test]
async fn a_stream_to_a_known_peer_dials_it() {
    let mut a = start_with(&[]).await;
    let b = start_with(&[]).await;
    b.swarm.add_addresses(a.id(), &[a.address()]);
    let (stream, _) = tokio::join!(b.swarm.open(a.id(), ECHO), a.stream());
    assert!(stream.is_ok());
    assert_eq!(b.swarm.known_addresses(&a.id()), [a.address()]);
}

#[tokio::test]
async fn an_unknown_protocol_is_an_error_at_once() {
    let mut a = start_with(&[]).await;
    let b = start_with(&[a.address()]).await;
    a.connected(b.id()).await;
    let error = b.swarm.open(a.id(), StreamProtocol::new("/nobody/1")).await.unwrap_err();
    assert!(error.to_string().contains("protocols not supported: [/nobody/1]"), "{error}");
}

#[tokio::test]
async fn a_hostile_frame_is_refused_and_the_peer_goes_on() {
    let mut a = start_with(&[]).await;
    let b = start_with(&[a.address()]).await;
    a.connected(b.id()).await;
    let mut stream = b.swarm.open(a.id(), ECHO).await.unwrap();
    stream.write_all(&u32::MAX.to_le_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let (_, _, mut theirs) = a.stream().await;
    assert!(matches!(read_frame(&mut theirs).await, Err(FrameError::TooLarge(len)) if len > FRAME_MAX));
    drop((stream, theirs));
    until("still connected", || a.swarm.connected() == [b.id()]).await;
}
