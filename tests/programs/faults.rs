//! What an operator is told when a port is taken, a file is broken, or an import is: sentences that name the thing.
use std::net::TcpListener;
use std::path::Path;

use ipfs_cluster::config::File;
use serde_json::{Value, json};

use crate::stage::{Answer, Stage, text};

const SERVICE: &str = "ipfs-cluster-service";

/// A listener on loopback, with its multiaddress.
fn taken() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    (listener, format!("/ip4/127.0.0.1/tcp/{port}"))
}

fn change(folder: &Path, key: &str, value: impl Into<Value>) {
    let path = folder.join("service.json");
    let mut file = File::read(&path).expect("a configuration");
    file.set(key, value.into());
    std::fs::write(&path, file.to_text()).expect("it is written");
}

fn state(stage: &Stage, words: &[&str], stdin: &str) -> Answer {
    let folder = text(&stage.path("st"));
    let words: Vec<&str> = ["--config", &folder, "state"].into_iter().chain(words.iter().copied()).collect();
    stage.run(SERVICE, &words, &[], stdin)
}

#[test]
fn a_port_that_is_taken_is_told_in_gos_words() {
    let stage = Stage::new();
    let (listener, address) = taken();
    let here = listener.local_addr().unwrap().to_string();
    let folder = stage.init_with("d1", "api.restapi.http_listen_multiaddress", address.clone().into());
    stage.same(SERVICE, "service/daemon-port-restapi", &[("127.0.0.1:34202", &here)]);
    change(&folder, "api.restapi.http_listen_multiaddress", "/ip4/127.0.0.1/tcp/0");
    change(&folder, "cluster.listen_multiaddress", address.clone());
    let answer = stage.run(SERVICE, &["--config", &text(&folder), "daemon"], &[], "");
    let sentence = format!("error creating libp2p host: failed to listen on any addresses: [{address}: ");
    assert!(answer.code == 1 && answer.stderr.contains(&sentence), "{answer:?}");
}

#[test]
fn a_file_that_is_no_json_is_named() {
    let stage = Stage::new();
    let path = stage.init("d2").join("service.json");
    for broken in ["{not json", "[]", "", "{\"cluster\": {},}"] {
        std::fs::write(&path, broken).unwrap();
        let answer = stage.run(SERVICE, &["--config", &text(&stage.path("d2")), "daemon"], &[], "");
        let line = answer.stderr.lines().last().unwrap();
        assert!(answer.code == 1 && line.starts_with("error loading configurations: "), "{broken}: {answer:?}");
        assert!(line.ends_with(&format!("({})", path.display())), "{broken}: {line}");
    }
}

#[test]
fn a_misspelt_key_is_told_beside_the_fault_that_it_makes() {
    let stage = Stage::new();
    let folder = stage.init_with("d4", "cluster.listen_multiaddress", json!([]));
    change(&folder, "cluster.listen_multiaddres", "/ip4/127.0.0.1/tcp/9096");
    let answer = stage.run(SERVICE, &["--config", &text(&folder), "daemon"], &[], "");
    assert_eq!(answer.code, 1);
    assert!(answer.stderr.contains("the key cluster.listen_multiaddres is unknown and ignored"), "{answer:?}");
    assert!(answer.stderr.contains("error loading configurations: cluster.listen_multiaddress"), "{answer:?}");
}

/// Files of very old clusters name neither kind nor depth.
#[test]
fn an_old_export_is_imported_as_plain_recursive_pins() {
    let stage = Stage::new();
    stage.init("st");
    let old = json!({
        "cid": "QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6", "name": "", "allocations": [],
        "replication_factor_min": -1, "replication_factor_max": -1
    });
    assert_eq!(state(&stage, &["import", "-f"], &format!("{old:#}")).code, 0);
    let pin: Value = serde_json::from_str(&state(&stage, &["export"], "").stdout).unwrap();
    assert_eq!((&pin["type"], &pin["max_depth"], &pin["mode"]), (&json!("pin"), &json!(-1), &json!("recursive")));
}

#[test]
fn a_broken_import_leaves_the_pinset_as_it_was_and_nothing_behind() {
    let stage = Stage::new();
    let folder = stage.init("st");
    let pin =
        json!({"cid": "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq", "name": "one", "replication_factor_min": -1,
        "replication_factor_max": -1})
        .to_string();
    assert_eq!(state(&stage, &["import", "-f"], &pin).code, 0);
    let before = state(&stage, &["export"], "").stdout;
    assert!(before.contains("\"name\":\"one\""), "{before}");
    let broken = [
        format!("{}{{\"cid\":", pin.replace("one", "two")),
        format!("{} rubbish", pin.replace("one", "two")),
        "[]".into(),
        "{\"cid\":5}".into(),
        "{}".into(),
    ];
    for input in broken {
        let answer = state(&stage, &["import", "-f"], &input);
        assert!(answer.code == 1 && answer.stderr.contains("error importing state: "), "{input}: {answer:?}");
        assert_eq!(state(&stage, &["export"], "").stdout, before, "{input}");
        assert!(!folder.join("import").exists(), "{input}");
    }
    let answer = state(&stage, &["export", "-f", "/nothing/here"], "");
    assert_eq!(
        answer.stderr.lines().last(),
        Some("error creating export file: open /nothing/here: no such file or directory")
    );
}
