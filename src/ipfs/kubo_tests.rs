//! Against real Kubo, and against a daemon that plays recorded or broken answers.
use futures::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::contract::{Content, check};
use super::*;

#[path = "../../tests/common/kubo.rs"]
mod real;

const FILE: &str = "Qmd46MGekyU1wohL5s5jqd8p5fjDLuqQAXyD1qUkiQyFZb";
const NOT_PINNED: &str = r#"{"Message":"path 'x' is not pinned","Code":0,"Type":"error"}"#;

fn kubo(node: &str) -> Kubo {
    let args = KuboArgs {
        node: node.parse().unwrap(),
        request_timeout: Duration::from_secs(20),
        pin_timeout: Duration::from_secs(2),
        unpin_timeout: Duration::from_secs(20),
        unpin_disable: false,
    };
    Kubo::new(args).unwrap()
}

#[tokio::test]
async fn real_kubo_keeps_the_contract_and_survives_a_restart() {
    let mut daemon = tokio::task::spawn_blocking(real::Kubo::start).await.unwrap();
    let add = |content: &[u8]| daemon.add(content).parse().unwrap();
    let big: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let missing = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmm1".parse().unwrap();
    let content = Content { file: add(&big), other: add(b"other"), missing };
    let kubo = kubo(&daemon.node());
    check(&kubo, &content).await;

    let name = PinRequest { name: "n".repeat(300), ..request(content.file) };
    let progress: Vec<Progress> = kubo.pin(name).try_collect().await.unwrap();
    assert!(progress.last().is_some_and(|p| p.blocks > 10 && p.bytes > 4_000_000), "{progress:?}");

    daemon.stop();
    let error = kubo.id().await.unwrap_err();
    let port = daemon.api().port();
    let words = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
    assert_eq!(error.to_string(), format!("Post \"http://127.0.0.1:{port}/api/v0/id\": {words}"));
    assert!(matches!(error, IpfsError::Unreachable(_)));
    let daemon = tokio::task::spawn_blocking(move || {
        daemon.run();
        daemon
    });
    let daemon = daemon.await.unwrap();
    assert_eq!(kubo.held(content.file).await.unwrap(), Some(Held::Recursive));
    let missing_path = kubo.resolve(format!("{}/nothing", content.file)).await.unwrap_err().to_string();
    assert!(missing_path.starts_with("IPFS error (resolve?arg=%2Fipfs%2F"), "{missing_path}");
    drop(daemon);
}

fn request(cid: Cid) -> PinRequest {
    PinRequest { cid, max_depth: MaxDepth::Recursive, name: String::new(), update_from: None, origins: Vec::new() }
}

/// What a scripted daemon does with one request.
#[derive(Clone)]
enum Play {
    /// A whole answer: status, body in chunks, trailer.
    Answer(u16, Vec<&'static str>, &'static str),
    /// Chunks, then the connection is cut.
    Cut(Vec<&'static str>),
    /// Chunks, then silence.
    Hang(Vec<&'static str>),
    /// Nothing at all.
    Silence,
}

/// Plays one answer to each request, in order; returns the address, and the requests' first lines as they come.
async fn daemon(plays: Vec<Play>) -> (String, tokio::sync::mpsc::Receiver<String>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port());
    let (tell, requests) = tokio::sync::mpsc::channel(16);
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut open = Vec::new();
        for play in plays {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            tell.send(head.lines().next().unwrap().to_owned()).await.unwrap();
            if let Some(stream) = perform(play, stream).await {
                open.push(stream);
            }
        }
        std::future::pending::<()>().await;
    });
    (node, requests, task)
}

async fn perform(play: Play, mut stream: tokio::net::TcpStream) -> Option<tokio::net::TcpStream> {
    let (status, chunks, end) = match play {
        Play::Answer(status, chunks, trailer) => {
            let trailer = if trailer.is_empty() { String::new() } else { format!("X-Stream-Error: {trailer}\r\n") };
            (status, chunks, Some(format!("0\r\n{trailer}\r\n")))
        }
        Play::Cut(chunks) => (200, chunks, Some(String::new())),
        Play::Hang(chunks) => (200, chunks, None),
        Play::Silence => return Some(stream),
    };
    let mut bytes = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nTrailer: X-Stream-Error\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    bytes.extend(chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())));
    bytes += end.as_deref().unwrap_or_default();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    end.is_none().then_some(stream)
}

async fn pin_against(plays: Vec<Play>) -> (Result<Vec<Progress>, IpfsError>, Vec<String>) {
    let (node, mut requests, _task) = daemon(plays).await;
    let result = kubo(&node).pin(request(FILE.parse().unwrap())).try_collect().await;
    let mut lines = Vec::new();
    while let Ok(line) = requests.try_recv() {
        lines.push(line);
    }
    (result, lines)
}

#[tokio::test]
async fn a_pin_asks_as_go_does_and_ends_with_the_pin_named() {
    let lines = vec![
        "{}\n{\"Progress\":1,\"By",
        "tes\":15}\n",
        "{\"Pins\":[\"Qmd46MGekyU1wohL5s5jqd8p5fjDLuqQAXyD1qUkiQyFZb\"]}\n",
    ];
    let plays = vec![Play::Answer(500, vec![NOT_PINNED], ""), Play::Answer(200, lines, "")];
    let (result, asked) = pin_against(plays).await;
    assert_eq!(result.unwrap(), [Progress { blocks: 1, bytes: 15 }]);
    let check = format!("POST /api/v0/pin/ls?stream=true&arg={FILE}&type=recursive HTTP/1.1");
    assert_eq!(asked, [check, format!("POST /api/v0/pin/add?arg={FILE}&recursive=true&progress=true HTTP/1.1")]);
}

#[tokio::test]
async fn an_error_in_the_trailer_is_an_error() {
    let plays =
        vec![Play::Answer(500, vec![NOT_PINNED], ""), Play::Answer(200, vec!["{}\n"], "context deadline exceeded")];
    let (result, _) = pin_against(plays).await;
    let error = result.unwrap_err();
    assert!(
        matches!(&error, IpfsError::Refused(text) if text.ends_with("Message: context deadline exceeded")),
        "{error}"
    );
}

#[tokio::test]
async fn an_end_that_does_not_name_the_pin_is_no_success() {
    let other = "{\"Pins\":[\"QmfH8QzzBAbecgaeeM6n5ri5gdE4kFfogLabSBbyXqtaLq\"]}\n";
    for end in [vec!["{\"Progress\":9,\"Bytes\":9}\n"], vec![other], vec![]] {
        let plays = vec![Play::Answer(500, vec![NOT_PINNED], ""), Play::Answer(200, end, "")];
        let (result, _) = pin_against(plays).await;
        assert!(matches!(result, Err(IpfsError::Garbled(_))), "{result:?}");
    }
}

#[tokio::test]
async fn an_unpin_that_does_not_name_the_pin_is_no_success() {
    let other = "{\"Pins\":[\"QmfH8QzzBAbecgaeeM6n5ri5gdE4kFfogLabSBbyXqtaLq\"]}\n";
    for end in [vec![other], vec![], vec!["[not json\n"]] {
        let (node, _requests, _task) = daemon(vec![Play::Answer(200, end, "")]).await;
        let result = kubo(&node).unpin(FILE.parse().unwrap()).await;
        assert!(matches!(result, Err(IpfsError::Garbled(_))), "{result:?}");
    }
}

#[tokio::test]
async fn a_cut_stream_garbage_and_endless_lines_are_errors() {
    let plays: [Play; 2] =
        [Play::Cut(vec!["{\"Progress\":9,\"Bytes\":9}\n"]), Play::Answer(200, vec!["[not json\n"], "")];
    for play in plays {
        let (result, _) = pin_against(vec![Play::Answer(500, vec![NOT_PINNED], ""), play]).await;
        assert!(matches!(result, Err(IpfsError::Garbled(_))), "{result:?}");
    }
}

#[tokio::test]
async fn no_new_block_for_the_pin_timeout_is_a_stall_though_bytes_flow() {
    for play in [Play::Hang(vec!["{\"Progress\":3,\"Bytes\":9}\n{}\n"]), Play::Silence] {
        let (result, _) = pin_against(vec![Play::Answer(500, vec![NOT_PINNED], ""), play]).await;
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), format!("no block of {FILE} arrived for 2s"));
    }
}

#[tokio::test]
async fn a_list_that_is_cut_is_an_error_and_not_a_short_list() {
    let line = "{\"Cid\":\"Qmd46MGekyU1wohL5s5jqd8p5fjDLuqQAXyD1qUkiQyFZb\",\"Type\":\"recursive\"}\n";
    for play in [Play::Cut(vec![line]), Play::Answer(200, vec![line], "it broke")] {
        let (node, _requests, _task) = daemon(vec![play, Play::Answer(200, vec![], "")]).await;
        let pins: Result<Vec<_>, _> = kubo(&node).list().try_collect().await;
        assert!(pins.is_err(), "{pins:?}");
    }
    let (node, _requests, _task) = daemon(vec![Play::Answer(200, vec![line], ""), Play::Answer(200, vec![], "")]).await;
    let pins: Vec<_> = kubo(&node).list().try_collect().await.unwrap();
    assert_eq!(pins, [(FILE.parse().unwrap(), Held::Recursive)]);
}

#[tokio::test]
async fn refusals_read_as_in_go() {
    let refusal = "{\"Message\":\"no\",\"Code\":0,\"Type\":\"error\"}";
    let plays = vec![Play::Answer(500, vec![refusal], ""), Play::Answer(404, vec!["404 page not found\n"], "")];
    let (node, _requests, _task) = daemon(plays).await;
    let kubo = kubo(&node);
    assert_eq!(kubo.id().await.unwrap_err().to_string(), "IPFS error (id). Code: 500. Message: no");
    let text = "IPFS request failed (is it running?) (id). Code 404: 404 page not found\n";
    assert_eq!(kubo.id().await.unwrap_err().to_string(), text);
}

#[tokio::test]
async fn unpinning_can_be_forbidden() {
    let args = KuboArgs { unpin_disable: true, ..kubo("/ip4/127.0.0.1/tcp/1").args };
    let error = Kubo::new(args).unwrap().unpin(FILE.parse().unwrap()).await.unwrap_err();
    assert_eq!(error, IpfsError::UnpinDisabled);
}
