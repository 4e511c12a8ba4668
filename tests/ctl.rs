//! The real `ipfs-cluster-ctl` against a server that says what the tests write.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Response, header};
use http_body::Frame;
use http_body_util::StreamBody;
use ipfs_cluster::api::http::{Args, Listener, Timeouts, serve};
use ipfs_cluster::task::Task;

const A: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq";
const PEER: &str = "12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8";

/// Answers `GET /path` with the text of that name, and writes down what it was asked.
struct Server {
    host: String,
    asked: Arc<Mutex<Vec<String>>>,
    runtime: tokio::runtime::Runtime,
    task: Option<Task>,
}

impl Server {
    fn new(answers: &[(&str, u16, String)]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(Listener::bind("/ip4/127.0.0.1/tcp/0")).unwrap();
        let host = listener.address().to_owned();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers: BTreeMap<String, (u16, String)> =
            answers.iter().map(|(request, status, body)| ((*request).to_owned(), (*status, body.clone()))).collect();
        let (notes, answers) = (Arc::clone(&asked), Arc::new(answers));
        let router = Router::new().fallback(move |request: Request| {
            let (notes, answers) = (Arc::clone(&notes), Arc::clone(&answers));
            async move { answer(&request, &notes, &answers) }
        });
        let args = Args {
            listeners: vec![listener],
            router,
            tls: None,
            timeouts: Timeouts::default(),
            max_header_bytes: 4096,
        };
        let task = runtime.block_on(async { serve(args) });
        Self { host, asked, runtime, task: Some(task) }
    }

    /// Runs ctl against this server.
    fn ctl(&self, line: &str) -> (i32, String, String) {
        told(ctl(&format!("--host {} {line}", self.host)))
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            let _ = self.runtime.block_on(task.stop());
        }
    }
}

fn answer(request: &Request, notes: &Mutex<Vec<String>>, answers: &BTreeMap<String, (u16, String)>) -> Response<Body> {
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let login = request.headers().get(header::AUTHORIZATION).map(|value| format!(" {value:?}")).unwrap_or_default();
    notes.lock().unwrap().push(format!("{} {target}{login}", request.method()));
    let key = format!("{} {}", request.method(), request.uri().path());
    let missing = (404, "{\"code\":404,\"message\":\"not found\"}".to_owned());
    let (status, body) = answers.get(&key).cloned().unwrap_or(missing);
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    // A body that ends with `!text` is a stream with that error in its trailer.
    let Some((body, error)) = body.split_once('!') else { return response.body(body.into()).unwrap() };
    let mut trailers = HeaderMap::new();
    trailers.append("x-stream-error", error.parse().unwrap());
    let frames = [Frame::data(body.to_owned().into()), Frame::trailers(trailers)];
    let frames = futures::stream::iter(frames.map(Ok::<Frame<bytes::Bytes>, std::io::Error>));
    response.header(header::TRAILER, "X-Stream-Error").body(Body::new(StreamBody::new(frames))).unwrap()
}

fn ctl(line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ipfs-cluster-ctl"))
        .args(line.split_whitespace())
        .env_remove("CLUSTER_CREDENTIALS")
        .output()
        .unwrap()
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn run(line: &str) -> (i32, String, String) {
    told(ctl(line))
}

fn pin() -> String {
    format!(
        "{{\"cid\":\"{A}\",\"replication_factor_min\":-1,\"replication_factor_max\":-1,\"type\":\"pin\",\"max_depth\":-1}}\n"
    )
}

fn status(of: &str) -> String {
    format!(
        "{{\"cid\":\"{A}\",\"name\":\"n\",\"peer_map\":{{\"{PEER}\":{{\"peername\":\"p\",\"status\":\"{of}\"}}}}}}\n"
    )
}

const PIN_LINE: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq |  | PIN | Repl. Factor: -1 | Allocations: [everywhere] | \
    Recursive | Metadata: no | Exp: ∞ | Added: unknown\n";

fn status_line(of: &str) -> String {
    format!("{A} | n:\n    > p                    : {of} | 0001-01-01T00:00:00Z | Attempts: 0 | Priority: false\n")
}

#[test]
fn pin_add_sends_all_options() {
    let server = Server::new(&[(&format!("POST /pins/ipfs/{A}"), 200, pin())]);
    let line =
        format!("pin add {A} -ns -rmin 2 --rmax=3 -n x --mode direct --metadata a=b --metadata c=d=e -allocs {PEER}");
    assert_eq!(server.ctl(&line), (0, PIN_LINE.into(), String::new()));
    let query = format!(
        "meta-a=b&meta-c=d%3De&mode=direct&name=x&replication-max=3&replication-min=2&shard-size=0&user-allocations={PEER}"
    );
    assert_eq!(server.asked(), [format!("POST /pins/ipfs/{A}?{query}")]);
    let (code, _, _) = server.ctl(&format!("pin add -ns -r -1 --expire-in 100h /ipfs/{A}"));
    let asked = server.asked().remove(0);
    assert!(
        code == 0 && asked.contains("expire-at=20") && asked.contains("replication-max=-1&replication-min=-1"),
        "{asked}"
    );
}

#[test]
fn pin_rm_waits_and_prints_the_last_status() {
    let unpin = format!("DELETE /pins/ipfs/{A}");
    let server = Server::new(&[(&unpin, 200, pin()), (&format!("GET /pins/{A}"), 200, status("unpinned"))]);
    assert_eq!(server.ctl(&format!("pin rm --wait {A}")), (0, status_line("UNPINNED"), String::new()));
    assert_eq!(server.asked(), [unpin, format!("GET /pins/{A}?local=false")]);
}

#[test]
fn waiting_in_vain_has_its_own_exit_code() {
    let server = Server::new(&[
        (&format!("POST /pins/ipfs/{A}"), 200, pin()),
        (&format!("GET /pins/{A}"), 200, status("pinning")),
    ]);
    let text = "error waiting for pin status: context deadline exceeded\n";
    assert_eq!(server.ctl(&format!("pin add -w -wt 1100ms {A}")), (62, String::new(), text.into()));
    let server = Server::new(&[
        (&format!("POST /pins/ipfs/{A}"), 200, pin()),
        (&format!("GET /pins/{A}"), 200, status("pin_error")),
    ]);
    let text = "error waiting for pin status: error has occurred while attempting to reach status: pinned\n";
    assert_eq!(server.ctl(&format!("pin add -w {A}")), (1, String::new(), text.into()));
}

#[test]
fn status_asks_for_one_for_some_or_for_all() {
    let one = format!("GET /pins/{A}");
    let server = Server::new(&[(&one, 200, status("pinned")), ("GET /pins", 200, status("pinned").repeat(2) + "!")]);
    assert_eq!(server.ctl(&format!("status --local {A}")).1, status_line("PINNED"));
    assert_eq!(server.ctl(&format!("status {A} {A}")).1, status_line("PINNED").repeat(2));
    assert_eq!(server.ctl("status --filter remote,pinned").0, 0);
    let asked = [
        format!("GET /pins/{A}?local=true"),
        format!("GET /pins?local=false&filter=&cids={A},{A}"),
        "GET /pins?local=false&filter=remote%2Cpinned&cids=".into(),
    ];
    assert_eq!(server.asked(), asked);
}

#[test]
fn an_error_in_the_middle_of_a_stream_is_told_after_what_came() {
    let server = Server::new(&[
        ("GET /allocations", 200, pin() + "!the disk is gone"),
        ("POST /pins/recover", 204, String::new()),
    ]);
    let error = "An error occurred:\n  Code: 500\n  Message: the disk is gone\n";
    assert_eq!(server.ctl("pin ls"), (2, format!("{PIN_LINE}{error}"), String::new()));
    assert_eq!(server.ctl("recover"), (0, String::new(), String::new()));
}

#[test]
fn an_error_of_the_api_is_told_on_stdout() {
    let gone = "{\"code\":404,\"message\":\"pin is not part of the pinset\"}";
    let server = Server::new(&[(&format!("GET /allocations/{A}"), 404, gone.into())]);
    let text = "An error occurred:\n  Code: 404\n  Message: pin is not part of the pinset\n";
    assert_eq!(server.ctl(&format!("pin ls {A}")), (2, text.into(), String::new()));
    let json = "{\n    \"code\": 404,\n    \"message\": \"pin is not part of the pinset\"\n}\n";
    assert_eq!(server.ctl(&format!("--enc=json pin ls {A}")), (2, json.into(), String::new()));
}

/// The body of a recorded answer.
fn recorded(text: &str) -> String {
    text.split_once("body:\n").unwrap().1.to_owned()
}

#[test]
fn the_graph_is_drawn_on_stdout_or_into_a_file() {
    let graph = recorded(include_str!("vectors/rest/graph.txt"));
    let server = Server::new(&[("GET /health/graph", 200, graph)]);
    let (code, drawn, _) = server.ctl("--enc=json health graph");
    assert!(code == 0 && drawn.starts_with("digraph cluster {\n") && drawn.ends_with('}'), "{drawn}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("g.dot");
    let line = format!("health graph --all-ipfs-peers --file {}", file.display());
    assert_eq!(server.ctl(&line), (0, String::new(), String::new()));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), drawn);
    let (code, _, told) = server.ctl("health graph -f /nowhere/g.dot");
    assert_eq!(
        (code, told.as_str()),
        (1, "error creating output file: open /nowhere/g.dot: no such file or directory\n")
    );
}

#[test]
fn daemons_collect_and_bandwidth_is_listed() {
    let gc = recorded(include_str!("vectors/rest/gc-local.txt"));
    let bandwidth = recorded(include_str!("vectors/rest/bandwidth.txt"));
    let server = Server::new(&[("POST /ipfs/gc", 200, gc), ("GET /health/bandwidth", 200, bandwidth)]);
    let collected = (0, "peer0          \n  > CIDs:\n".to_owned(), String::new());
    assert_eq!(server.ctl("ipfs gc --local"), collected);
    assert_eq!(server.ctl("ipfs gc"), collected);
    assert_eq!(server.asked(), ["POST /ipfs/gc?local=true", "POST /ipfs/gc?local=false"]);
    let (code, listed, _) = server.ctl("health bandwidth");
    assert!(
        code == 0 && listed.contains("     /ipfscluster/1.0/rpc: In:   74 kB. Out:  7.7 MB. RateIn: 14.89B/s."),
        "{listed}"
    );
}

#[test]
fn arguments_are_checked_before_anything_is_sent() {
    let server = Server::new(&[]);
    for (line, text) in [
        ("pin add abc", "error : invalid path \"/ipfs/abc\": invalid cid: selected encoding not supported"),
        ("pin add", "error : invalid path \"/ipfs/\": path does not have enough components"),
        ("pin rm abc", "error : invalid path \"/ipfs/abc\": invalid cid: selected encoding not supported"),
        ("pin update abc x", "error parsing from Cid: invalid cid: selected encoding not supported"),
        (&format!("pin update {A}"), "error : invalid path \"/ipfs/\": path does not have enough components"),
        ("pin ls abc", "error parsing cid: invalid cid: selected encoding not supported"),
        ("status abc", "error parsing cid: invalid cid: selected encoding not supported"),
        ("recover abc", "error parsing cid: invalid cid: selected encoding not supported"),
        ("status --filter nonsense", "error parsing filter flag: invalid filter name"),
        (
            "peers rm abc",
            "error parsing peer ID: failed to parse peer ID: invalid cid: selected encoding not supported",
        ),
        ("peers rm", "error parsing peer ID: failed to parse peer ID: invalid cid: cid too short"),
        (&format!("pin add --allocations x {A}"), "error decoding allocations: some peer IDs could not be decoded"),
        (&format!("pin add --metadata x {A}"), "error parsing metadata: metadata were not in the format key=value"),
        (&format!("pin add --expire-in x {A}"), "error parsing expire-in: time: invalid duration \"x\""),
        ("--enc=xml id", "error : unsupported encoding"),
        ("add x", "error : this version cannot do \"add\""),
    ] {
        assert_eq!(server.ctl(line), (1, String::new(), format!("{text}\n")), "{line}");
    }
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn wrong_words_and_hosts_are_told_as_go_tells_them() {
    assert_eq!(run("nothing"), (3, String::new(), "No help topic for 'nothing'\n".into()));
    assert_eq!(run("peers add abc"), (3, String::new(), "No help topic for 'add'\n".into()));
    let (code, text, _) = run("id --enc=json");
    assert!(code == 1 && text.starts_with("Incorrect Usage: flag provided but not defined: -enc\n\nNAME:\n"), "{text}");
    let text = "error parsing host multiaddress: failed to parse multiaddr \"abc\": must begin with /\n";
    assert_eq!(run("--host abc id"), (1, String::new(), text.into()));
    assert_eq!(run("").0, 0);
    assert_eq!(run("commands").1.lines().count(), 22 + 14, "Go's and ours");
}

#[test]
fn credentials_are_sent_and_never_shown() {
    let server = Server::new(&[("GET /version", 200, "{\"version\":\"1\"}".into())]);
    let (code, out, log) = server.ctl("--debug --basic-auth user:hush --force-http version");
    assert_eq!((code, out.as_str()), (0, "1\n"));
    assert!(log.contains("GET: http://127.0.0.1") && log.contains("Response body: {\"version\":\"1\"}"), "{log}");
    assert!(!log.contains("hush") && !log.contains("dXNlcjpodXNo"), "{log}");
    assert_eq!(server.asked(), ["GET /version \"Basic dXNlcjpodXNo\""]);
    let (code, out, _) = server.ctl("--basic-auth user:hush version");
    assert!(code == 1 && out.contains("http: server gave HTTP response to HTTPS client"), "{out}");
}

#[test]
fn probes_end_with_a_code_and_say_why() {
    let well = "{\"code\":200,\"message\":\"this peer runs\"}".to_owned();
    let behind = "{\"code\":503,\"message\":\"another peer knows more\"}".to_owned();
    let server = Server::new(&[("GET /livez", 200, well), ("GET /syncedz", 503, behind)]);
    assert_eq!(server.ctl("health live"), (0, "this peer runs\n".into(), String::new()));
    assert_eq!(server.ctl("health synced"), (1, "another peer knows more\n".into(), String::new()));
    let (code, json, _) = server.ctl("--enc json health synced");
    assert!(code == 1 && json.contains("\"code\": 503"), "{json}");
    // A peer that knows no such probe.
    assert_eq!(server.ctl("health ready").0, 2);
    assert_eq!(told(ctl("--host /ip4/127.0.0.1/tcp/1 health live")).0, 1);
}

#[test]
fn pins_are_counted_by_status() {
    let counts = "{\"pins\":9,\"peer\":\"P\",\"allocated\":5,\"status\":{\"pinned\":5,\"pin_error\":0}}".to_owned();
    let server = Server::new(&[("GET /pins/counts", 200, counts)]);
    let text = "pins in the pinset: 9\nof them on P: 5\n  pinned: 5\n";
    assert_eq!(server.ctl("health pins"), (0, text.into(), String::new()));
}

#[test]
fn a_file_of_pins_goes_in_one_request_and_failures_keep_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pins");
    std::fs::write(&file, format!("\n{A}\n\n{{\"cid\":\"x\"}}\n")).unwrap();
    let answers = format!(
        "{{\"line\":1,\"cid\":\"{A}\",\"ok\":true}}\n{{\"line\":2,\"cid\":\"\",\"ok\":false,\"code\":400,\"error\":\"bad\"}}\n"
    );
    let server = Server::new(&[("POST /pins", 200, answers.clone())]);
    let line = format!("pin add --name n --from-file {}", file.display());
    assert_eq!(server.ctl(&line), (2, "line 4: bad\npinned: 1, failed: 1\n".into(), String::new()));
    assert_eq!(server.asked(), ["POST /pins"]);
    let (code, json, _) = server.ctl(&format!("--enc json {line}"));
    assert!(code == 2 && json.contains("\"line\": 2,") && json.contains("\"line\": 4,"), "{json}");
    // An answer that ends early tells from where on nothing is known.
    let early = answers.lines().next().unwrap().to_owned();
    let (code, _, told) = Server::new(&[("POST /pins", 200, early)]).ctl(&line);
    assert!(code == 1 && told.contains("stopped answering at line 4"), "{told}");
    let (code, _, told) = server.ctl("pin add --from-file /nowhere/pins");
    assert!(code == 1 && told.starts_with("error opening the file: "), "{told}");
}

#[test]
fn events_are_printed_a_line_each() {
    let event = |fields: &str| format!("event: x\nid: y\ndata: {{{fields}}}\n\n");
    let pin = event(&format!("\"id\":\"P.1\",\"event\":\"pin\",\"at\":\"2026-05-11T08:17:41Z\",\"cid\":\"{A}\""));
    let reset = event("\"id\":\"P.2\",\"event\":\"reset\",\"error\":\"a\\nb\"");
    let server = Server::new(&[("GET /events", 200, format!(": beat\n\n{pin}{reset}"))]);
    let lines = format!("2026-05-11T08:17:41Z | P.1 | pin | {A}\n0001-01-01T00:00:00Z | P.2 | reset | a b\n");
    assert_eq!(server.ctl("events --since P.0"), (0, lines, String::new()));
    assert_eq!(server.asked(), ["GET /events?last-event-id=P.0"]);
    let broken = event("\"event\":\"error\",\"error\":\"the ledger\"");
    assert_eq!(Server::new(&[("GET /events", 200, broken)]).ctl("events").0, 2);
}

#[test]
fn parts_of_lists_are_asked_for_and_no_more_is_shown_of_a_peer_that_knows_none() {
    let row = |name: &str, at: &str| {
        pin().replacen('{', &format!("{{\"name\":\"{name}\",\"metadata\":{{\"k\":\"v\"}},\"timestamp\":\"{at}\","), 1)
    };
    let new = "2026-02-01T00:00:00Z";
    let rows = [row("a", new), row("b", new), row("a", "2026-01-01T00:00:00Z"), row("a", new), row("a", new)].concat();
    let statuses = status("pinned") + &status("pinned").replace("\"n\"", "\"other\"");
    let server = Server::new(&[("GET /allocations", 200, rows), ("GET /pins", 200, statuses)]);
    let flags = "--name a --meta k=v --created-after 2026-01-15T00:00:00+00:00 --limit 2";
    let (code, out, err) = server.ctl(&format!("pin ls {flags} --cursor {A}"));
    assert_eq!((code, out.lines().count(), err.as_str()), (0, 2, ""), "{out}");
    assert!(out.lines().all(|line| line.contains("| a |") && line.contains("2026-02-01")), "{out}");
    let asked = format!("&meta-k=v&name=a&created-after=2026-01-15T00%3A00%3A00Z&limit=2&cursor={A}");
    assert_eq!(server.asked(), [format!("GET /allocations?filter=all{asked}")]);

    let (code, out, _) = server.ctl("status --local --filter pinned --name n");
    assert_eq!((code, out), (0, status_line("PINNED")));
    assert_eq!(server.asked(), ["GET /pins?local=true&filter=pinned&cids=&name=n"]);
    for (line, fault) in [
        (format!("pin ls --limit 2 {A}"), "error parsing flags: items that are named are listed whatever they are\n"),
        (format!("status --name x {A}"), "error parsing flags: items that are named are listed whatever they are\n"),
        ("pin ls --created-after today".into(), "error parsing created-after: it is not like 2026-01-02T15:04:05Z\n"),
        ("pin ls --limit -1".into(), "error parsing limit: it is below 0\n"),
        ("status --meta x".into(), "error parsing metadata: metadata were not in the format key=value\n"),
    ] {
        let (code, out, err) = server.ctl(&line);
        assert_eq!((code, out.as_str(), err.as_str()), (1, "", fault), "{line}");
    }
    assert_eq!(server.asked(), Vec::<String>::new());
}
