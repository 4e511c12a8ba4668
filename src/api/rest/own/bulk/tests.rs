use axum::http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::super::super::routes::RestOptions;
use super::super::super::tests::{Small, api, text};
use super::*;

const A: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq";
const B: &str = "QmU6PrA9xo7xueMPQ5nAgMdp6KhuyDqtBex18WpaVqnscM";
const GONE: &str = "QmaRWDKmPxm3ivXqQGLrHsrp9bg2236FND6cHUo3jm22bD";

async fn post(body: String) -> (u16, Vec<serde_json::Value>, Arc<Small>) {
    let (router, small) = api(&RestOptions::default());
    let request = Request::post("/pins").body(Body::from(body)).unwrap();
    let (status, body) = text(router.oneshot(request).await.unwrap()).await;
    (status, body.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), small)
}

#[tokio::test]
async fn each_line_is_answered_in_order_and_a_bad_one_ends_nothing() {
    let lines = [
        format!("{{\"cid\":\"{A}\",\"name\":\"a\",\"mode\":\"direct\"}}"),
        "{\"cid\":".into(),
        String::new(),
        format!("{{\"cid\":\"{GONE}\"}}"),
        format!("[\"{A}\"]"),
        format!("{{\"cid\":\"{B}\",\"mode\":\"sideways\"}}"),
        format!("{{\"cid\":\"{B}\",\"type\":\"shard-pin\"}}"),
        "{\"name\":\"no cid\"}".into(),
        "x".repeat(LINE_MAX + 1),
        format!("{{\"cid\":\"{B}\"}}"),
    ];
    let (status, answers, small) = post(lines.join("\n")).await;
    assert_eq!((status, answers.len()), (200, 9));
    let told: Vec<_> = answers.iter().map(|a| (a["line"].as_u64().unwrap(), a["ok"] == true)).collect();
    let (good, bad) = ([1, 10], [2, 4, 5, 6, 7, 8, 9]);
    assert!(told.iter().all(|(line, ok)| if *ok { good.contains(line) } else { bad.contains(line) }), "{told:?}");
    assert!(told.is_sorted(), "{told:?}");
    assert_eq!(answers[0], serde_json::json!({"line": 1, "cid": A, "ok": true}));
    let gone = serde_json::json!({
        "line": 4, "cid": GONE, "ok": false, "code": 404, "error": "pin is not part of the pinset",
    });
    assert_eq!(answers[2], gone);
    assert_eq!(answers[4]["error"], format!("pin {B}: mode is invalid: \"sideways\""));
    assert_eq!((&answers[7]["code"], &answers[7]["line"]), (&400.into(), &9.into()));
    let calls = [format!("pin {A} Direct a"), format!("pin {GONE} Recursive "), format!("pin {B} Recursive ")];
    assert_eq!(*small.calls.lock().unwrap(), calls);
}

#[tokio::test]
async fn a_pin_document_of_the_list_is_a_line() {
    let (router, _) = api(&RestOptions::default());
    let list = Request::get("/allocations").body(Body::empty()).unwrap();
    let (_, listed) = text(router.oneshot(list).await.unwrap()).await;
    let (status, answers, _) = post(listed).await;
    assert_eq!((status, answers.len()), (200, 2));
    assert!(answers.iter().all(|answer| answer["ok"] == true), "{answers:?}");
}

#[tokio::test]
async fn nothing_is_answered_to_nothing() {
    assert_eq!(post("\n \n".into()).await.0, 204);
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_refused_unread() {
    let (router, _) = api(&RestOptions::default());
    let length = (BODY_MAX + 1).to_string();
    let request = Request::post("/pins").header(header::CONTENT_LENGTH, length).body(Body::empty()).unwrap();
    assert_eq!(router.oneshot(request).await.unwrap().status(), 413);
}

#[tokio::test]
async fn answers_come_while_the_rest_is_on_its_way() {
    let (sender, parts) = futures::channel::mpsc::unbounded::<Result<String, std::io::Error>>();
    let (router, _) = api(&RestOptions::default());
    sender.unbounded_send(Ok(format!("{{\"cid\":\"{A}\"}}\n{{\"cid\":"))).unwrap();
    let request = Request::post("/pins").body(Body::from_stream(parts)).unwrap();
    let mut body = router.oneshot(request).await.unwrap().into_body();
    let mut next = async || {
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(data.to_vec()).unwrap()
    };
    assert_eq!(next().await, format!("{{\"line\":1,\"cid\":\"{A}\",\"ok\":true}}\n"));
    sender.unbounded_send(Ok(format!("\"{B}\"}}\n"))).unwrap();
    assert_eq!(next().await, format!("{{\"line\":2,\"cid\":\"{B}\",\"ok\":true}}\n"));
    // What broke off is told as a line of its own.
    sender.unbounded_send(Err(std::io::Error::other("gone"))).unwrap();
    assert!(next().await.contains("\"line\":3,\"cid\":\"\",\"ok\":false,\"code\":400"));
}

#[test]
fn turns_of_one_cid_follow_each_other_and_are_let_go_of() {
    let mut turns = Turns::default();
    let cid: Cid = A.parse().unwrap();
    let first = turns.take(cid);
    let mut second = turns.take(cid);
    assert!(first.before.is_none());
    let before = second.before.as_mut().unwrap();
    assert_eq!(before.try_recv(), Err(TryRecvError::Empty));
    drop(first);
    assert_eq!(before.try_recv(), Err(TryRecvError::Closed));
    for n in 0..4 * IN_FLIGHT_MAX {
        let hash = blake3::hash(&n.to_be_bytes());
        turns.take(Cid::new_v1(0x55, multihash::Multihash::wrap(0x12, hash.as_bytes()).unwrap()));
    }
    assert!(turns.0.len() <= 2 * IN_FLIGHT_MAX, "{}", turns.0.len());
    assert!(turns.0.contains_key(&cid), "its second turn is not over");
    drop(second);
}
