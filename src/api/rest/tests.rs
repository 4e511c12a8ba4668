//! The routes over a cluster of recorded answers.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, header};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use http_body_util::BodyExt;
use tokio::sync::Notify;
use tower::ServiceExt;

use super::backend::Backend;
use super::routes::{RestOptions, over};
use crate::api::Credentials;
use crate::cluster::{Error, ReplicationHealth};
use crate::crdt::{Notice, Summary};
use crate::model::*;
use crate::swarm::Traffic;

const A: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq";
const B: &str = "QmU6PrA9xo7xueMPQ5nAgMdp6KhuyDqtBex18WpaVqnscM";
const GONE: &str = "QmaRWDKmPxm3ivXqQGLrHsrp9bg2236FND6cHUo3jm22bD";
const PEER: &str = "12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8";

/// Has `A` and `B` pinned, says of `GONE` that it is not, and writes down what it was asked to do.
#[derive(Default)]
pub(super) struct Small {
    pub(super) calls: Mutex<Vec<String>>,
    /// Rung when somebody stops waiting for a pin.
    pub(super) left: Arc<Notify>,
}

struct Leaving(Arc<Notify>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Small {
    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn find(cid: Cid) -> Result<Pin, Error> {
        if cid.to_string() == GONE { Err(Error::NotFound) } else { Ok(pin_of(cid)) }
    }
}

fn pin_of(cid: Cid) -> Pin {
    Pin { timestamp: Some(UnixMillis::from_seconds(1_778_487_461)), ..Pin::recursive(cid) }
}

fn info_of(cid: Cid, local: bool) -> GlobalPinInfo {
    let short = PinInfoShort {
        peername: if local { "own" } else { "peer" }.into(),
        ..PinInfoShort::new(TrackerStatus::Pinned, UnixMillis::from_seconds(0))
    };
    GlobalPinInfo {
        cid,
        name: String::new(),
        allocations: Vec::new(),
        origins: Vec::new(),
        created: Some(UnixMillis::from_seconds(0)),
        metadata: [].into(),
        peer_map: [(PEER.parse().unwrap(), short)].into(),
    }
}

fn now<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    futures::future::ready(value).boxed()
}

fn both() -> [Cid; 2] {
    [A.parse().unwrap(), B.parse().unwrap()]
}

impl Backend for Small {
    fn version(&self) -> String {
        "1.1.6".into()
    }

    fn id(&self) -> BoxFuture<'static, PeerInfo> {
        now(PeerInfo::failed(PEER.parse().unwrap(), "down".into()))
    }

    fn peers(&self) -> BoxStream<'static, PeerInfo> {
        stream::iter([PeerInfo::failed(PEER.parse().unwrap(), "down".into())]).boxed()
    }

    fn add_peer(&self, peer: PeerId) -> BoxFuture<'static, Result<PeerInfo, Error>> {
        now(Ok(PeerInfo::failed(peer, String::new())))
    }

    fn graph(&self) -> BoxFuture<'static, ConnectGraph> {
        let own = PEER.parse().unwrap();
        let (names, ipfs_links, daemons) = Default::default();
        let (cluster_links, trusted) = ([(own, vec![])].into(), [(own, true)].into());
        now(ConnectGraph { own, names, ipfs_links, cluster_links, trusted, daemons })
    }

    fn gc(&self, local: bool) -> BoxFuture<'static, Result<Vec<RepoGc>, Error>> {
        self.note(format!("gc {local}"));
        now(if local { Err(Error::Other("ipfs is down".into())) } else { Ok(Vec::new()) })
    }

    fn drain(&self, peer: PeerId, what: Draining) -> BoxFuture<'static, Result<Drain, Error>> {
        self.note(format!("drain {what:?}"));
        let leaving = what == Draining::Begin;
        now(Ok(Drain { peer, leaving, pins_left: 7, pins_kept: 2, pins_everywhere: 1 }))
    }

    fn rebalance(&self, wish: Rebalance) -> BoxStream<'static, Result<Rebalanced, Error>> {
        self.note(format!("rebalance {} {:?}", wish.dry_run, wish.max_bytes));
        super::own::rebalance::tests::lines(wish)
    }

    fn pin(&self, cid: Cid, options: PinOptions) -> BoxFuture<'static, Result<Pin, Error>> {
        self.note(format!("pin {cid} {:?} {}", options.mode, options.name));
        now(Self::find(cid))
    }

    fn pin_path(&self, path: String, options: PinOptions) -> BoxFuture<'static, Result<Pin, Error>> {
        self.note(format!("pin {path} {:?}", options.mode));
        now(Ok(pin_of(A.parse().unwrap())))
    }

    fn pinned(
        &self,
        pin: Pin,
        until: BoxFuture<'static, ()>,
    ) -> BoxFuture<'static, Result<(GlobalPinInfo, bool), Error>> {
        self.note("wait".into());
        let (leaving, is_held) = (Leaving(self.left.clone()), pin.cid.to_string() == A);
        async move {
            let _leaving = leaving;
            if !is_held {
                until.await;
            }
            Ok((info_of(pin.cid, false), is_held))
        }
        .boxed()
    }

    fn unpin(&self, cid: Cid) -> BoxFuture<'static, Result<Pin, Error>> {
        self.note(format!("unpin {cid}"));
        now(Self::find(cid))
    }

    fn unpin_path(&self, path: String) -> BoxFuture<'static, Result<Pin, Error>> {
        self.note(format!("unpin {path}"));
        now(Ok(pin_of(A.parse().unwrap())))
    }

    fn allocation(&self, cid: Cid) -> BoxFuture<'static, Result<Pin, Error>> {
        now(Self::find(cid))
    }

    fn allocations(&self, types: PinTypes) -> BoxStream<'static, Result<Pin, Error>> {
        let pins = if types.contains(PinType::Data) { both().to_vec() } else { Vec::new() };
        stream::iter(pins).map(|cid| Ok(pin_of(cid))).boxed()
    }

    fn status(&self, cid: Cid, local: bool) -> BoxFuture<'static, Result<GlobalPinInfo, Error>> {
        now(Self::find(cid).map(|pin| info_of(pin.cid, local)))
    }

    fn status_all(&self, filter: StatusFilter, local: bool) -> BoxStream<'static, Result<GlobalPinInfo, Error>> {
        let pins = if filter.matches(TrackerStatus::Pinned) { both().to_vec() } else { Vec::new() };
        stream::iter(pins).map(move |cid| Ok(info_of(cid, local))).boxed()
    }

    fn recover(&self, cid: Cid, local: bool) -> BoxFuture<'static, Result<GlobalPinInfo, Error>> {
        self.note(format!("recover {cid}"));
        now(Self::find(cid).map(|pin| info_of(pin.cid, local)))
    }

    fn recover_all(&self, local: bool) -> BoxStream<'static, Result<GlobalPinInfo, Error>> {
        if local { stream::iter([Err(Error::Other("ipfs is down".into()))]).boxed() } else { stream::empty().boxed() }
    }

    fn replication(&self) -> ReplicationHealth {
        let summary = Summary { entries: 2, in_sync: true, ..Summary::default() };
        let (peer, at) = (PEER.parse().unwrap(), UnixMillis::from_seconds(1));
        let notices = vec![(at, Notice::Fork { peer, seq: 7 })];
        ReplicationHealth { summary, notices, clocks: vec![(peer, -7_000)], spending: None }
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Bytes, Error>> {
        stream::iter(["frame ", "by frame"]).map(|part| Ok(Bytes::from(part))).boxed()
    }

    fn allocations_after(&self, types: PinTypes, after: Option<Cid>) -> BoxStream<'static, Result<Pin, Error>> {
        let rest =
            move |pin: &Result<Pin, Error>| futures::future::ready(pin.as_ref().is_ok_and(|pin| Some(pin.cid) > after));
        self.allocations(types).filter(rest).boxed()
    }

    fn status_after(
        &self,
        filter: StatusFilter,
        local: bool,
        after: Option<Cid>,
    ) -> BoxStream<'static, Result<GlobalPinInfo, Error>> {
        assert!(!filter.matches(TrackerStatus::UnpinError) || filter == StatusFilter::ALL);
        let rest = move |row: &Result<GlobalPinInfo, Error>| {
            futures::future::ready(row.as_ref().is_ok_and(|row| Some(row.cid) > after))
        };
        self.status_all(filter, local).filter(rest).boxed()
    }

    fn events(&self, after: Option<&str>) -> BoxStream<'static, Result<Told, Error>> {
        let (at, cid) = (UnixMillis::from_seconds(1_778_487_461), A.parse().unwrap());
        let came = Happening::Came { cid, status: TrackerStatus::PinError, error: "two\nlines".into() };
        let event = |id: &str, what| Ok(Told { id: id.into(), event: Some(Event { at, what }) });
        let all = vec![event("P.1", Happening::Wished(cid)), event("P.2", came)];
        match after {
            None => stream::iter(all).boxed(),
            Some("P.1") => stream::iter(all).skip(1).boxed(),
            Some(_) => stream::iter([Ok(Told { id: "P.2".into(), event: None })]).boxed(),
        }
    }

    fn probe(&self, probe: Probe) -> Result<&'static str, String> {
        if probe == Probe::Synced { Err("behind".into()) } else { Ok("well") }
    }

    fn pin_counts(&self) -> Result<PinCounts, Error> {
        let by_status = vec![(TrackerStatus::Pinned, 5), (TrackerStatus::UnpinError, 2)];
        Ok(PinCounts { peer: PEER.parse().unwrap(), pins: 9, by_status, held_up: None })
    }

    fn metric_names(&self) -> Vec<String> {
        vec!["ping".into(), "freespace".into()]
    }

    fn metrics(&self, name: &str) -> Vec<Metric> {
        self.note(format!("metrics {name}"));
        Vec::new()
    }

    fn alerts(&self) -> Vec<Alert> {
        Vec::new()
    }

    fn traffic(&self) -> BTreeMap<String, Traffic> {
        let traffic = Traffic { total_in: 10_240, total_out: 20_480, rate_in: 12.5, rate_out: 0.0 };
        [("/ipfscluster/1.0/rpc".into(), traffic)].into()
    }
}

pub(super) fn api(options: &RestOptions) -> (Router, Arc<Small>) {
    let small = Arc::new(Small::default());
    (over(small.clone(), options), small)
}

pub(super) async fn ask(router: &Router, request: &str) -> Response<Body> {
    let (method, uri) = request.split_once(' ').unwrap();
    let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

pub(super) async fn text(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

pub(super) async fn answer(request: &str) -> (u16, String) {
    text(ask(&api(&RestOptions::default()).0, request).await).await
}

pub(super) fn fault(code: u16, message: &str) -> (u16, String) {
    (code, format!("{{\"code\":{code},\"message\":{}}}\n", serde_json::to_string(message).unwrap()))
}

#[tokio::test]
async fn bad_requests_have_gos_texts() {
    let cid = "error decoding Cid: invalid cid: selected encoding not supported";
    for request in
        ["GET /pins/abc", "POST /pins/abc", "DELETE /pins/abc", "GET /allocations/abc", "POST /pins/abc/recover"]
    {
        assert_eq!(answer(request).await, fault(400, cid), "{request}");
    }
    assert_eq!(answer("GET /pins/recover").await, fault(400, cid));
    assert_eq!(answer("POST /pins/ipfs/recover").await, fault(400, cid));
    assert_eq!(answer("POST /pins/ipns/recover").await, fault(400, cid));
    assert_eq!(answer(&format!("GET /pins?cids={A},abc")).await, fault(400, cid));
    let short = "error decoding Cid: invalid cid: cid too short";
    assert_eq!(answer(&format!("GET /pins?cids={A},")).await, fault(400, short));
    let path = "error parsing path: invalid path \"/ipfs/abc\": invalid cid: selected encoding not supported";
    assert_eq!(answer("POST /pins/ipfs/abc").await, fault(400, path));
    assert_eq!(answer("GET /pins?filter=nonsense").await, fault(400, "invalid filter value"));
    assert_eq!(answer("GET /allocations?filter=nonsense").await, fault(400, "invalid filter value"));
}

#[tokio::test]
async fn a_bad_option_is_only_a_400() {
    let (router, small) = api(&RestOptions::default());
    for request in [
        "POST /pins/{}",
        "GET /pins/{}",
        "DELETE /pins/{}",
        "POST /pins/{}/recover",
        "POST /pins/ipfs/{}",
        "DELETE /pins/ipfs/{}",
    ] {
        let request = format!("{}?replication-min=x", request.replace("{}", A));
        assert_eq!(
            text(ask(&router, &request).await).await,
            fault(400, "parameter replication-min invalid"),
            "{request}"
        );
    }
    assert!(small.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_pinned_is_a_404() {
    let gone = fault(404, "pin is not part of the pinset");
    for request in ["GET /allocations/", "DELETE /pins/", "DELETE /pins/ipfs/", "POST /pins/"] {
        assert_eq!(answer(&format!("{request}{GONE}")).await, gone, "{request}");
    }
}

#[tokio::test]
async fn unknown_paths_are_404_and_unknown_methods_405() {
    for request in ["GET /nothing", "GET /", "GET /pins/a/b/c", "POST /pins/nope/abc", "GET /alerts"] {
        assert_eq!(answer(request).await, fault(404, "not found"), "{request}");
    }
    let head = format!("HEAD /pins/{A}");
    for request in ["PUT /id", "HEAD /id", "OPTIONS /id", "POST /health", "HEAD /health", "PATCH /pins/x", &head] {
        assert_eq!(answer(request).await, (405, String::new()), "{request}");
    }
}

#[tokio::test]
async fn pins_and_paths_reach_the_cluster_with_their_options() {
    let (router, small) = api(&RestOptions::default());
    for request in [
        format!("POST /pins/{A}?mode=direct&name=x"),
        format!("POST /pins/ipfs/{A}?mode=direct"),
        format!("POST /pins/ipfs/{A}/sub/b.txt?mode=direct"),
        "POST /pins/ipns/example.org".into(),
        format!("DELETE /pins/ipld/{A}"),
        format!("DELETE /pins/ipfs/{A}/b%20c"),
        format!("POST /pins/{A}/recover"),
    ] {
        assert_eq!(ask(&router, &request).await.status(), 200, "{request}");
    }
    let calls = [
        format!("pin {A} Direct x"),
        format!("pin {A} Direct "),
        format!("pin /ipfs/{A}/sub/b.txt Direct"),
        "pin /ipns/example.org Recursive".into(),
        format!("unpin {A}"),
        format!("unpin /ipfs/{A}/b c"),
        format!("recover {A}"),
    ];
    assert_eq!(*small.calls.lock().unwrap(), calls);
}

#[tokio::test]
async fn a_fresh_pin_and_a_stored_one_differ_as_in_go() {
    let (_, fresh) = answer(&format!("POST /pins/{A}")).await;
    assert!(fresh.contains("\"user_allocations\":null,\"expire_at\":\"0001-01-01T00:00:00Z\",\"metadata\":{},\"pin_update\":null,\"origins\":null,"));
    let (_, stored) = answer(&format!("GET /allocations/{A}")).await;
    assert!(stored.contains("\"metadata\":null,\"pin_update\":null,\"origins\":[],"));
    assert!(stored.contains("\"timestamp\":\"2026-05-11T08:17:41Z\"}\n"));
}

#[tokio::test]
async fn lists_are_streams() {
    assert_eq!(answer("GET /allocations").await.1.lines().count(), 2);
    assert_eq!(answer("GET /allocations?filter=meta-pin").await, (204, String::new()));
    assert_eq!(answer("GET /pins").await.1.lines().count(), 2);
    assert_eq!(answer("GET /pins?filter=pin_error,%20nonsense").await, (204, String::new()));
    assert_eq!(answer("POST /pins/recover").await, (204, String::new()));
    assert_eq!(answer("POST /pins/recover?local=true").await, fault(500, "ipfs is down"));
    assert!(answer("GET /peers").await.1.contains("\"error\":\"down\",\"ipfs\":{\"addresses\":null,\"error\":\"\"}"));
}

#[tokio::test]
async fn some_of_several_cids_may_fail() {
    let (router, _) = api(&RestOptions::default());
    let response = ask(&router, &format!("GET /pins?cids={GONE},{A},{GONE},{B}&filter=error&local=true")).await;
    assert_eq!(response.headers()[header::TRAILER], "X-Stream-Error");
    let body = response.into_body().collect().await.unwrap();
    let trailers: Vec<_> = body.trailers().unwrap().get_all("x-stream-error").iter().collect();
    assert_eq!(trailers, ["pin is not part of the pinset"; 2]);
    assert!(String::from_utf8(body.to_bytes().to_vec()).unwrap().contains("\"peername\":\"own\""));
    assert_eq!(answer(&format!("GET /pins?cids={GONE}")).await, fault(500, "pin is not part of the pinset"));
}

#[tokio::test]
async fn metric_names_are_decoded() {
    let (router, small) = api(&RestOptions::default());
    assert_eq!(text(ask(&router, "GET /monitor/metrics/tag%3Agroup").await).await, (200, "[]\n".into()));
    assert_eq!(*small.calls.lock().unwrap(), ["metrics tag:group"]);
    assert_eq!(answer("GET /monitor/metrics").await, (200, "[\"ping\",\"freespace\"]\n".into()));
    assert_eq!(answer("GET /health/alerts").await, (200, "[]\n".into()));
    let rpc = r#"{"/ipfscluster/1.0/rpc":{"total_in":10240,"total_out":20480,"rate_in":12.5,"rate_out":0}}"#;
    assert_eq!(answer("GET /health/bandwidth").await, (200, format!("{rpc}\n")));
    assert_eq!(answer("GET /health").await, (204, String::new()));
    assert_eq!(answer("GET /version").await, (200, "{\"version\":\"1.1.6\"}\n".into()));
}

#[tokio::test]
async fn nobody_is_taken_out_of_the_peerset() {
    assert_eq!(
        answer(&format!("DELETE /peers/{PEER}")).await,
        fault(500, "crdt consensus component cannot remove peers")
    );
    assert_eq!(answer("DELETE /peers/abc").await.0, 400);
}

#[tokio::test]
async fn configured_headers_are_on_answers_but_not_on_redirections() {
    let users = [("testuser".into(), "testpass".into())].into();
    let options = RestOptions {
        headers: [("X-Custom".into(), vec!["one".into(), "two".into()]), ("b a d".into(), vec!["x".into()])].into(),
        credentials: Some(Credentials::new(&users)),
        ..RestOptions::default()
    };
    let (router, _) = api(&options);
    let customs = |response: &Response<Body>| response.headers().get_all("x-custom").iter().count();
    let denied = ask(&router, "GET /nothing").await;
    assert_eq!((denied.status().as_u16(), customs(&denied)), (401, 2));
    assert_eq!(denied.headers().get(header::VARY), None);
    let health = ask(&router, "GET /health").await;
    assert_eq!((customs(&health), health.headers()[header::VARY].to_str().unwrap()), (2, "Origin"));
    assert_eq!(health.headers()[header::CONTENT_TYPE], "application/json");
    assert_eq!(customs(&ask(&router, "OPTIONS /id").await), 0);
    let (open, _) = api(&RestOptions { credentials: None, ..options });
    assert_eq!(customs(&ask(&open, "GET /pins/").await), 0);
    assert_eq!(text(ask(&open, "GET /pins/").await).await.1, "<a href=\"/pins\">Temporary Redirect</a>.\n\n");
    assert_eq!(text(ask(&open, "POST /pins/").await).await, (307, String::new()));
}

#[tokio::test]
async fn the_client_reads_what_the_server_writes() {
    use crate::api::http::{Args, Listener, Timeouts, serve};
    use crate::client::{Client, ClientArgs};
    let listener = Listener::bind("/ip4/127.0.0.1/tcp/0").await.unwrap();
    let hosts = vec![listener.address().to_owned()];
    let router = api(&RestOptions::default()).0;
    let task = serve(Args {
        listeners: vec![listener],
        router,
        tls: None,
        timeouts: Timeouts::default(),
        max_header_bytes: 4096,
    });
    let client = Client::new(&ClientArgs { hosts, ..ClientArgs::default() }).unwrap();
    let cids = [A, GONE, B].map(|text| text.parse::<Cid>().unwrap());
    assert_eq!(client.id().await.unwrap().error, "down");
    assert_eq!(client.allocations("all").await.unwrap().count().await, 2);
    assert_eq!(client.recover_all(false).await.unwrap().count().await, 0);
    let mut statuses: Vec<_> = client.status_cids(&cids, true).await.unwrap().collect().await;
    let last = statuses.pop().unwrap().unwrap_err();
    assert_eq!((last.code, last.message.as_str()), (500, "pin is not part of the pinset"));
    assert_eq!(statuses.len(), 2);
    assert_eq!(client.allocation(cids[1]).await.unwrap_err().code, 404);
    task.stop().await.unwrap();
}

#[tokio::test]
async fn what_recover_was_once_called_is_understood() {
    let (router, small) = api(&RestOptions::default());
    assert_eq!(ask(&router, "POST /pins/sync").await.status().as_u16(), 204);
    assert_eq!(ask(&router, &format!("POST /pins/{A}/sync")).await.status().as_u16(), 200);
    assert_eq!(*small.calls.lock().unwrap(), [format!("recover {A}")]);
    let cid = "error decoding Cid: invalid cid: selected encoding not supported";
    assert_eq!(text(ask(&router, "POST /pins/abc/sync").await).await, fault(400, cid));
}

#[tokio::test]
async fn the_health_of_the_replication_is_one_document() {
    let (status, body) = answer("GET /health/replication").await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["pins"], &body["in_sync"]), (200, &2.into(), &true.into()));
    assert_eq!(body["clocks"], serde_json::json!([{"peer": PEER, "ahead_millis": -7_000}]));
    assert!(body["notices"][0]["text"].as_str().unwrap().contains("signed two histories"));
    assert_eq!(body["snapshot_at"], "0001-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_snapshot_comes_as_it_is_made() {
    assert_eq!(answer("GET /snapshot").await, (200, "frame by frame".into()));
}
