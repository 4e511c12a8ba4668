//! Traces: a collector gets the spans of a pin, and one that is away or hangs is in nobody's way.
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;

use crate::common::ports::free_port;
use crate::common::process::now;
use crate::daemon::Daemon;
use crate::stage::Stage;

const CID: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq";

/// Spans leave at once, so that a test need not wait for them.
const SOON: [(&str, &str); 1] = [("OTEL_BSP_SCHEDULE_DELAY", "50")];

/// A span as it arrived.
#[derive(Clone, Debug)]
struct Seen {
    name: String,
    trace: String,
    id: String,
    parent: String,
    service: BTreeMap<String, String>,
    all: String,
}

/// What a collector does with spans.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Takes,
    Hangs,
}

/// A collector of the test's own.
struct Collector {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Collector {
    fn start(manner: Manner) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let spans = seen.clone();
        let port = serve(move |stream| {
            if manner == Manner::Hangs {
                thread::sleep(Duration::from_mins(1));
                return;
            }
            let (line, body) = request(&mut BufReader::new(&stream));
            assert!(line.starts_with("POST /v1/traces "), "{line}");
            spans.lock().expect("no test panics with it").extend(decode(&body));
            answer(&stream, "200 OK", "");
        });
        Self { port, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics with it").clone()
    }

    fn find(&self, name: &str) -> Option<Seen> {
        self.seen().into_iter().find(|span| span.name == name)
    }
}

/// Serves each connection on a thread of its own, until this process ends; returns the port.
fn serve(work: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the kernel has a port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let work = work.clone();
            thread::spawn(move || work(stream));
        }
    });
    port
}

/// Reads a message of HTTP: its first line and its body.
fn request(reader: &mut impl BufRead) -> (String, Vec<u8>) {
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).expect("it can be read");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("it can be read");
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(bytes) = line.strip_prefix("content-length: ") {
            length = bytes.parse().expect("it is a number");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("it can be read");
    (first, body)
}

fn answer(mut stream: &TcpStream, status: &str, body: &str) {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    // Who asked may be gone.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

fn decode(body: &[u8]) -> Vec<Seen> {
    let request = ExportTraceServiceRequest::decode(body).expect("it is OTLP");
    let mut seen = Vec::new();
    for resource in request.resource_spans {
        let attributes = resource.resource.iter().flat_map(|resource| &resource.attributes);
        let text = |value: Option<Value>| if let Some(Value::StringValue(text)) = value { text } else { String::new() };
        let service: BTreeMap<_, _> =
            attributes.map(|pair| (pair.key.clone(), text(pair.value.clone().and_then(|value| value.value)))).collect();
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            seen.push(Seen {
                all: format!("{span:?}"),
                name: span.name,
                trace: hex::encode(span.trace_id),
                id: hex::encode(span.span_id),
                parent: hex::encode(span.parent_span_id),
                service: service.clone(),
            });
        }
    }
    seen
}

/// An IPFS daemon that pins whatever it is asked to.
fn kubo() -> u16 {
    serve(|stream| {
        let (line, _) = request(&mut BufReader::new(&stream));
        let path = line.split(' ').nth(1).unwrap_or_default();
        let cid = path.split("arg=").nth(1).and_then(|rest| rest.split('&').next()).unwrap_or_default();
        let pinned = format!("{{\"Progress\":1}}\n{{\"Pins\":[\"{cid}\"]}}\n");
        match path.trim_start_matches("/api/v0/").split('?').next().unwrap_or_default() {
            "id" => {
                answer(&stream, "200 OK", r#"{"ID":"QmYY6Yq9qaKwbZjPLWCWzaTyhiWKUvLPzSm6bJHzDHKbpP","Addresses":[]}"#);
            }
            "pin/add" => answer(&stream, "200 OK", &pinned),
            "pin/ls" if !cid.is_empty() => {
                answer(&stream, "500 Error", r#"{"Message":"it is not pinned","Code":0,"Type":"error"}"#);
            }
            "repo/stat" => answer(&stream, "200 OK", r#"{"RepoSize":1,"StorageMax":2}"#),
            _ => answer(&stream, "200 OK", ""),
        }
    })
}

fn traced<'a>(stage: &'a Stage, name: &str, collector: u16, share: f64) -> Daemon<'a> {
    let daemon = Daemon::new(stage, name);
    daemon.configure("cluster.peername", name);
    daemon.configure("observations.tracing.jaeger_agent_endpoint", format!("/ip4/127.0.0.1/tcp/{collector}"));
    daemon.configure("observations.tracing.sampling_prob", share);
    daemon.configure("ipfs_connector.ipfshttp.node_multiaddress", format!("/ip4/127.0.0.1/tcp/{}", kubo()));
    daemon
}

#[test]
fn a_collector_gets_the_spans_of_a_pin_from_the_request_to_the_ipfs_daemon() {
    let (stage, collector) = (Stage::new(), Collector::start(Manner::Takes));
    let mut daemon = traced(&stage, "traced", collector.port, 1.0);
    daemon.start_in(&SOON, &["--tracing"]);
    daemon.pin(CID);
    daemon.until("the daemon's span arrives", |_| collector.find("ipfs.pin").is_some());
    daemon.until("the request's span arrives", |_| collector.find("POST /pins/ipfs/{*path}").is_some());
    let [request, pin, write, turn, ipfs] =
        ["POST /pins/ipfs/{*path}", "cluster.pin", "pinset.write", "pinset.turn", "ipfs.pin"]
            .map(|name| collector.find(name).unwrap_or_else(|| panic!("no {name} in {:#?}", collector.seen())));
    let parents = [&request, &pin, &write, &turn, &ipfs].map(|span| span.parent.clone());
    assert_eq!(parents, [String::new(), request.id, pin.id.clone(), write.id, pin.id.clone()]);
    for span in [&pin, &turn, &ipfs] {
        assert_eq!(span.trace, request.trace, "{span:?}");
    }
    assert_eq!(
        (request.service["service.name"].as_str(), &request.service["cluster_id"]),
        ("cluster-daemon-traced", &daemon.id())
    );
    assert!(pin.all.contains(CID), "{pin:?}");

    let parent = ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"];
    let mut socket = TcpStream::connect(("127.0.0.1", daemon.rest())).expect("the API listens");
    write!(socket, "GET /version HTTP/1.1\r\nHost: a\r\ntraceparent: 00-{}-{}-01\r\n\r\n", parent[0], parent[1])
        .expect("it listens");
    daemon.until("its span arrives", |_| collector.find("GET /version").is_some());
    let adopted = collector.find("GET /version").expect("it is there");
    assert_eq!([adopted.trace.as_str(), adopted.parent.as_str()], parent);
    assert!(!collector.seen().iter().any(|span| span.name == "ipfs.id"), "what a peer asks by itself is not traced");
    daemon.stop();
}

#[test]
fn without_the_flag_or_with_a_share_of_nothing_nothing_is_sent() {
    let (stage, collector) = (Stage::new(), Collector::start(Manner::Takes));
    for (name, words) in [("off", &[][..]), ("nothing", &["--tracing"][..])] {
        let mut daemon = traced(&stage, name, collector.port, 0.0);
        daemon.start_in(&SOON, words);
        daemon.pin(CID);
        daemon.until("it is pinned", |daemon| daemon.ctl(&["status", CID]).stdout.contains("PINNED"));
        // What waits is sent at the end.
        daemon.stop();
    }
    assert_eq!(collector.seen().len(), 0);
}

#[test]
fn a_collector_that_hangs_or_is_away_slows_nobody_and_is_told_once() {
    let stage = Stage::new();
    for (name, port) in [("hanging", Collector::start(Manner::Hangs).port), ("away", free_port())] {
        let mut daemon = traced(&stage, name, port, 1.0);
        daemon.start_in(&[SOON[0], ("OTEL_BSP_MAX_QUEUE_SIZE", "16")], &["--tracing"]);
        let socket = TcpStream::connect(("127.0.0.1", daemon.rest())).expect("the API listens");
        let mut reader = BufReader::new(&socket);
        let began = now();
        for _ in 0..500 {
            write!(&socket, "GET /version HTTP/1.1\r\nHost: a\r\n\r\n").expect("it listens");
            assert!(request(&mut reader).0.contains("200 OK"));
        }
        // One answer that waited for the collector would take five seconds.
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        let told = |daemon: &Daemon| daemon.log().matches("traces do not arrive").count();
        daemon.until("it is told", |daemon| told(daemon) > 0);
        assert_eq!(told(&daemon), 1);
        drop(reader);
        drop(socket);
        let began = now();
        daemon.stop();
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
}

#[test]
fn an_address_that_is_no_collectors_is_said_at_the_start() {
    let stage = Stage::new();
    let daemon = traced(&stage, "wrong", 1, 1.0);
    daemon.configure("observations.tracing.jaeger_agent_endpoint", "/unix/run/jaeger");
    let answer = daemon.service(&["daemon", "--tracing"], "");
    let fault = "error creating tracing component: spans cannot be sent to /unix/run/jaeger";
    assert!(answer.code == 1 && answer.stderr.contains(fault), "{answer:?}");
}
