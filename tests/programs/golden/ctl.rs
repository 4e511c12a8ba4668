//! `vectors/ctl`: our program against a peer that answers what Go's peer answered, as far as the recording tells.
//!
//! A text names all that ctl prints of a document, so that the document is made of it; the JSON is there to the byte.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use super::Golden;
use super::scene::Scene;
use crate::recording::Recording;

const CTL: &str = "ipfs-cluster-ctl";

/// Commands and flags that Go's program does not have.
const OURS: [&str; 20] = [
    "rebalance",
    "drain",
    "log",
    "level",
    "snapshot",
    "replication",
    "doctor",
    "completions",
    "save",
    "events",
    "live",
    "ready",
    "synced",
    "pins",
    "--from-file value",
    "--name value",
    "--meta value",
    "--created-after value",
    "--limit value",
    "--cursor value",
];

/// The port where nobody listens.
const PORTS: [u16; 1] = [39999];

/// `add` comes later; what of a graph, of bandwidth and of a collection is printed is tested beside the code that prints it.
const LATER: [&str; 6] = ["add-", "health-graph", "health-bandwidth", "ipfs-gc", "help-ipfs", "help-health-bandwidth"];

#[test]
fn ctl_is_as_recorded() {
    let mut scene = Scene::new("ctl", CTL, &PORTS);
    let peer = Peer::default();
    scene.replace.extend(["34102", "34142"].map(|recorded| (recorded.to_owned(), peer.listen().to_string())));
    let is_later = |name: &str| {
        LATER.iter().any(|prefix| name.starts_with(prefix)) || name == "help-add" || name == "help-health-graph"
    };
    Golden::new("ctl").replay(
        |name| !is_later(name),
        |name| {
            let is_help = name.starts_with("help") || name.starts_with("group") || name.ends_with("-flag");
            if (is_help && name != "version-flag") || name == "no-command" || name == "enc-after" {
                return scene.help(name, &OURS);
            }
            peer.play(name);
            scene.run(name)
        },
    );
}

/// Go's peer, as far as one recording tells of it.
#[derive(Default)]
struct Played {
    status: u16,
    documents: Vec<Value>,
    is_array: bool,
}

#[derive(Default)]
struct Peer(Arc<Mutex<Played>>);

impl Peer {
    /// Listens on one more port; returns it.
    fn listen(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the kernel has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let answers = Arc::clone(&self.0);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                // The client may be gone.
                let _ = serve(stream, &answers.lock().expect("nobody panics with it"));
            }
        });
        port
    }

    /// Takes the part of a recording.
    fn play(&self, name: &str) {
        let recording = Recording::read(&format!("ctl/{name}"));
        let mut played = read(&recording.stdout);
        if name.starts_with("pin-add-gone-wait") {
            played.documents = vec![status("QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmm1", "", &[])];
            played.documents[0]["peer_map"]["a"] =
                json!({"peername": "a", "status": if recording.code == 62 { "pinning" } else { "pin_error" }});
        }
        *self.0.lock().expect("nobody panics with it") = played;
    }
}

fn serve(mut stream: TcpStream, played: &Played) -> std::io::Result<()> {
    let mut head = [0; 8192];
    let length = stream.read(&mut head)?;
    let head = String::from_utf8_lossy(&head[..length]);
    let (method, path) = head.split_once(' ').unwrap_or_default();
    let body = body(method, path.split(' ').next().unwrap_or_default(), played);
    let (status, length) = (played.status, body.len());
    write!(
        stream,
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// What wishes a pin is answered with a pin, also where only its status was printed.
fn body(method: &str, path: &str, played: &Played) -> String {
    let is_wish = matches!(method, "POST" | "DELETE") && path.starts_with("/pins/") && !path.contains("/recover");
    let wished = played.documents.first().filter(|document| is_wish && document.get("peer_map").is_some());
    if let Some(document) = wished {
        return pin(document["cid"].as_str().unwrap(), "").to_string();
    }
    if played.is_array || path.starts_with("/monitor") || path.starts_with("/health") {
        return Value::from(played.documents.clone()).to_string();
    }
    played.documents.iter().flat_map(|document| [document.to_string(), "\n".into()]).collect()
}

/// Makes documents of what ctl printed.
fn read(stdout: &str) -> Played {
    let plain = |documents| Played { status: 200, documents, is_array: false };
    if let Some(error) = stdout.split_once("An error occurred:\n  Code: ").map(|(_, error)| error) {
        let (code, message) = error.trim_end().split_once("\n  Message: ").unwrap();
        return failed(&json!({"code": code.parse::<u16>().unwrap(), "message": message}));
    }
    if stdout.starts_with(['{', '[']) {
        let documents: Vec<Value> =
            serde_json::Deserializer::from_str(stdout).into_iter().map(|document| document.unwrap()).collect();
        return match documents.as_slice() {
            [Value::Array(items)] => Played { status: 200, documents: items.clone(), is_array: true },
            [error] if error.get("code").is_some() => failed(error),
            _ => plain(documents),
        };
    }
    plain(match stdout {
        "1.1.6\n" => vec![json!({"version": "1.1.6"})],
        text if text.contains(" | Repl. Factor: ") => text.lines().map(pin_of).collect(),
        text if text.contains(" | Sees ") => {
            items(text, |line| !line.starts_with(' ')).map(|lines| peer_of(&lines)).collect()
        }
        text if text.contains(" | Expires in: ") => text.lines().map(metric_of).collect(),
        text if text.contains("\n    > ") => {
            items(text, |line| !line.starts_with(' ')).map(|lines| status_of(&lines)).collect()
        }
        names => names.lines().map(Value::from).collect(),
    })
}

/// Errors of nobody's making carry no status: nothing is asked then.
fn failed(error: &Value) -> Played {
    let status = error["code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code > 0);
    Played { status: status.unwrap_or(500), documents: vec![error.clone()], is_array: false }
}

/// Groups of lines that begin where `is_first`.
fn items<'a>(text: &'a str, is_first: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = Vec<&'a str>> {
    let mut groups: Vec<Vec<&str>> = Vec::new();
    for line in text.lines() {
        if is_first(line) {
            groups.push(Vec::new());
        }
        groups.last_mut().unwrap().push(line);
    }
    groups.into_iter()
}

fn pin(cid: &str, name: &str) -> Value {
    json!({"cid": cid, "name": name, "replication_factor_min": -1, "replication_factor_max": -1, "type": "pin",
        "max_depth": -1})
}

/// `CID | name | PIN | Repl. Factor: 1--3 | Allocations: [..] | Recursive | Metadata: no | Exp: ∞ | Added: ..`
fn pin_of(line: &str) -> Value {
    let parts: Vec<&str> = line.split(" | ").collect();
    let [cid, name, kind, factor, allocations, depth, metadata, expiry, added] = parts[..] else { panic!("{line}") };
    let mut pin = pin(cid, name);
    pin["type"] = kind.trim_end_matches("-DIRECT").to_lowercase().into();
    if let Some((min, max)) =
        factor.trim_start_matches("Repl. Factor: ").split_once("--").filter(|(min, _)| !min.is_empty())
    {
        pin["replication_factor_min"] = min.parse::<i32>().unwrap().into();
        pin["replication_factor_max"] = max.parse::<i32>().unwrap().into();
        let peers = allocations.trim_start_matches("Allocations: [").trim_end_matches(']');
        pin["allocations"] = peers.split(' ').map(Value::from).collect::<Vec<_>>().into();
    }
    pin["max_depth"] = if depth == "Direct" { 0 } else { -1 }.into();
    pin["metadata"] = if metadata.ends_with("yes") { json!({"k": "v"}) } else { Value::Null };
    for (key, text) in
        [("expire_at", expiry.trim_start_matches("Exp: ")), ("timestamp", added.trim_start_matches("Added: "))]
    {
        if let Some((day, time)) = text.split_once(' ') {
            pin[key] = format!("{day}T{time}Z").into();
        }
    }
    pin
}

fn status(cid: &str, name: &str, peers: &[(String, Value)]) -> Value {
    let peers: Map<String, Value> = peers.iter().cloned().collect();
    json!({"cid": cid, "name": name, "peer_map": peers})
}

/// `CID | name:` and lines of peers, which keep their order.
fn status_of(lines: &[&str]) -> Value {
    let head = lines[0].trim_end_matches(':');
    let (cid, name) = head.split_once(" | ").unwrap_or((head, ""));
    let peers: Vec<_> = lines[1..].iter().enumerate().map(|(at, line)| (format!("{at}"), peer_status(line))).collect();
    status(cid, name, &peers)
}

/// `    > name : STATUS: error | time | Attempts: n | Priority: b`
fn peer_status(line: &str) -> Value {
    let (name, rest) = line.trim_start_matches("    > ").split_once(" : ").unwrap();
    let mut parts = rest.rsplitn(4, " | ");
    let mut next = || parts.next().unwrap();
    let (priority, attempts, time, status) = (next(), next(), next(), next());
    let (status, error) = status.split_once(": ").unwrap_or((status, ""));
    json!({
        "peername": name.trim_end(), "status": status.to_lowercase(), "error": error, "timestamp": time,
        "attempt_count": attempts.trim_start_matches("Attempts: ").parse::<u32>().unwrap(),
        "priority_pin": priority == "Priority: true",
    })
}

fn peer_of(lines: &[&str]) -> Value {
    let parts: Vec<&str> = lines[0].split(" | ").collect();
    let seen: usize = parts[2].split(' ').nth(1).unwrap().parse().unwrap();
    let at = lines.iter().position(|line| line.starts_with("  > IPFS: ")).unwrap();
    let addresses =
        |lines: &[&str]| lines.iter().map(|line| line.trim_start_matches("    - ")).collect::<Vec<_>>().into();
    let own: Value = addresses(&lines[2..at]);
    let ipfs: Value = addresses(&lines[at + 1..]);
    json!({
        "id": parts[0], "peername": parts[1], "cluster_peers": vec!["x"; seen + 1], "addresses": own,
        "ipfs": {"id": lines[at].trim_start_matches("  > IPFS: "), "addresses": ipfs},
    })
}

/// `peer | name: value | Expires in: ..`; a size is made of its two digits.
fn metric_of(line: &str) -> Value {
    let parts: Vec<&str> = line.split(" | ").collect();
    let (name, value) = parts[1].split_once(": ").unwrap();
    let weight = value.strip_suffix(" GB").map_or(0, |size| size.parse::<i64>().unwrap() * 1_000_000_000);
    json!({"name": name, "peer": parts[0], "value": value, "weight": weight, "expire": i64::MAX, "valid": true})
}
