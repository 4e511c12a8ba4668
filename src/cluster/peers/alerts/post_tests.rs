use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::*;
use crate::cluster::net::Counts;
use crate::cluster::peers::alerts::courier::{Args, Courier};
use crate::cluster::testing::{Home, metric_of};
use crate::model::{Alert, Metric, PeerId, UnixMillis};
use crate::store::LedgerDb;
use crate::task::{self, Task};

/// A request as it came.
struct Got {
    head: String,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A receiver that gives each answer once, in order; its URL, and what it got.
async fn receiver(answers: &'static [&'static str]) -> (String, mpsc::Receiver<Got>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?token=word", listener.local_addr().unwrap());
    let (tell, got) = mpsc::channel(16);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            let (head, body) = loop {
                assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the request is cut short");
                let text = String::from_utf8_lossy(&bytes);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if body.len() == length.parse::<usize>().unwrap() {
                    break (head.to_owned(), body.as_bytes().to_vec());
                }
            };
            // The client may have gone once it has enough.
            let _ = stream.write_all(answer.as_bytes()).await;
            tell.send(Got { head, body }).await.unwrap();
        }
    });
    (url, got, tasks)
}

fn post(url: &str, secret: &str) -> Post {
    Post::new(Webhook::new(url, secret).unwrap()).unwrap()
}

const TAKEN: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The signature is that of openssl: printf ... | openssl dgst -sha256 -hmac key
#[test]
fn the_signature_is_what_others_compute() {
    let body = b"The quick brown fox jumps over the lazy dog";
    let known = "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
    assert_eq!(signature("key", body), known);
}

#[tokio::test]
async fn an_alert_reaches_a_receiver_that_failed_first_over_a_restart_and_signed() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(LedgerDb::open(folder.path()).unwrap());
    ledger.begin_webhook().unwrap();
    let alert = Alert { metric: metric_of("ping", PeerId::random(), 7), triggered: task::wall() };
    ledger.add_alerts(std::slice::from_ref(&alert)).unwrap();
    let (own, counts, kept) = (PeerId::random(), Arc::new(Counts::default()), watch::Sender::new(()));
    let (url, mut got, _tasks) = receiver(&[BROKEN, TAKEN]).await;
    let start = || {
        let courier = Courier::new(Args {
            own,
            peername: "rust".into(),
            ledger: ledger.clone(),
            deliver: Post::deliver(Webhook::new(&url, "hunter2").unwrap()).unwrap(),
            receiver: "http://receiver".into(),
            kept: kept.subscribe(),
            counts: counts.clone(),
        });
        Task::spawn(|stop| courier.run(stop))
    };
    let task = start();
    let first = got.recv().await.unwrap();
    task.stop().await.unwrap();
    assert_eq!(ledger.begin_webhook().unwrap(), 0);
    let task = start();
    let second = got.recv().await.unwrap();
    while ledger.begin_webhook().unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    task.stop().await.unwrap();
    assert_eq!((&first.body, counts.all()["webhooks_delivered"]), (&second.body, 1));

    let key = hmac::Key::new(hmac::HMAC_SHA256, b"hunter2");
    let signed = second.header("x-signature-256").unwrap().strip_prefix("sha256=").unwrap();
    hmac::verify(&key, &second.body, &hex::decode(signed).unwrap()).unwrap();
    assert!(second.head.starts_with("POST /hook?token=word HTTP/1.1\r\n"), "{}", second.head);
    assert_eq!(second.header("content-type"), Some("application/json"));
    let mut body: Value = serde_json::from_slice(&second.body).unwrap();
    let ours = body.as_object_mut().unwrap();
    assert_eq!(ours.remove("reporter").unwrap(), own.to_string());
    assert_eq!(ours.remove("reporter_name").unwrap(), "rust");
    assert_eq!(ours.remove("delivery_id").unwrap().as_str().unwrap().len(), 32);
    assert_eq!(body, serde_json::to_value(crate::wire::rest::Alert::from(&alert)).unwrap());
}

#[tokio::test]
async fn no_secret_is_no_signature_and_a_password_goes_into_no_text() {
    let (url, mut got, _tasks) = receiver(&[TAKEN]).await;
    let url = url.replace("http://", "http://user:p%40ss@");
    let post = post(&url, "");
    post.send("{}".into()).await.unwrap();
    let got = got.recv().await.unwrap();
    assert_eq!((got.header("x-signature-256"), got.header("authorization")), (None, Some("Basic dXNlcjpwQHNz")));
    // Nobody listens any more.
    let error = post.send("{}".into()).await.unwrap_err();
    assert!(!error.contains("p%40ss") && !error.contains("word"), "{error}");
}

#[tokio::test]
async fn redirects_refusals_and_garbage_are_failures() {
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let answers = Box::leak(Box::new([moved, BROKEN, "SSH-2.0-OpenSSH_9.6\r\n", ""]));
    let (url, _got, _tasks) = receiver(answers).await;
    let post = post(&url, "");
    assert_eq!(post.send("{}".into()).await.unwrap_err(), "it answers with the status 302");
    assert_eq!(post.send("{}".into()).await.unwrap_err(), "it answers with the status 500");
    for _ in 0..2 {
        let error = post.send("{}".into()).await.unwrap_err();
        assert!(error.starts_with("client error"), "{error}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let (url, _got, _tasks) = receiver(&["HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nxxxx"]).await;
    post(&url, "").send("{}".into()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_says_nothing_is_waited_for_ten_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    assert_eq!(post(&url, "").send("{}".into()).await.unwrap_err(), "no answer within 10s");
}

#[tokio::test]
async fn a_peer_tells_its_webhook_of_a_metric_that_expired() {
    let (url, mut got, _tasks) = receiver(&[TAKEN]).await;
    let mut home = Home::new();
    home.config.monitor.webhook = Some(Webhook::new(&url, "hunter2").unwrap());
    home.config.monitor.check_interval = Duration::from_millis(5);
    let lone = home.start().await;
    let dead = Metric { expire_nanos: 1, ..metric_of("dead", PeerId::random(), 0) };
    lone.cluster.inner.members.receive(dead.clone(), UnixMillis(0));
    let body: Value = serde_json::from_slice(&got.recv().await.unwrap().body).unwrap();
    assert_eq!(body["name"], "dead");
    assert_eq!(body["peer"], dead.peer.to_string());
    assert_eq!(body["reporter"], lone.cluster.own_id().to_string());
    assert_eq!(body["reporter_name"], "lone");
    lone.stop().await;
}
