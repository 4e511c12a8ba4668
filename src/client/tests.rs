//! Against servers that say what the tests write.
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::task::Task;
use crate::wire::rest::{ContentPath, Pin};

/// A server that answers each connection's first request with the next of `answers`, and echoes the request line where one says `{}`.
async fn server(answers: &'static [&'static str]) -> (String, Task) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port());
    let task = Task::spawn(|_| async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await?);
            }
            let head = String::from_utf8(head)?;
            let line = head.lines().next().unwrap_or_default();
            let login = head.lines().find(|line| line.starts_with("authorization")).unwrap_or_default();
            socket.write_all(answer.replace("{}", line).replace("<>", login).as_bytes()).await?;
        }
        Ok(())
    });
    (address, task)
}

fn client(hosts: &[&str]) -> Client {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    Client::new(&ClientArgs { hosts, timeout: Some(std::time::Duration::from_secs(10)), ..ClientArgs::default() })
        .unwrap()
}

/// Nobody listens on port 1, which only root could take.
const DOWN: &str = "/ip4/127.0.0.1/tcp/1";

const STREAM: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Stream-Error\r\n\r\n";

async fn pins(answer: &'static [&'static str]) -> Vec<Result<String, Error>> {
    let (address, _task) = server(answer).await;
    let pins = client(&[&address]).allocations("all").await.unwrap();
    pins.map(|pin: Result<Pin, _>| pin.map(|pin| pin.name)).collect().await
}

#[tokio::test]
async fn the_next_server_is_tried_when_one_cannot_be_reached() {
    let (up, _task) = server(&["HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"version\":\"1.2\"}"]).await;
    assert_eq!(client(&[DOWN, &up]).version().await, Ok("1.2".into()));
}

#[tokio::test]
async fn no_server_is_told_in_gos_words() {
    let error = client(&[DOWN]).id().await.unwrap_err();
    let text = "Get \"http://127.0.0.1:1/id\": dial tcp 127.0.0.1:1: connect: connection refused";
    assert_eq!(error, Error::new(0, text));
}

#[tokio::test]
async fn an_error_of_the_server_is_final_and_keeps_its_code() {
    let (first, _task) = server(&[
        "HTTP/1.1 404 Not Found\r\nContent-Length: 58\r\n\r\n{\"code\":404,\"message\":\"pin is not part of the pinset\"}    ",
        "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops",
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    ])
    .await;
    let client = client(&[&first, DOWN]);
    let error = client.id().await.unwrap_err();
    assert_eq!((error.code, error.to_string().as_str()), (404, "pin is not part of the pinset"));
    assert_eq!(client.id().await, Err(Error::new(502, "oops")));
    assert_eq!(client.id().await.unwrap_err().code, 500);
}

#[tokio::test]
async fn a_stream_may_be_empty_or_whole() {
    assert_eq!(pins(&["HTTP/1.1 204 No Content\r\nTrailer: X-Stream-Error\r\n\r\n"]).await, []);
    let whole = "10\r\n{\"name\":\"a\"}\n{\"n\r\n9\r\name\":\"b\"}\r\n0\r\nX-Stream-Error: \r\n\r\n";
    let answer: &'static str = format!("{STREAM}{whole}").leak();
    assert_eq!(pins(vec![answer].leak()).await, [Ok("a".into()), Ok("b".into())]);
}

#[tokio::test]
async fn an_error_in_the_middle_is_the_last_item() {
    let failed =
        "d\r\n{\"name\":\"a\"}\n\r\n0\r\nX-Stream-Error: \r\nX-Stream-Error: one\r\nX-Stream-Error: two\r\n\r\n";
    let answer: &'static str = format!("{STREAM}{failed}").leak();
    assert_eq!(pins(vec![answer].leak()).await, [Ok("a".into()), Err(Error::new(500, "one; two"))]);
    let cut: &'static str = format!("{STREAM}d\r\n{{\"name\":\"a\"}}\n\r\n").leak();
    let items = pins(vec![cut].leak()).await;
    assert_eq!(items, [Ok("a".into()), Err(Error::new(0, "unexpected EOF"))]);
    let bad: &'static str = format!("{STREAM}5\r\n{{xx\n\n\r\n0\r\n\r\n").leak();
    assert_eq!(pins(vec![bad].leak()).await[0].as_ref().unwrap_err().code, 0);
}

#[tokio::test]
async fn a_stream_that_is_cut_in_a_document_ends_with_an_error() {
    const CUT: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"cid\": \r\n";
    let got = pins(&[CUT]).await;
    assert!(matches!(got.as_slice(), [Err(Error { code: 0, .. })]), "{got:?}");
}

#[tokio::test]
async fn requests_are_written_as_gos_client_writes_them() {
    const ECHO: &str = "HTTP/1.1 500 x\r\nConnection: close\r\n\r\n{}";
    let (address, _task) = server(&[ECHO, ECHO, ECHO]).await;
    let client = client(&[&address]);
    let path = ContentPath::parse("/ipns/example.org/a b/c?d").unwrap();
    let sent = client.pin(&path, &crate::model::PinOptions::default()).await.unwrap_err().message;
    let query = "mode=recursive&name=&replication-max=0&replication-min=0&shard-size=0&user-allocations=";
    assert_eq!(sent, format!("POST /pins/ipns/example.org/a%20b/c%3Fd?{query} HTTP/1.1"));
    let sent = client.status_all("pinned,remote", true).await.err().unwrap().message;
    assert_eq!(sent, "GET /pins?local=true&filter=pinned%2Cremote&cids= HTTP/1.1");
    let sent = client.metrics("tag:group").await.unwrap_err().message;
    assert_eq!(sent, "GET /monitor/metrics/tag:group HTTP/1.1");
}

#[tokio::test]
async fn credentials_go_to_the_server_and_nowhere_else() {
    let (address, _task) = server(&["HTTP/1.1 401 x\r\nConnection: close\r\n\r\n<>"]).await;
    let args =
        ClientArgs { hosts: vec![address], basic_auth: Some(("user".into(), "hush".into())), ..ClientArgs::default() };
    let client = Client::new(&args).unwrap();
    assert_eq!(client.id().await.unwrap_err().message, "authorization: Basic dXNlcjpodXNo");
    assert!(!format!("{args:?} {client:?}").contains("hush"));
}

#[tokio::test]
async fn a_server_without_tls_is_named_as_such() {
    let (plain, _task) = speaks_http().await;
    let args = ClientArgs { hosts: vec![plain], https: true, no_check_certificate: true, ..ClientArgs::default() };
    let text = Client::new(&args).unwrap().id().await.unwrap_err().message;
    assert!(text.ends_with("http: server gave HTTP response to HTTPS client"), "{text}");
}

/// A server that answers whatever comes first with a plain 400.
async fn speaks_http() -> (String, Task) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port());
    let task = Task::spawn(|_| async move {
        let (mut socket, _) = listener.accept().await?;
        socket.read_u8().await?;
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
        Ok(())
    });
    (address, task)
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port());
    let timeout = Some(std::time::Duration::from_millis(20));
    let client = Client::new(&ClientArgs { hosts: vec![host], timeout, ..ClientArgs::default() }).unwrap();
    assert!(client.id().await.unwrap_err().message.contains("context deadline exceeded"));
}

#[tokio::test]
async fn pages_are_asked_for_until_there_are_enough_rows() {
    const FIRST: &str = "HTTP/1.1 200 OK\r\nX-Next-Cursor: B\r\nConnection: close\r\n\r\n{\"name\":\"{}\"}\n";
    const LAST: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"name\":\"{}\"}\n{\"name\":\"end\"}\n";
    let asked = |limit: Option<usize>| async move {
        let (address, _task) = server(&[FIRST, LAST]).await;
        let part = Part { limit, cursor: Some("A".into()), ..Part::default() };
        let pins = client(&[&address]).allocations_of("all", &part).await.unwrap();
        pins.map(|pin| pin.unwrap().name).collect::<Vec<_>>().await
    };
    let line = |rest: &str| format!("GET /allocations?filter=all{rest} HTTP/1.1");
    let first = line("&limit=10000&cursor=A");
    assert_eq!(asked(Some(12_000)).await, [first, line("&limit=10000&cursor=B"), "end".into()]);
    assert_eq!(asked(Some(2)).await, [line("&limit=2&cursor=A"), line("&limit=1&cursor=B")]);
    assert_eq!(asked(Some(1)).await, [line("&limit=1&cursor=A")]);
    assert_eq!(asked(None).await[0], line("&cursor=A"));
}
