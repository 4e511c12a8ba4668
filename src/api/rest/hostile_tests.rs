//! Requests of strangers over real sockets: each gets a clear error, and nobody else notices.
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::routes::RestOptions;
use super::tests::{Small, api};
use crate::api::http::{Args, Listener, Timeouts, serve};
use crate::task::Task;

const A: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq";
/// Connections that say nothing: as many as fit into the files that a test may open.
const IDLE: usize = 400;

struct Server {
    address: String,
    small: Arc<Small>,
    _task: Task,
}

impl Server {
    async fn start(timeouts: Timeouts) -> Self {
        let listener = Listener::bind("/ip4/127.0.0.1/tcp/0").await.unwrap();
        let address = listener.tcp_address().unwrap().to_string();
        let (router, small) = api(&RestOptions::default());
        let listeners = vec![listener];
        Self { address, small, _task: serve(Args { listeners, router, tls: None, timeouts, max_header_bytes: 4096 }) }
    }

    /// Sends these bytes; returns the status and the body, of an answer that ends the connection.
    async fn send(&self, request: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        // A server that refuses the head may have closed before it has read all.
        let _ = socket.write_all(request.as_bytes()).await;
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        (head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default(), body.into())
    }

    async fn ask(&self, request: &str) -> (u16, String) {
        self.send(&format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.small.calls.lock().unwrap())
    }
}

#[tokio::test]
async fn hostile_paths_reach_nothing() {
    let server = Server::start(Timeouts::default()).await;
    let long = format!("DELETE /pins/{}", "a".repeat(6000));
    let paths = [
        ("DELETE /pins/..%2f..%2fid", 400),
        ("DELETE /pins/%2e%2e%2f%2e%2e", 400),
        ("DELETE /pins/%00", 400),
        ("POST /pins/a%2fb", 400),
        ("POST /pins/%ff%fe", 400),
        ("POST /pins/ipfs/..%2f..%2fetc", 400),
        ("POST /pins/ipfs/%00", 400),
        ("DELETE /peers/%ff", 400),
        ("POST /pins/../../pins/x/..", 301),
        ("POST //evil.example/%2e%2e", 301),
        ("DELETE /pins/%", 400),
        ("POST /pins/ipfs%2fabc", 400),
        (&long, 400),
    ];
    for (request, status) in paths {
        let (found, body) = server.ask(request).await;
        assert_eq!(found, status, "{request}: {body}");
        let is_json = serde_json::from_str::<serde_json::Value>(&body).is_ok_and(|body| body["code"] == status);
        assert!(is_json || status == 301, "{request}: {body}");
    }
    assert_eq!(server.calls(), Vec::<String>::new());
    assert_eq!(server.ask("GET /monitor/metrics/..%2f%00").await, (200, "[]\n".into()));
    let encoded = format!("GET /pins/{}", A.replace('Q', "%51"));
    assert_eq!(server.ask(&encoded).await.0, 200);
}

#[tokio::test]
async fn options_given_twice_count_once_and_unknown_ones_do_not() {
    let server = Server::start(Timeouts::default()).await;
    let query = "name=first&name=second&mode=direct&mode=x&repl_min=7&%00=%00&=&&replication-min=1&replication-min=x";
    assert_eq!(server.ask(&format!("POST /pins/{A}?{query}")).await.0, 200);
    assert_eq!(server.calls(), [format!("pin {A} Direct first")]);
    let many = "x=1&".repeat(1500);
    assert_eq!(server.ask(&format!("POST /pins/{A}?{many}")).await.0, 200);
}

#[tokio::test]
async fn bombs_of_headers_are_refused() {
    let server = Server::start(Timeouts::default()).await;
    let many = "X: y\r\n".repeat(3000);
    for head in [format!("X-Big: {}\r\n", "x".repeat(1 << 20)), many, format!("{}: x\r\n", "n".repeat(70_000))] {
        let (status, body) = server.send(&format!("GET /id HTTP/1.1\r\nHost: x\r\n{head}\r\n")).await;
        // What was sent after the refusal may have reset the connection.
        assert!(
            matches!((status, body.as_str()), (431, "431 Request Header Fields Too Large") | (0, "")),
            "{status} {body}"
        );
    }
    let (status, body) = server.send(&format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000))).await;
    assert!(matches!(status, 0 | 414 | 431), "{status} {body}");
    assert_eq!(server.ask("GET /health").await.0, 204);
}

#[tokio::test]
async fn a_slow_or_endless_body_is_given_up_and_others_are_answered() {
    let read = Some(Duration::from_millis(100));
    let server = Server::start(Timeouts { read, ..Timeouts::default() }).await;
    let head = "POST /peers HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let refusal = "{\"code\":400,\"message\":\"error decoding request body\"}\n";
    let slow = format!("{head}Content-Length: 50\r\n\r\n{{\"peer_id\":");
    let endless = format!("{head}Transfer-Encoding: chunked\r\n\r\n20000\r\n{}\r\n", "x".repeat(0x20000));
    let lines = slow.replace("/peers", "/pins");
    let (slow, endless, lines, other) =
        tokio::join!(server.send(&slow), server.send(&endless), server.send(&lines), server.ask("GET /health"));
    assert!(
        lines.0 == 200 && lines.1.contains("\"ok\":false,\"code\":400,\"error\":\"the body broke off\""),
        "{lines:?}"
    );
    assert_eq!(slow, (400, refusal.into()));
    assert!(endless == (400, refusal.into()) || endless.0 == 0, "{endless:?}");
    assert_eq!(other.0, 204);
}

#[tokio::test]
async fn idle_connections_keep_nobody_out() {
    let server = Server::start(Timeouts::default()).await;
    let idle = join_all((0..IDLE).map(|_| TcpStream::connect(&server.address))).await;
    assert!(idle.iter().all(Result::is_ok));
    assert_eq!(server.ask("GET /version").await, (200, "{\"version\":\"1.1.6\"}\n".into()));
}

#[tokio::test]
async fn peers_are_named_in_a_body() {
    let server = Server::start(Timeouts::default()).await;
    let post = |body: &str| {
        let length = body.len();
        format!("POST /peers HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    for body in ["", "nope", "[]", "{\"peer_id\":5}", "\u{0}"] {
        assert_eq!(
            server.send(&post(body)).await.1,
            "{\"code\":400,\"message\":\"error decoding request body\"}\n",
            "{body}"
        );
    }
    let (status, body) = server.send(&post("{\"peer_id\":\"\"}")).await;
    assert_eq!((status, body.as_str()), (400, "{\"code\":400,\"message\":\"error decoding peer_id\"}\n"));
    let known = "{\"peer_id\":\"12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8\",\"more\":1}";
    assert_eq!(server.send(&post(known)).await.0, 200);
}

#[tokio::test]
async fn a_client_that_goes_waits_for_no_pin_any_more() {
    let server = Server::start(Timeouts::default()).await;
    let mut socket = TcpStream::connect(&server.address).await.unwrap();
    let request =
        "POST /pins/QmU6PrA9xo7xueMPQ5nAgMdp6KhuyDqtBex18WpaVqnscM?wait=pinned&timeout=1h HTTP/1.1\r\nHost: x\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let left = Arc::clone(&server.small.left);
    let nobody = tokio::time::timeout(Duration::from_millis(50), left.notified()).await;
    assert!(nobody.is_err() && server.calls().contains(&"wait".into()));
    drop(socket);
    left.notified().await;
}
