//! What the Go program printed as JSON is printed as text as it did.
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::pretty;
use ipfs_cluster::wire::rest::Notice;

use super::*;

fn recording(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ctl").join(format!("{name}.txt"));
    let text = std::fs::read_to_string(path).unwrap();
    text.split_once("--- stdout\n").unwrap().1.split_once("--- stderr").unwrap().0.to_owned()
}

fn read<T: DeserializeOwned>(name: &str) -> Vec<T> {
    serde_json::Deserializer::from_str(&recording(name)).into_iter().collect::<Result<_, _>>().unwrap()
}

/// Times differ between the two runs of a recording.
fn masked(text: &str) -> String {
    let is_time = |word: &str| word.len() > 10 && word.starts_with("2026-") && word.contains('T');
    let line = |line: &str| line.split(' ').map(|w| if is_time(w) { "T" } else { w }).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn same<T: Text + Serialize + DeserializeOwned>(name: &str) {
    let documents: Vec<T> = read(&format!("{name}-json"));
    let text: String = documents.iter().map(Text::text).collect();
    assert_eq!(masked(&text), masked(&recording(name)), "{name}");
    let json: String = documents.iter().map(|document| pretty(document).unwrap()).collect();
    assert_eq!(json, recording(&format!("{name}-json")), "{name}");
}

#[test]
fn peers_and_versions() {
    same::<PeerInfo>("id");
    same::<Version>("version");
}

#[test]
fn pins() {
    same::<Pin>("pin-ls");
    same::<Pin>("pin-ls-one");
    same::<Pin>("pin-add-no-status");
    same::<Pin>("pin-update");
}

#[test]
fn statuses() {
    for name in ["status", "status-local", "status-two", "status-absent", "status-error", "recover"] {
        same::<GlobalPinInfo>(name);
    }
}

#[test]
fn errors() {
    same::<Error>("pin-ls-absent");
    same::<Error>("auth-none");
    same::<Error>("peers-rm");
}

#[test]
fn metric_values() {
    let metrics: Vec<Vec<Metric>> = read("health-metrics-freespace-json");
    let expected = recording("health-metrics-freespace");
    for (value, line) in metrics[0].iter().zip(expected.lines()) {
        let text = metric(value, value.expire - 2_500_000_000);
        assert_eq!(
            text.trim_end(),
            line.split("Expires").next().unwrap().to_owned() + "Expires in: 2 seconds from now"
        );
    }
    assert_eq!(pretty(&metrics[0]).unwrap(), recording("health-metrics-freespace-json"));
}

#[test]
fn what_has_no_recording() {
    let down = PeerInfo { id: "P".into(), error: "dial backoff".into(), ..PeerInfo::default() };
    assert_eq!(down.text(), "P | ERROR: dial backoff\n");
    let mut alone = PeerInfo { id: "P".into(), peername: "p".into(), ..PeerInfo::default() };
    alone.ipfs.error = "refused".into();
    assert_eq!(alone.text(), "P | p | Sees -1 other peers\n  > Addresses:\n  > IPFS ERROR: refused\n");
    let shard = Pin { kind: "clusterdag-pin".into(), max_depth: 0, ..Pin::default() };
    assert!(shard.text().starts_with(" |  | CLUSTERDAG-PIN-DIRECT | Repl. Factor: 0--0 | Allocations: [] | Direct | "));
    assert!(shard.text().ends_with("Exp: ∞ | Added: unknown\n"));
    let levels = Pin { kind: "shard-pin".into(), max_depth: 1, ..Pin::default() };
    assert!(levels.text().contains("| SHARD-PIN |") && levels.text().contains("| Recursive-1 |"));
}

#[test]
fn the_health_of_the_replication_says_what_is_wrong() {
    let notice = Notice { at: Time::default(), text: "somebody signed two histories".into() };
    let health = ReplicationHealth { pins: 3, clock: "ab".repeat(32), notices: vec![notice], ..Default::default() };
    assert!(!health.text().contains("differs"));
    let clock = |peer: &str, ahead_millis| rest::Clock { peer: peer.into(), ahead_millis };
    let health = ReplicationHealth { clocks: vec![clock("a", 900), clock("b", -6_250)], ..health };
    let text = health.text();
    assert!(text.contains("  > Clock that differs most: 6.2s behind (b)\n"), "{text}");
    assert!(text.starts_with("3 pins | others have what it has not"), "{text}");
    assert!(text.contains("Clock: abababababababab |") && text.contains("Snapshot: never"), "{text}");
    assert!(text.ends_with("  ! never: somebody signed two histories\n"), "{text}");
}

#[test]
fn collected_blocks() {
    let documents: Vec<GlobalRepoGc> = read("ipfs-gc-json");
    assert_eq!(pretty(&documents[0]).unwrap(), recording("ipfs-gc-json"));
    let text = recording("ipfs-gc-local");
    let own = documents[0].peer_map.iter().find(|(_, gc)| text.starts_with(&gc.peername)).unwrap();
    let mut local = GlobalRepoGc { peer_map: [(own.0.clone(), own.1.clone())].into() };
    assert_eq!(local.text(), text);
    let gc = local.peer_map.values_mut().next().unwrap();
    let key = |key: Option<&str>, error: &str| rest::GcKey { key: key.map(str::to_owned), error: error.into() };
    gc.keys = Some(vec![key(Some("bafk"), ""), key(None, "no link")]);
    gc.error = "half done".into();
    assert_eq!(local.text(), "peer0           | ERROR: half done\n  > CIDs:\n    - bafk\n   - ERROR: no link\n");
}

#[test]
fn traffic() {
    let [one]: [Option<Bandwidth>; 1] = read("health-bandwidth-json").try_into().unwrap();
    let text = one.text();
    let shape =
        |text: &str| text.lines().map(|line| line.split(": In:").next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(shape(&text), shape(&recording("health-bandwidth")));
    let traffic = rest::Traffic { total_in: 1234, total_out: 48_000, rate_in: 212.217, rate_out: 0.0 };
    let line = Some(Bandwidth::from([("/x".into(), traffic)])).text();
    assert_eq!(line, "                       /x: In:  1.2 kB. Out:   48 kB. RateIn: 212.22B/s. RateOut: 0.00B/s\n");
    assert_eq!(None::<Bandwidth>.text(), "");
}

#[test]
fn a_drain_says_whether_the_peer_can_be_taken_away() {
    let text = |leaving, pins_left, pins_kept| {
        Drain { peer: "A".into(), leaving, pins_left, pins_kept, pins_everywhere: 5 }.text()
    };
    let kept = "A is being drained
  pins that are allocated to it: 0
  pins that it keeps until others have them: 2
  pins that are on every peer and do not move: 5
";
    assert_eq!(text(true, 0, 2), kept);
    assert!(text(true, 1, 0).starts_with("A is being drained\n"));
    assert!(text(true, 0, 0).starts_with("A is drained: it can be taken away\n"));
    assert!(text(false, 0, 0).starts_with("A is not being drained\n"));
}

#[test]
fn a_status_tells_how_far_a_transfer_is_and_when_a_failure_is_tried_again() {
    let short = |status: &str, bytes, next_try| PinInfoShort {
        peername: "a".into(),
        status: status.into(),
        bytes,
        next_try: Some(next_try).filter(|at| *at != UnixMillis(0)).into(),
        ..PinInfoShort::default()
    };
    let told = |short: &PinInfoShort| line("peer", short).split_once("Priority: false").unwrap().1.to_owned();
    assert_eq!(told(&short("pinning", 5 << 20, UnixMillis(0))), " | Fetched: 5.2 MB\n");
    assert_eq!(told(&short("pinned", 5 << 20, UnixMillis(0))), "\n");
    let failed = short("pin_error", 0, UnixMillis::from_seconds(1_700_000_000));
    assert_eq!(told(&failed), " | Next try: 2023-11-14T22:13:20Z\n");
}
