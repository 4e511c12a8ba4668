//! What is written down of requests.
use std::path::Path;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

const LINE: &str = r#"127.0.0.1 - - [11/May/2026:08:17:41 +0000] "GET /id?a=%22\"\\\xc3\xa9 HTTP/1.1" 200 1234"#;

#[test]
fn a_line_is_as_go_writes_it() {
    let head = Head {
        remote: Remote::Address([127, 0, 0, 1].into()),
        at: UnixMillis(1_778_487_461_900),
        request: format!("GET {} HTTP/1.1", quoted("/id?a=%22\"\\\u{e9}")),
    };
    let entry = Entry { head, log: AccessLog::to_log(), status: 200, bytes: 1234 };
    assert_eq!(entry.to_string(), LINE);
}

fn router(log: AccessLog) -> Router {
    let router = Router::new().route("/id", get(|| async { "four" })).route("/wait", get(std::future::pending::<()>));
    router.layer(from_fn_with_state(log, note))
}

async fn ask(router: &Router, target: &str) {
    let mut request = Request::builder().uri(target).body(Body::empty()).unwrap();
    request.extensions_mut().insert(Remote::Address([10, 0, 0, 7].into()));
    let response = router.clone().oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
}

/// The lines of a file, without their moments.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    let plain = |line: &str| format!("{}{}", line.split_once('[').unwrap().0, line.split_once("] ").unwrap().1);
    text.lines().map(plain).collect()
}

#[tokio::test]
async fn every_request_is_a_line_and_a_stop_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    std::fs::write(&path, "").unwrap();
    let (log, task) = AccessLog::to_file(&path).unwrap();
    let router = router(log);
    ask(&router, "/id?x=1").await;
    ask(&router, "/nothing").await;
    assert!(futures::poll!(Box::pin(ask(&router, "/wait"))).is_pending());
    task.stop().await.unwrap();
    let at = "10.0.0.7 - - ";
    let expected =
        ["\"GET /id?x=1 HTTP/1.1\" 200 4", "\"GET /nothing HTTP/1.1\" 404 0", "\"GET /wait HTTP/1.1\" 499 0"];
    assert_eq!(lines(&path), expected.map(|line| format!("{at}{line}")));
}

#[tokio::test]
async fn a_file_that_is_renamed_is_followed_by_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let (log, task) = AccessLog::to_file(&path).unwrap();
    let router = router(log);
    ask(&router, "/id").await;
    while lines(&path).is_empty() {
        tokio::task::yield_now().await;
    }
    std::fs::rename(&path, &old).unwrap();
    ask(&router, "/id").await;
    task.stop().await.unwrap();
    assert_eq!((lines(&path).len(), lines(&old).len()), (1, 1));
}

#[tokio::test]
async fn a_disk_that_refuses_delays_no_answer_and_what_is_lost_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs/access.log");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let (log, task) = AccessLog::to_file(&path).unwrap();
    let AccessLog(Sink::File(queue)) = log.clone() else { panic!("it is a file") };
    let router = router(log);
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    ask(&router, "/id").await;
    while queue.lost() == 0 {
        tokio::task::yield_now().await;
    }
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    ask(&router, "/id").await;
    task.stop().await.unwrap();
    assert_eq!((lines(&path).len(), queue.lost()), (1, 0));
    assert!(
        AccessLog::to_file(&folder.path().join("nowhere/access.log"))
            .unwrap_err()
            .to_string()
            .contains("nowhere/access.log: ")
    );
}
