use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::client::Error;
use crate::config::{Environment, Fault, File, Identity, check};
use crate::wire::rest::{Metric, PeerInfo};

/// A peer that is well, with keys of its file changed.
fn peer(changes: &[(&str, Value)]) -> Facts {
    let mut file = File::defaults();
    file.set("cluster.secret", "ab".repeat(32));
    for (key, value) in changes {
        file.set(key, value.clone());
    }
    let config = check(&file, &Environment::default(), Path::new("/x")).map(|(config, _)| config).map_err(|e| e.0);
    Facts {
        config,
        unknown_keys: Vec::new(),
        template: None,
        identity: Ok(Identity::generate().unwrap().id()),
        open_files: Vec::new(),
        is_running: false,
        stale_lock: None,
        ports: Vec::new(),
        unreachable: Vec::new(),
        skews: vec![("Kubo".into(), Duration::from_secs(1))],
        epoch: Ok(None),
        go_store: None,
        kubo: Some(KuboAnswer::Version("0.42.0".into())),
        free: Ok(1 << 40),
    }
}

/// The text, whose lines may end anywhere.
fn joined(report: &Report) -> String {
    report.text().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a peer with a fault is told: the checks, and all the words.
fn told(facts: &Facts) -> (Vec<&'static str>, bool, String) {
    let report = examine(facts);
    (report.findings.iter().map(|finding| finding.check).collect(), report.ok, joined(&report))
}

/// Asserts that one check finds a fault, whose text has the words: the thing, and what to do.
#[track_caller]
fn is_fault(facts: &Facts, check: &str, words: &[&str]) {
    let (checks, ok, text) = told(facts);
    assert_eq!((checks.as_slice(), ok), (&[check][..], false), "{text}");
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[track_caller]
fn is_warning(facts: &Facts, check: &str, words: &[&str]) {
    let (checks, ok, text) = told(facts);
    assert_eq!((checks.as_slice(), ok), (&[check][..], true), "{text}");
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn a_peer_that_is_well_has_a_line_a_check() {
    let report = examine(&peer(&[]));
    assert!(report.ok && report.findings.is_empty(), "{report:?}");
    assert!(report.text().lines().all(|line| line.starts_with("ok ")) && report.text().lines().count() == 11);
}

#[test]
fn a_secret_that_is_none_is_a_fault_of_the_secret() {
    let facts = peer(&[("cluster.secret", json!("5ec7e7"))]);
    is_fault(&facts, "secret", &["cluster secret should be 32", "64 hex digits"]);
    assert!(!told(&facts).2.contains("5ec7e7"));
}

#[test]
fn an_open_network_is_a_warning_and_a_fault_when_all_are_trusted() {
    let (checks, ok, text) = told(&peer(&[("cluster.secret", json!(""))]));
    assert_eq!((checks.as_slice(), ok), (&["secret", "trust"][..], false), "{text}");
    let stranger = json!(["12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8"]);
    let facts = peer(&[("cluster.secret", json!("")), ("consensus.crdt.trusted_peers", stranger)]);
    is_warning(&facts, "secret", &["anybody who reaches the swarm port"]);
}

#[test]
fn an_identity_that_is_missing_or_open_is_a_fault() {
    let missing = Facts { identity: Err("identity ID does not match the private_key".into()), ..peer(&[]) };
    is_fault(&missing, "identity", &["does not match", "identity.json back"]);
    let open = Facts { open_files: vec!["/x/identity.json".into()], ..peer(&[]) };
    is_fault(&open, "identity", &["others may read", "chmod 600 /x/identity.json"]);
}

#[test]
fn a_port_that_is_taken_is_a_fault_unless_the_peer_itself_has_it() {
    let port = |key, error: Option<&str>| Port {
        key,
        address: "/ip4/127.0.0.1/tcp/9094".into(),
        error: error.map(Into::into),
    };
    let key = "api.restapi.http_listen_multiaddress";
    let ports = vec![port(key, Some("address already in use"))];
    let mut facts = Facts { ports, ..peer(&[]) };
    is_fault(&facts, "ports", &["/ip4/127.0.0.1/tcp/9094", "already in use", &format!("change {key}")]);
    facts.is_running = true;
    assert!(examine(&facts).ok);
    facts.ports = vec![port(key, None), port("cluster.listen_multiaddress", None)];
    is_fault(&facts, "ports", &["two listeners", "give cluster.listen_multiaddress a port"]);
}

#[test]
fn an_api_for_everybody_is_a_warning() {
    let facts = peer(&[("api.restapi.http_listen_multiaddress", json!("/ip4/0.0.0.0/tcp/9094"))]);
    is_warning(&facts, "ports", &["asks for no password", "basic_auth_credentials"]);
}

#[test]
fn addresses_that_lead_nowhere_are_told() {
    let facts = peer(&[("cluster.listen_multiaddress", json!("x"))]);
    is_fault(&facts, "addresses", &["correct cluster.listen_multiaddress"]);
    let facts = peer(&[("cluster.announce_multiaddress", json!(["/ip4/0.0.0.0/tcp/9096"]))]);
    is_fault(&facts, "addresses", &["nobody can dial"]);
    let address = "/ip4/10.0.0.1/tcp/9096".parse().unwrap();
    let facts = Facts { unreachable: vec![(address, "timed out".into())], ..peer(&[]) };
    is_warning(&facts, "addresses", &["/ip4/10.0.0.1/tcp/9096 cannot be reached: timed out", "firewall"]);
}

#[test]
fn clocks_that_differ_are_a_fault_from_six_seconds_on() {
    let at = |seconds| Facts { skews: vec![("Kubo".into(), Duration::from_secs(seconds))], ..peer(&[]) };
    assert!(examine(&at(5)).ok);
    is_fault(&at(90), "clock", &["Kubo differ by 90 seconds", "NTP"]);
}

#[test]
fn a_peer_that_trusts_nobody_or_a_name_that_is_none_is_told() {
    is_fault(&peer(&[("consensus.crdt.trusted_peers", json!([]))]), "trust", &["changes of nobody", "\"*\""]);
    is_fault(&peer(&[("consensus.crdt.trusted_peers", json!(["x"]))]), "trust", &["list peer IDs"]);
}

#[test]
fn an_engine_or_an_epoch_that_does_not_fit_is_told() {
    is_fault(&peer(&[("consensus.crdt.engine", json!(""))]), "engine", &["set CLUSTER_CRDT_ENGINE=automerge"]);
    is_fault(&Facts { epoch: Ok(Some(2)), ..peer(&[]) }, "engine", &["epoch 2", "state new-epoch"]);
    is_fault(&Facts { epoch: Err("its first bytes are others".into()), ..peer(&[]) }, "engine", &["state verify"]);
    is_warning(&Facts { go_store: Some("/x/pebble".into()), ..peer(&[]) }, "engine", &["/x/pebble", "state import"]);
}

#[test]
fn kubo_that_is_away_old_or_something_else_is_told() {
    let answer = |answer| Facts { kubo: Some(answer), ..peer(&[]) };
    is_fault(&answer(KuboAnswer::Nothing("connection refused".into())), "kubo", &["ipfs daemon", "tcp/5001"]);
    is_fault(&answer(KuboAnswer::Other(404)), "kubo", &["status 404", "not to its gateway"]);
    is_fault(&answer(KuboAnswer::Version("0.4.23".into())), "kubo", &["0.4.23 is older", "update Kubo"]);
    is_warning(&answer(KuboAnswer::Version("x".into())), "kubo", &["\"x\""]);
    assert!(examine(&answer(KuboAnswer::Version("0.13.0-rc1".into()))).ok);
}

#[test]
fn a_disk_that_is_full_or_not_there_is_a_fault() {
    is_fault(&Facts { free: Ok(10 << 20), ..peer(&[]) }, "disk", &["only 10 MiB are free", "--config"]);
    is_fault(&Facts { free: Err("/x: no such file or directory".into()), ..peer(&[]) }, "disk", &["/x"]);
    is_warning(&Facts { free: Ok(500 << 20), ..peer(&[]) }, "disk", &["only 500 MiB"]);
}

#[test]
fn a_template_that_is_gone_or_in_the_clear_is_told() {
    let from = |source: &str, error: Option<&str>| Facts {
        template: Some((source.into(), error.map(Into::into))),
        ..peer(&[])
    };
    is_fault(&from("https://x/", Some("could not fetch")), "template", &["could not fetch", "init --force"]);
    is_warning(&from("http://example.org/x", None), "template", &["in the clear", "https"]);
    assert!(examine(&from("http://127.0.0.1:8080/ipns/x", None)).findings.is_empty());
}

#[test]
fn values_keys_and_locks_that_are_wrong_are_told() {
    is_fault(
        &peer(&[("cluster.replication_factor_min", json!(5))]),
        "configuration",
        &["correct cluster.replication_factor"],
    );
    let missing = Fault { path: String::new(), message: "open /x/service.json: no such file or directory".into() };
    is_fault(&Facts { config: Err(vec![missing]), ..peer(&[]) }, "configuration", &["init"]);
    let unknown = Facts { unknown_keys: vec!["the key cluster.x is unknown and ignored".into()], ..peer(&[]) };
    is_warning(&unknown, "configuration", &["cluster.x", "spelling"]);
    is_fault(
        &Facts { stale_lock: Some("/x/cluster.lock".into()), ..peer(&[]) },
        "configuration",
        &["remove /x/cluster.lock"],
    );
}

fn info(id: &str, error: &str) -> PeerInfo {
    PeerInfo { id: id.into(), peername: format!("{id}'s"), error: error.into(), ..PeerInfo::default() }
}

fn ping(peer: &str, left_seconds: i64) -> Metric {
    Metric { name: "ping".into(), peer: peer.into(), expire: left_seconds * 1_000_000_000, ..Metric::default() }
}

fn api() -> ApiFacts {
    ApiFacts {
        host: "/ip4/127.0.0.1/tcp/9094".into(),
        peer: Ok(info("a", "")),
        peers: vec![info("a", ""), info("b", "")],
        pings: vec![ping("a", 30), ping("b", 28)],
        freespace: Vec::new(),
        alerts: Vec::new(),
    }
}

#[track_caller]
fn api_fault(facts: &ApiFacts, check: &str, words: &[&str]) {
    let report = examine_api(facts);
    let text = joined(&report);
    assert!(!report.ok && report.findings.iter().all(|finding| finding.check == check), "{text}");
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn a_cluster_that_is_well_is_said_so() {
    let report = examine_api(&api());
    assert!(report.ok && report.findings.is_empty(), "{report:?}");
}

#[test]
fn an_api_that_is_away_or_closed_is_told() {
    let refused = |code| ApiFacts { peer: Err(Error::new(code, "no")), ..api() };
    api_fault(&refused(0), "api", &["ipfs-cluster-service daemon", "--host"]);
    api_fault(&refused(401), "api", &["--basic-auth"]);
}

#[test]
fn what_ails_members_is_told_with_their_names() {
    let mut facts = api();
    facts.peers[1].error = "dial backoff".into();
    api_fault(&facts, "peers", &["peer b does not answer: dial backoff", "9096"]);
    let mut facts = api();
    facts.peers[1].ipfs.error = "connection refused".into();
    api_fault(&facts, "kubo", &["b's does not answer"]);
    api_fault(&ApiFacts { pings: vec![ping("a", 30), ping("b", -10)], ..api() }, "clock", &["of b", "40 seconds"]);
    let full = Metric { name: "freespace".into(), peer: "b".into(), valid: true, weight: 5 << 20, ..Metric::default() };
    api_fault(&ApiFacts { freespace: vec![full], ..api() }, "disk", &["of b has only 5 MiB"]);
}
