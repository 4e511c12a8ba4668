//! What operators watch: the page of Prometheus, and the bytes between peers.
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::common::ports::free_port;
use crate::daemon::Daemon;
use crate::stage::Stage;

const CID: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq";

/// What Go's peers show, as their dashboards ask for it.
const GOS: [(&str, &str); 15] = [
    ("ipfscluster_pins", "gauge"),
    ("ipfscluster_pins_pin_queued", "gauge"),
    ("ipfscluster_pins_pinning", "gauge"),
    ("ipfscluster_pins_pin_error", "gauge"),
    ("ipfscluster_pins_ipfs_pins", "gauge"),
    ("ipfscluster_pins_pin_add", "counter"),
    ("ipfscluster_pins_pin_add_errors", "counter"),
    ("process_cpu_seconds_total", "counter"),
    ("process_max_fds", "gauge"),
    ("process_open_fds", "gauge"),
    ("process_resident_memory_bytes", "gauge"),
    ("process_start_time_seconds", "gauge"),
    ("process_virtual_memory_bytes", "gauge"),
    ("ipfscluster_build_info", "gauge"),
    ("ipfscluster_peers", "gauge"),
];

/// Asks a port for a path; `None` when nobody listens.
fn get(port: u16, path: &str) -> Option<(String, String)> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(socket, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("it takes a request");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    Some((head.to_lowercase(), body.to_owned()))
}

/// The page, read as strictly as a scraper does.
#[derive(Debug)]
struct Page {
    types: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

impl Page {
    fn of(port: u16) -> Self {
        let (head, body) = get(port, "/metrics").expect("the endpoint listens");
        assert!(head.starts_with("http/1.1 200") && head.contains("content-type: text/plain; version=0.0.4"), "{head}");
        let (mut types, mut samples) = (BTreeMap::new(), BTreeMap::new());
        for line in body.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is typed twice");
            } else if !line.starts_with('#') {
                let (sample, value) = line.rsplit_once(' ').expect("a sample has a value");
                let name = sample.split('{').next().unwrap_or_default();
                let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
                let family = family.filter(|family| types.get(*family).is_some_and(|kind| kind == "histogram"));
                assert!(types.contains_key(family.unwrap_or(name)), "{line} has no type before it");
                assert!(
                    samples.insert(sample.to_owned(), value.parse().expect("it is a number")).is_none(),
                    "{sample} is there twice"
                );
            }
        }
        Self { types, samples }
    }

    fn value(&self, sample: &str) -> f64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("no {sample} in {:#?}", self.samples))
    }

    fn names(&self) -> BTreeSet<&str> {
        self.samples.keys().filter_map(|sample| sample.split('{').next()).collect()
    }
}

fn listens_for_prometheus(daemon: &Daemon) -> u16 {
    let port = free_port();
    daemon.configure("observations.metrics.prometheus_endpoint", format!("/ip4/127.0.0.1/tcp/{port}"));
    port
}

#[test]
fn the_page_is_off_by_default_and_tells_of_a_peer_when_it_is_on() {
    let stage = Stage::new();
    let mut peer = Daemon::new(&stage, "watched");
    let port = listens_for_prometheus(&peer);
    peer.start(&[]);
    assert_eq!(get(port, "/metrics"), None);
    peer.stop();

    peer.start(&["--stats"]);
    peer.pin(CID);
    let page = Page::of(port);
    for (name, kind) in GOS {
        assert_eq!(page.types.get(name).map(String::as_str), Some(kind), "{name}");
        assert!(page.names().contains(name), "{name} has no value");
    }
    assert!((page.value("ipfscluster_pins") - 1.0).abs() < 0.1);
    assert!(page.value("ipfscluster_ipfs_up").abs() < 0.1, "nobody is there");
    let pinned = r#"ipfscluster_http_requests_total{method="POST",route="/pins/ipfs/{*path}",status="200"}"#;
    assert!((page.value(pinned) - 1.0).abs() < 0.1);
    for moved in [
        "ipfscluster_writer_commit_seconds_count",
        "ipfscluster_writer_commit_seconds_sum",
        "ipfscluster_writer_write_seconds_count",
        "ipfscluster_replication_clock",
        "ipfscluster_replication_digest",
        "ipfscluster_replication_log_bytes",
        r#"ipfscluster_store_bytes{store="pinset"}"#,
        r#"ipfscluster_store_bytes{store="ledger"}"#,
        "ipfscluster_store_free_bytes",
    ] {
        assert!(page.value(moved) > 0.0, "{moved}");
    }
    let is_bounded =
        |sample: &&String| sample.contains(CID) || sample.contains("12D3Koo") || sample.contains("127.0.0.1");
    assert_eq!(page.samples.keys().find(is_bounded), None, "labels are of a known number");
    assert!(page.samples.len() < 1_000, "{} samples", page.samples.len());
    assert!(get(port, "/debug/pprof/").unwrap().0.starts_with("http/1.1 404"));
    peer.stop();
}

#[test]
fn a_port_that_is_taken_is_said_before_anything_is_opened() {
    let stage = Stage::new();
    let peer = Daemon::new(&stage, "late");
    peer.configure("observations.metrics.enable_stats", true);
    let port = listens_for_prometheus(&peer);
    let _other = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let answer = peer.service(&["daemon"], "");
    assert_eq!(answer.code, 1, "{answer:?}");
    let fault = format!("error creating metrics endpoint: listen tcp4 127.0.0.1:{port}: bind: address already in use");
    assert!(answer.stderr.contains(&fault), "{answer:?}");
    assert!(!peer.folder.join("pinset.redb").exists());
}

#[test]
fn two_peers_count_the_bytes_between_them_and_that_they_are_in_step() {
    let stage = Stage::new();
    let (mut one, mut other) = (Daemon::new(&stage, "one"), Daemon::new(&stage, "other"));
    let ports = [&one, &other].map(listens_for_prometheus);
    one.start(&["--stats"]);
    other.start(&["--stats", "--bootstrap", &one.address()]);
    one.pin(CID);
    other.until("the pin is there", |other| other.has(CID));
    one.until("they are in step", |_| {
        let [a, b] = ports.map(Page::of);
        let same = |name: &str| (a.value(name) - b.value(name)).abs() < 0.5;
        same("ipfscluster_replication_clock") && a.value("ipfscluster_replication_in_sync") > 0.5
    });
    let [a, b] = ports.map(Page::of);
    assert!((a.value("ipfscluster_replication_digest") - b.value("ipfscluster_replication_digest")).abs() < 0.5);
    assert!(a.value("ipfscluster_replication_behind_seconds").abs() < 0.001);
    assert!(a.value("ipfscluster_connected_peers") > 0.5);
    let gossip =
        a.samples.iter().find(|(sample, _)| sample.contains(r#"{protocol="/meshsub/"#)).expect("gossip flowed");
    assert!(*gossip.1 > 100.0, "{gossip:?}");
    let listed = one.ctl(&["health", "bandwidth"]);
    let line = listed.stdout.lines().find(|line| line.contains("/meshsub/")).expect("gossip is listed");
    assert!(line.contains("In: ") && line.contains("RateOut: "), "{line}");
    one.stop();
    other.stop();
}
