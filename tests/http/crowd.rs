//! Ten thousand clients that say nothing: the others do not notice, and memory is bounded.
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpSocket, TcpStream};

use super::{QUICK, routes, server, talk};

/// The bound of the server.
const IDLE: usize = 10_000;
/// Files of the test itself and of those that run beside it.
const SPARE: u64 = 500;
/// Memory that one of them may take, on both sides together, in bytes.
const EACH_MAX: usize = 32 << 10;
/// Connections that are opened at a time: what waits to be accepted is bounded too.
const OPENING: usize = 256;
const ASK: &str = "GET /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Lets this process open as many files as the system lets it; returns how many connections of both sides that is.
fn room() -> usize {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let files = if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    let room = usize::try_from(files.saturating_sub(SPARE) / 2).unwrap_or(usize::MAX).min(IDLE);
    if room < IDLE {
        eprintln!("only {room} connections: this process may open {files} files");
    }
    room
}

/// Each connects from one of a few addresses, so that there are ports for all.
async fn connect(to: SocketAddr, number: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let last = 1 + u8::try_from(number % 8).unwrap();
    socket.bind(([127, 0, 0, last], 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

async fn connect_all(to: SocketAddr, numbers: std::ops::Range<usize>) -> Vec<TcpStream> {
    let (mut numbers, mut opening, mut open) = (numbers.into_iter(), FuturesUnordered::new(), Vec::new());
    loop {
        while opening.len() < OPENING
            && let Some(number) = numbers.next()
        {
            opening.push(connect(to, number));
        }
        match opening.next().await {
            Some(stream) => open.push(stream),
            None => return open,
        }
    }
}

/// Memory of this process that is in use, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Whether the other side has closed, which it tells without any byte.
fn is_closed(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Ok(0))
}

#[tokio::test]
async fn ten_thousand_idle_connections_keep_nobody_out_and_take_little_memory() {
    let room = room();
    let (address, _task) = server(routes(), QUICK).await;
    let to: SocketAddr = address.parse().unwrap();
    assert!(talk(&address, ASK).await.ends_with("plain"));
    let before = resident();
    let idle = connect_all(to, 0..room).await;
    // Whoever asks is accepted after all of them, and is one too many where all of them are there.
    for _ in 0..20 {
        let answer = tokio::time::timeout(Duration::from_secs(5), talk(&address, ASK)).await.unwrap();
        assert!(answer.ends_with("plain"), "{answer}");
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < room * EACH_MAX, "{} KiB for {room} connections", grown >> 10);
    // Those that have been idle for less time are there still.
    let answered = futures::future::join_all(idle.iter().rev().take(50).map(asked)).await;
    assert!(answered.into_iter().all(|answered| answered));
    let closed = idle.iter().filter(|stream| is_closed(stream)).count();
    assert!(closed <= 30 && (room < IDLE || closed > 0), "{closed} made room");
}

/// Whether one that was idle is answered when it asks.
async fn asked(stream: &TcpStream) -> bool {
    stream.writable().await.unwrap();
    assert_eq!(stream.try_write(ASK.as_bytes()).unwrap(), ASK.len());
    let mut bytes = [0; 12];
    stream.readable().await.unwrap();
    stream.try_read(&mut bytes).is_ok_and(|count| bytes[..count] == *b"HTTP/1.1 200")
}
