//! What Go's peers answered is read and written back to the byte.
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire::rest::*;

fn recordings() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/rest")
}

/// The documents in the body of one recording.
fn bodies(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(recordings().join(format!("{name}.txt"))).unwrap();
    let body = text.split_once("\nbody:\n").unwrap().1;
    body.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn comes_back<T: Serialize + DeserializeOwned>(names: &[&str]) {
    for name in names {
        let documents = bodies(name);
        assert!(!documents.is_empty(), "{name}");
        for document in documents {
            let read: T = serde_json::from_str(&document).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), document.replace("\\u0026", "&"), "{name}");
        }
    }
}

#[test]
fn peers_come_back() {
    comes_back::<PeerInfo>(&["id", "peers", "special-kubodown-id", "special-peers-undialable"]);
    comes_back::<Version>(&["version"]);
}

#[test]
fn pins_come_back() {
    comes_back::<Pin>(&[
        "allocations",
        "allocations-one",
        "pin-plain",
        "pin-options",
        "pin-expire-in",
        "pin-direct",
        "pin-update",
    ]);
}

#[test]
fn statuses_come_back() {
    comes_back::<GlobalPinInfo>(&[
        "pins-all",
        "pins-local",
        "status-one-absent-local",
        "status-one-error",
        "special-peerdown-status",
    ]);
}

#[test]
fn metrics_and_alerts_come_back() {
    comes_back::<Vec<Metric>>(&["metrics-ping", "metrics-freespace", "metrics-unknown"]);
    comes_back::<Vec<Alert>>(&["special-peergone-alerts", "alerts"]);
}

#[test]
fn errors_come_back() {
    comes_back::<Error>(&["pin-bad-cid", "allocations-absent", "route-unknown", "auth-none"]);
}

#[test]
fn what_is_missing_or_null_or_new_is_no_fault() {
    let pin: Pin = serde_json::from_str(r#"{"cid":"Qm","allocations":null,"expire_at":null,"new":{"x":1}}"#).unwrap();
    assert_eq!((pin.cid.as_deref(), pin.expire_at), (Some("Qm"), Time::ZERO));
}
