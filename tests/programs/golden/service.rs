//! `vectors/service`.
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use ipfs_cluster::config::Lock;
use serde_json::{Value, json};

use super::scene::{Scene, read, until};
use super::{Golden, Verdict};
use crate::recording::{Recording, content};
use crate::source::serve;
use crate::stage::Stage;

const SERVICE: &str = "ipfs-cluster-service";

/// Commands and flags that Go's program does not have.
const OURS: [&str; 8] = ["id", "--init", "doctor", "completions", "verify", "new-epoch", "--format value", "--resume"];

/// Ports of the recorded daemons: swarm, REST, proxy, pinning service, metrics; the source of configurations.
const PORTS: [u16; 5] = [34201, 34202, 34203, 34204, 34205];

const CIDS: [&str; 2] =
    ["QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq", "QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6"];

/// What Go's daemons do not start with, and ours do.
const STARTS: [&str; 4] =
    ["daemon-no-datastore", "daemon-two-datastores", "daemon-port-ipfsproxy", "daemon-port-pinsvcapi"];

fn golden() -> Golden {
    Golden::new("service")
}

fn is_source(name: &str) -> bool {
    name.contains("-source")
}

fn is_help(name: &str) -> bool {
    name.starts_with("help") || name.starts_with("group") || name == "no-command" || name.starts_with("unknown-")
}

#[test]
fn help_names_gos_commands_and_flags() {
    let scene = Scene::new("service", SERVICE, &[]);
    golden().replay(is_help, |name| if name == "unknown-sub" { scene.run(name) } else { scene.help(name, &OURS) });
}

#[test]
fn init_and_version_are_as_recorded() {
    let scene = Scene::new("service", SERVICE, &[]);
    let mine = |name: &str| (name.starts_with("init") && !is_source(name)) || name.starts_with("version");
    let mut lock = None;
    golden().replay(mine, |name| {
        if name == "init-identity-only" {
            fs::remove_file(scene.stage.path("a/service.json")).unwrap();
        }
        if name == "init-lock" {
            lock = Some(Lock::take(&scene.stage.init("d1")).unwrap());
        }
        match written(&scene.stage, name) {
            Some(text) => scene.file(name, &text),
            None => scene.run(name),
        }
    });
}

/// What a recording of a file would hold here; `None` for a run.
fn written(stage: &Stage, name: &str) -> Option<String> {
    let file = |path: &str| read(&stage.path(path));
    let json = |path: &str| json_of(&stage.path(path));
    let pretty = |value: Value| format!("{value:#}");
    Some(match name {
        "init-service.json" => masked_file(json("a/service.json")),
        "init-identity.json" => masked_identity(&file("a/identity.json")),
        "init-peerstore" => file("a/peerstore"),
        "init-env-result" => pretty(from_env(&json("env/service.json"))),
        "init-env-empty-secret-result" => json("es/service.json")["cluster"]["secret"].to_string(),
        "init-peers-peerstore" => file("pe/peerstore"),
        "init-peers-trusted" => pretty(json("pe/service.json")["consensus"]["crdt"].clone()),
        "init-raft-result" => String::new(),
        "init-badger-datastore" => pretty(json("badger/service.json")["datastore"].clone()),
        "init-badger3-datastore" => pretty(json("badger3/service.json")["datastore"].clone()),
        "init-leveldb-datastore" => pretty(json("leveldb/service.json")["datastore"].clone()),
        "init-randomports-result" => pretty(ports_of(&json("rp/service.json"))),
        _ => return None,
    })
}

fn masked_file(mut file: Value) -> String {
    file["cluster"]["peername"] = json!("<hostname>");
    file["cluster"]["secret"] = json!("<64 hex digits>");
    format!("{file:#}")
}

/// The recorded ID, and its mask for the key, where ours have the same form.
fn masked_identity(text: &str) -> String {
    let identity: Value = serde_json::from_str(text).unwrap();
    let (id, key) = (identity["id"].as_str().unwrap(), identity["private_key"].as_str().unwrap());
    assert!(id.starts_with("12D3KooW") && key.starts_with("CAES"), "{id}");
    text.replace(id, "12D3KooWHYPAwqmYkvSzCYnWyNnY3EwbDDFTFWWR8BTty9YVc3CS").replace(key, "<base64 key>")
}

fn from_env(file: &Value) -> Value {
    json!({
        "peername": file["cluster"]["peername"], "secret": file["cluster"]["secret"],
        "monitor_ping_interval": file["cluster"]["monitor_ping_interval"],
        "trusted_peers": file["consensus"]["crdt"]["trusted_peers"],
        "http_listen_multiaddress": file["api"]["restapi"]["http_listen_multiaddress"],
        "tags": file["informer"]["tags"], "allocate_by": file["allocator"]["balanced"],
    })
}

fn ports_of(file: &Value) -> Value {
    let without = |value: &Value| -> Value {
        let text = value.as_str().unwrap();
        let parts = text.split('/').map(|part| if part.parse::<u16>().is_ok() { "<port>" } else { part });
        parts.collect::<Vec<_>>().join("/").into()
    };
    let listen: Vec<Value> = file["cluster"]["listen_multiaddress"].as_array().unwrap().iter().map(without).collect();
    let api = &file["api"];
    json!({
        "listen": listen, "restapi": without(&api["restapi"]["http_listen_multiaddress"]),
        "pinsvcapi": without(&api["pinsvcapi"]["http_listen_multiaddress"]),
        "ipfsproxy": [
            without(&api["ipfsproxy"]["listen_multiaddress"]), without(&api["ipfsproxy"]["node_multiaddress"]),
        ],
    })
}

#[test]
fn the_state_is_exported_and_imported_as_recorded() {
    let scene = Scene::new("service", SERVICE, &PORTS);
    folder(&scene, "st", |_| ());
    imports(&scene.stage);
    let mine = |name: &str| name.starts_with("state") && name != "state-lock";
    golden().replay(mine, |name| match name {
        "state-export-file-content" => scene.file(name, &read(&scene.stage.path("out.json"))),
        "state-raft-crdt-info" | "state-raft-export" => {
            folder(&scene, "raft", |file| file["consensus"] = json!({"raft": {}}));
            scene.run(name)
        }
        _ => scene.run(name),
    });
}

/// The files that were imported.
fn imports(stage: &Stage) {
    let write = |name: &str, text: &str| fs::write(stage.path(name), text).unwrap();
    write("two.json", &Recording::read("service/state-export").stdout);
    write("bad.json", &json!({"cid": 5}).to_string());
    write("nojson", "rubbish");
    write("slash.json", &json!({"cid": {"/": CIDS[0]}}).to_string());
    write("array.json", "[]");
    let old = json!({"cid": CIDS[1], "name": "", "allocations": [], "replication_factor_min": -1,
        "replication_factor_max": -1});
    write("old.json", &old.to_string());
}

#[test]
fn daemons_start_and_end_as_recorded() {
    let scene = Scene::new("service", SERVICE, &PORTS);
    let mine = |name: &str| name.starts_with("daemon") && !is_source(name) || name == "state-lock";
    golden().replay(mine, |name| {
        let recording = Recording::read(&format!("service/{name}"));
        let name_of_folder = recording.words.iter().find_map(|word| word.strip_prefix("<dir>/")).unwrap().to_owned();
        if name_of_folder != "nowhere" {
            prepare(&scene, name, &name_of_folder);
        }
        let _held = held(&scene, name);
        if STARTS.contains(&name) {
            let started = until(&mut scene.start(name), "IPFS Cluster is READY");
            return started.map_or_else(Verdict::Differs, |()| Verdict::Differs("it starts".into()));
        }
        if recording.signals.is_empty() { scene.run(name) } else { scene.signalled(name, "IPFS Cluster is READY") }
    });
}

/// What keeps a daemon from starting while it is held: the lock, or a port.
fn held(scene: &Scene, name: &str) -> Option<(Option<Lock>, Option<TcpListener>)> {
    let port = |recorded: &str| TcpListener::bind(format!("127.0.0.1:{}", scene.here(recorded))).unwrap();
    Some(match name {
        "daemon-lock" | "state-lock" => (Some(Lock::take(&scene.stage.path("d1")).unwrap()), None),
        "daemon-port-swarm" => (None, Some(port("34201"))),
        "daemon-port-restapi" => (None, Some(port("34202"))),
        "daemon-port-ipfsproxy" => (None, Some(port("34203"))),
        "daemon-port-pinsvcapi" => (None, Some(port("34204"))),
        _ => return None,
    })
}

/// Makes the folder of a daemon, with the fault of its recording.
fn prepare(scene: &Scene, name: &str, below: &str) {
    let path = scene.stage.path(below);
    if !path.exists() {
        folder(scene, below, |file| fault(name, file));
    }
    let write = |file: &str, text: &str| fs::write(path.join(file), text).unwrap();
    match name {
        "daemon-bad-json" => write("service.json", "{not json"),
        "daemon-empty-json" => write("service.json", "{}"),
        "daemon-stale-lock" => write("cluster.lock", ""),
        "daemon-nonempty-lock" => write("cluster.lock", "x"),
        "daemon-no-identity" => fs::remove_file(path.join("identity.json")).unwrap(),
        "daemon-identity-bad-json" => write("identity.json", "{"),
        "daemon-identity-bad-key" => change_identity(&path, "private_key", "AAAA"),
        "daemon-identity-mismatch" => {
            change_identity(&path, "id", "12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8");
        }
        _ if path.join("cluster.lock").exists() => fs::remove_file(path.join("cluster.lock")).unwrap(),
        _ => {}
    }
}

fn change_identity(folder: &Path, key: &str, value: &str) {
    let path = folder.join("identity.json");
    let mut identity = json_of(&path);
    identity[key] = value.into();
    fs::write(path, identity.to_string()).unwrap();
}

/// What was wrong with the recorded `service.json`.
fn fault(name: &str, file: &mut Value) {
    let (pointer, value) = match name {
        "daemon-unknown-key" => ("/cluster/nothing", json!(1)),
        "daemon-secret-short" => ("/cluster/secret", json!("abcd")),
        "daemon-secret-nothex" => ("/cluster/secret", json!("zz".repeat(32))),
        "daemon-secret-odd" => ("/cluster/secret", json!("abc")),
        "daemon-secret-empty" => ("/cluster/secret", json!("")),
        "daemon-wrong-type" => ("/cluster/replication_factor_min", json!("x")),
        "daemon-bad-duration" => ("/cluster/monitor_ping_interval", json!("5")),
        "daemon-bad-maddr" => ("/cluster/listen_multiaddress", json!("x")),
        "daemon-no-listen" => ("/cluster/listen_multiaddress", json!([])),
        "daemon-bad-factors" => ("/cluster/replication_factor_min", json!(5)),
        "daemon-bad-trusted" => ("/consensus/crdt/trusted_peers", json!(["x"])),
        "daemon-bad-peer-address" => ("/cluster/peer_addresses", json!(["x"])),
        "daemon-empty-credentials" => ("/api/restapi/basic_auth_credentials", json!({})),
        "daemon-bad-header-bytes" => ("/api/restapi/max_header_bytes", json!(10)),
        "daemon-ssl-missing" => {
            file["api"]["restapi"]["ssl_key_file"] = json!("nothing.key");
            ("/api/restapi/ssl_cert_file", json!("nothing.crt"))
        }
        "daemon-no-consensus" => ("/consensus", json!({})),
        "daemon-no-datastore" => ("/datastore", json!({})),
        "daemon-no-informers" => ("/informer", json!({})),
        "daemon-two-datastores" => ("/datastore/badger3", json!({})),
        "daemon-no-api" => ("/api", json!({})),
        "daemon-bad-metric-type" => ("/informer/disk/metric_type", json!("x")),
        "daemon-bad-kubo-maddr" => ("/ipfs_connector/ipfshttp/node_multiaddress", json!("x")),
        _ => return,
    };
    let (above, key) = pointer.rsplit_once('/').unwrap();
    file.pointer_mut(above).unwrap()[key] = value;
}

/// Makes a folder with the `service.json` that Go's `init` writes, on ports that are free here.
fn folder(scene: &Scene, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let path = scene.stage.init(name);
    let mut file: Value = serde_json::from_str(&template(scene)).unwrap();
    change(&mut file);
    fs::write(path.join("service.json"), file.to_string()).unwrap();
    path
}

fn template(scene: &Scene) -> String {
    let secret = "5e".repeat(32);
    let mut text = content("service/init-service.json").replace("<64 hex digits>", &secret);
    text = text.replace("<hostname>", "here").replace("\"mdns_interval\": \"10s\"", "\"mdns_interval\": \"0s\"");
    // Nobody listens on port 1, which only root could take.
    text = text.replace("/ip4/0.0.0.0/tcp/9096", "/ip4/127.0.0.1/tcp/34201").replace("tcp/5001", "tcp/1");
    for (port, recorded) in [("9094", "34202"), ("9095", "34203"), ("9097", "34204")] {
        text = text.replace(&format!("tcp/{port}"), &format!("tcp/{recorded}"));
    }
    scene.here(&text)
}

#[test]
fn sources_are_fetched_as_recorded() {
    let mut scene = Scene::new("service", SERVICE, &PORTS);
    scene.replace.push(("127.0.0.1:34291".into(), crate::source::nobody()));
    let good = template(&scene);
    let (here, asked) = serve(move |path| match path {
        "/service.json" => Some(good.clone()),
        "/chain.json" => Some(json!({"source": "http://127.0.0.1:1/"}).to_string()),
        "/bad.json" => Some("{not json".into()),
        _ => None,
    });
    scene.replace.push(("127.0.0.1:34290".into(), here));
    golden().replay(is_source, |name| match name {
        "init-source-hits" => {
            let count = asked.lock().unwrap().len();
            scene.file(name, &format!("requests to the source while init ran: {count} []"))
        }
        "init-source-service.json" => scene.file(name, &read(&scene.stage.path("src/service.json"))),
        "daemon-source" => scene.signalled(name, "IPFS Cluster is READY"),
        _ => scene.run(name),
    });
}

#[test]
fn a_file_of_gos_is_refused_until_an_engine_is_named() {
    let mut scene = Scene::new("service", SERVICE, &PORTS);
    folder(&scene, "d1", |_| ());
    scene.stage.env.clear();
    let Verdict::Differs(how) = scene.signalled("daemon-sigint", "IPFS Cluster is READY") else {
        panic!("Go's engine is there: the tests need name none any more");
    };
    assert!(how.contains("CLUSTER_CRDT_ENGINE=automerge"), "{how}");
}

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&read(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
