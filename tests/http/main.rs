//! The HTTP server over real sockets, with clients that say what they please.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod crowd;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use ipfs_cluster::api::http::{Args, BindError, Listener, Timeouts, serve};
use ipfs_cluster::task::Task;

/// A stream of two chunks that look like the end of a body, and two trailers.
fn tricky() -> axum::response::Response {
    let mut trailers = axum::http::HeaderMap::new();
    trailers.append("x-stream-error", "one".parse().unwrap());
    trailers.append("x-stream-error", "two".parse().unwrap());
    let frames = [
        Frame::data(Bytes::from_static(b"0\r\n\r\n")),
        Frame::data(Bytes::from_static(b"x")),
        Frame::trailers(trailers),
    ];
    let body = StreamBody::new(stream::iter(frames.map(Ok::<_, std::convert::Infallible>)));
    axum::response::Response::builder().header("Trailer", "X-Stream-Error").body(Body::new(body)).unwrap()
}

fn routes() -> Router {
    Router::new()
        .route(
            "/stream",
            get(|| async { tricky() }).post(|body: Bytes| async move {
                drop(body);
                tricky()
            }),
        )
        .route("/echo", post(|body: String| async { body }))
        .route("/plain", get(|| async { "plain" }))
}

const QUICK: Timeouts = Timeouts { read: None, read_header: None, idle: None, write: None };

async fn server(router: Router, timeouts: Timeouts) -> (String, Task) {
    let listener = Listener::bind("/ip4/127.0.0.1/tcp/0").await.unwrap();
    let address = listener.tcp_address().unwrap().to_string();
    (address, serve(Args { listeners: vec![listener], router, tls: None, timeouts, max_header_bytes: 4096 }))
}

/// Sends `request` and reads until the server closes; dates are taken out.
async fn talk(address: &str, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer).await;
    answer.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
}

const STREAMED: &str = "HTTP/1.1 200 OK\r\nTrailer: X-Stream-Error\r\nTransfer-Encoding: chunked\r\n\r\n\
    5\r\n0\r\n\r\n\r\n1\r\nx\r\n0\r\nX-Stream-Error: one\r\nX-Stream-Error: two\r\n\r\n";

#[tokio::test]
async fn trailers_reach_clients_that_did_not_ask_for_them_once() {
    let (address, _task) = server(routes(), QUICK).await;
    for te in ["", "TE: trailers\r\n", "te: gzip, Trailers\r\n"] {
        let answer = talk(&address, &format!("GET /stream HTTP/1.1\r\nHost: x\r\n{te}Connection: close\r\n\r\n")).await;
        let expected =
            STREAMED.replace("Trailer: X-Stream-Error\r\n", "Trailer: X-Stream-Error\r\nConnection: close\r\n");
        let mut lines: Vec<_> = answer.lines().collect();
        let mut wanted: Vec<_> = expected.lines().collect();
        lines[1..4].sort_unstable();
        wanted[1..4].sort_unstable();
        assert_eq!(lines, wanted);
    }
}

#[tokio::test]
async fn pipelined_requests_get_their_own_answers_in_order() {
    let (address, _task) = server(routes(), QUICK).await;
    let requests = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n\
        POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 32\r\n\r\nGET /plain HTTP/1.1\r\nHost: x\r\n\r\n\
        HEAD /plain HTTP/1.1\r\nHost: x\r\n\r\n\
        POST /stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTE: x\r\n\r\n\
        GET /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = talk(&address, requests).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 5, "{answer}");
    assert_eq!(answer.matches("X-Stream-Error: one\r\nX-Stream-Error: two\r\n\r\n").count(), 2, "{answer}");
    assert!(answer.contains("GET /plain HTTP/1.1\r\nHost: x\r\n\r\nHTTP/1.1"), "{answer}");
    assert!(answer.ends_with("plain"), "{answer}");
}

#[tokio::test]
async fn odd_heads_get_a_400_and_nothing_more() {
    let (address, _task) = server(routes(), QUICK).await;
    for head in [
        "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        "GET /stream\r\n\r\n",
        "GET /stream HTTP/1.1\r\nHo st: x\r\n\r\n",
        "GET /stream HTTP/1.1\r\n folded: x\r\n\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
    ] {
        let answer = talk(&address, &format!("{head}GET /plain HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.matches("HTTP/1.1").count() == 1, "{head:?}: {answer}");
    }
    let old = talk(&address, "GET /stream HTTP/1.0\r\n\r\n").await;
    assert!(old.ends_with("0\r\n\r\nx"), "{old}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_a_431() {
    let (address, _task) = server(routes(), QUICK).await;
    let head = |size: usize| {
        format!("GET /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Big: {}\r\n\r\n", "x".repeat(size))
    };
    assert!(talk(&address, &head(7000)).await.starts_with("HTTP/1.1 200 "));
    let refused = talk(&address, &head(9000)).await;
    assert_eq!(
        refused,
        "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
         431 Request Header Fields Too Large"
    );
}

#[tokio::test]
async fn slow_heads_and_idle_connections_are_closed_each_in_its_time() {
    let quick = Timeouts { read_header: Some(std::time::Duration::from_millis(40)), ..QUICK };
    let (address, _task) = server(routes(), quick).await;
    assert_eq!(talk(&address, "").await, "");
    assert_eq!(talk(&address, "GET /plain HTTP/1.1\r\nHost:").await, "");
    // Long enough for a request on a busy machine.
    let idle = Timeouts { idle: Some(std::time::Duration::from_millis(500)), ..QUICK };
    let (address, _task) = server(routes(), idle).await;
    assert!(talk(&address, "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n").await.ends_with("plain"));
}

#[tokio::test]
async fn a_slow_reader_holds_the_source_back_and_leaving_drops_it() {
    struct Gone(Arc<AtomicUsize>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.store(usize::MAX, Ordering::SeqCst);
        }
    }
    let made = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&made);
    let endless = move || {
        let gone = Gone(Arc::clone(&counter));
        let chunks = std::iter::repeat_with(move || {
            gone.0.fetch_add(1, Ordering::SeqCst);
            Ok::<_, std::convert::Infallible>(Bytes::from(vec![b'x'; 32 * 1024]))
        });
        async { Body::from_stream(stream::iter(chunks)) }
    };
    let (address, _task) = server(Router::new().route("/", get(endless)), QUICK).await;
    let mut socket = TcpStream::connect(&address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    socket.readable().await.unwrap();
    let mut before = 0;
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let now = made.load(Ordering::SeqCst);
        assert!(now * 32 < 16 * 1024, "{} KiB", now * 32);
        if now > 0 && now == before {
            break;
        }
        before = now;
    }
    drop(socket);
    until(|| made.load(Ordering::SeqCst) == usize::MAX).await;
}

async fn until(mut is_so: impl FnMut() -> bool) {
    tokio::time::timeout(std::time::Duration::from_secs(10), async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_stop_lets_answers_end_and_closes_the_rest() {
    let (release, held) = tokio::sync::watch::channel(false);
    let asked = Arc::new(tokio::sync::Notify::new());
    let heard = Arc::clone(&asked);
    let slow = move || {
        let mut held = held.clone();
        heard.notify_one();
        async move {
            held.wait_for(|is_free| *is_free).await.unwrap();
            "late"
        }
    };
    let (address, task) = server(Router::new().route("/", get(slow)), QUICK).await;
    let idle = tokio::join!(talk(&address, ""), async {
        let busy = talk(&address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let stop = async {
            asked.notified().await;
            let stopping = task.stop();
            let free = async {
                tokio::time::sleep(std::time::Duration::from_millis(30)).await;
                release.send(true).unwrap();
            };
            tokio::join!(stopping, free).0.unwrap();
        };
        tokio::join!(busy, stop).0
    });
    assert_eq!(idle.0, "");
    assert!(idle.1.ends_with("late"), "{}", idle.1);
    assert!(TcpStream::connect(&address).await.is_err());
}

#[tokio::test]
async fn a_unix_socket_replaces_one_that_was_left_behind_and_goes_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api-socket");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listener = Listener::bind(&format!("/unix{}", path.display())).await.unwrap();
    assert!(matches!(Listener::unix(&path).await, Err(BindError::Refused { .. })));
    let task =
        serve(Args { listeners: vec![listener], router: routes(), tls: None, timeouts: QUICK, max_header_bytes: 0 });
    let mut socket = UnixStream::connect(&path).await.unwrap();
    socket.write_all(b"GET /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("plain"));
    task.stop().await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_taken_port_is_said_as_go_says_it() {
    let first = Listener::bind("/ip4/127.0.0.1/tcp/0").await.unwrap();
    let text = Listener::bind(first.address()).await.unwrap_err().to_string();
    let address = first.tcp_address().unwrap();
    assert_eq!(text, format!("listen tcp4 {address}: bind: address already in use"));
    assert!(matches!(Listener::bind("/ip4/127.0.0.1/udp/1").await, Err(BindError::Unsupported(_))));
}
