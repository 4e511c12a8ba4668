use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

/// Serves each answer once, in order; `HERE` becomes the server's own address.
async fn server(answers: Vec<String>) -> (String, JoinSet<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = format!("http://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    let base = here.clone();
    tasks.spawn(async move {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            heads.push(String::from_utf8_lossy(&head[..length]).into_owned());
            // The client may have gone once it has enough.
            let _ = stream.write_all(answer.replace("HERE", &base).as_bytes()).await;
        }
        heads
    });
    (here, tasks)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn redirects_are_followed() {
    let moved = answer("302 Found", "location: HERE/there\r\n", "");
    let (here, mut tasks) = server(vec![moved, answer("200 OK", "", "{}")]).await;
    assert_eq!(fetch(&here).await.unwrap(), "{}");
    let heads = tasks.join_next().await.unwrap().unwrap();
    assert!(heads[1].starts_with("GET /there HTTP/1.1\r\n"), "{heads:?}");
}

#[tokio::test]
async fn a_loop_of_redirects_ends() {
    let moved = answer("302 Found", "location: HERE/again\r\n", "");
    let (here, _tasks) = server(vec![moved; REDIRECTS_MAX + 1]).await;
    let error = fetch(&here).await.unwrap_err().to_string();
    assert!(error.ends_with("more than 10 redirects"), "{error}");
}

#[tokio::test]
async fn a_refusal_is_told_in_gos_words() {
    let (here, _tasks) = server(vec![answer("404 Not Found", "", "no such\nthing\n")]).await;
    assert_eq!(fetch(&here).await.unwrap_err().to_string(), "unsuccessful request (404): no such thing");
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(5 << 20));
    let (here, _tasks) = server(vec![endless]).await;
    let error = fetch(&here).await.unwrap_err().to_string();
    assert!(error.ends_with("the answer is longer than 4194304 bytes"), "{error}");
}

#[tokio::test]
async fn a_password_goes_to_the_server_and_into_no_text() {
    let (here, mut tasks) = server(vec![answer("200 OK", "", "{}")]).await;
    let url = here.replace("http://", "http://user:p%40ss@");
    fetch(&url).await.unwrap();
    let heads = tasks.join_next().await.unwrap().unwrap();
    assert!(heads[0].contains("authorization: Basic dXNlcjpwQHNz\r\n"), "{heads:?}");
    let error = fetch(&url).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("could not fetch configuration from source: {here}/: ")), "{error}");
}

#[tokio::test]
async fn only_http_is_fetched() {
    for source in ["x", "ftp://127.0.0.1/x", "file:///etc/hostname"] {
        let error = fetch(source).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("could not fetch configuration from source: {source}: ")), "{error}");
    }
}
