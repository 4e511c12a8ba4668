//! `ipfs-cluster-service` beside Go's.
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ipfs_cluster::config::Lock;
use serde_json::{Value, json};

use crate::common::ports;
use crate::source::{nobody, serve};
use crate::stage::{Stage, text};

const SERVICE: &str = "ipfs-cluster-service";

fn same(stage: &Stage, name: &str) {
    stage.same(SERVICE, &format!("service/{name}"), &[]);
}

#[test]
fn init_makes_files_for_their_owner_alone() {
    let stage = Stage::new();
    same(&stage, "init");
    let mode = |name: &str| std::fs::metadata(stage.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("a"), mode("a/service.json"), mode("a/identity.json")), (0o700, 0o600, 0o600));
    assert_eq!(mode("a/peerstore"), 0o644);
    let file = json_of(&stage.path("a/service.json"));
    assert_eq!(file["consensus"]["crdt"]["engine"], "automerge");
    assert_eq!(file["cluster"]["secret"].as_str().unwrap().len(), 64);
    assert_eq!(file["datastore"], json!({"pebble": {}}));
    assert_eq!(file["api"]["restapi"]["http_listen_multiaddress"], "/ip4/127.0.0.1/tcp/9094");
}

#[test]
fn init_asks_before_it_overwrites_and_keeps_the_identity() {
    let stage = Stage::new();
    same(&stage, "init");
    let before = std::fs::read_to_string(stage.path("a/service.json")).unwrap();
    for name in ["init-again-no", "init-again-eof", "init-again-junk", "init-force-global"] {
        same(&stage, name);
        assert_eq!(std::fs::read_to_string(stage.path("a/service.json")).unwrap(), before, "{name}");
    }
    let identity = std::fs::read_to_string(stage.path("a/identity.json")).unwrap();
    for name in ["init-again-yes", "init-force"] {
        same(&stage, name);
    }
    assert_ne!(std::fs::read_to_string(stage.path("a/service.json")).unwrap(), before);
    std::fs::remove_file(stage.path("a/service.json")).unwrap();
    same(&stage, "init-identity-only");
    assert_eq!(std::fs::read_to_string(stage.path("a/identity.json")).unwrap(), identity);
    let lock = Lock::take(&stage.init("d1")).unwrap();
    same(&stage, "init-lock");
    drop(lock);
}

#[test]
fn init_keeps_what_variables_say() {
    let stage = Stage::new();
    same(&stage, "init-env");
    let file = json_of(&stage.path("env/service.json"));
    assert_eq!(file["cluster"]["peername"], "from-env");
    assert_eq!(file["cluster"]["secret"], "ab".repeat(32));
    assert_eq!(file["cluster"]["monitor_ping_interval"], "2s");
    assert_eq!(file["api"]["restapi"]["http_listen_multiaddress"], "/ip4/0.0.0.0/tcp/9094");
    assert_eq!(file["informer"]["tags"]["tags"], json!({"region": "eu", "group": "a"}));
    assert_eq!(file["allocator"]["balanced"]["allocate_by"], json!(["tag:region", "freespace"]));
    same(&stage, "init-env-empty-secret");
    assert_eq!(json_of(&stage.path("es/service.json"))["cluster"]["secret"], "");
    for name in ["init-env-bad-duration", "init-env-bad-factors", "init-env-bad-secret", "init-env-bad-int"] {
        stage.at_least(SERVICE, &format!("service/{name}"), &[]);
    }
    same(&stage, "init-env-identity-mismatch");
}

#[test]
fn init_takes_a_secret_and_peers() {
    let stage = Stage::new();
    for name in ["init-custom-secret", "init-custom-secret-short", "init-custom-secret-nothex"] {
        same(&stage, name);
    }
    assert_eq!(json_of(&stage.path("cs/service.json"))["cluster"]["secret"], "cd".repeat(32));
    assert!(!stage.path("csn/service.json").exists());
    same(&stage, "init-peers");
    let peerstore = std::fs::read_to_string(stage.path("pe/peerstore")).unwrap();
    assert!(
        peerstore.contains("\n/dns4/example.org/tcp/9096/p2p/12D3KooWFBHzB7anQizc7z6ivNdfGmGTDqnXUcSJfiMYMdxsDy6s\n")
    );
    let trusted = &json_of(&stage.path("pe/service.json"))["consensus"]["crdt"]["trusted_peers"];
    assert_eq!(trusted.as_array().unwrap().len(), 2);
    same(&stage, "init-peers-bad");
}

#[test]
fn init_checks_its_choices() {
    let stage = Stage::new();
    same(&stage, "init-consensus-bad");
    same(&stage, "init-datastore-bad");
    same(&stage, "init-badger3");
    assert_eq!(json_of(&stage.path("badger3/service.json"))["datastore"], json!({"badger3": {}}));
    let raft = stage.run(SERVICE, &["--config", &text(&stage.path("r")), "init", "--consensus", "raft"], &[], "");
    assert_eq!(raft.code, 1);
    assert!(raft.stderr.starts_with("error choosing consensus: raft is not supported"), "{raft:?}");
    assert!(!stage.path("r").exists());
}

#[test]
fn random_ports_are_all_different() {
    let stage = Stage::new();
    same(&stage, "init-randomports");
    let file = json_of(&stage.path("rp/service.json"));
    let mut addresses: Vec<String> = file["cluster"]["listen_multiaddress"]
        .as_array()
        .unwrap()
        .iter()
        .chain([
            &file["api"]["restapi"]["http_listen_multiaddress"],
            &file["api"]["pinsvcapi"]["http_listen_multiaddress"],
            &file["api"]["ipfsproxy"]["listen_multiaddress"],
        ])
        .map(|address| address.as_str().unwrap().replace("/quic", "").rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(addresses.len(), 5);
    // A restart finds them free, whatever was dialled meanwhile.
    let lasting = ports::range();
    assert!(addresses.iter().all(|port| lasting.contains(&port.parse().unwrap())), "{addresses:?}");
    addresses.sort();
    addresses.dedup();
    assert!(addresses.len() >= 4, "{addresses:?}");
}

#[test]
fn sections_that_are_missing_are_told_apart() {
    let stage = Stage::new();
    stage.init_with("d23", "consensus", json!({}));
    same(&stage, "daemon-no-consensus");
    stage.init_with("d25", "informer", json!({}));
    same(&stage, "daemon-no-informers");
    let folder = stage.init_with("d22", "api.restapi.ssl_cert_file", json!("nothing.crt"));
    let mut file = json_of(&folder.join("service.json"));
    file["api"]["restapi"]["ssl_key_file"] = json!("nothing.key");
    std::fs::write(folder.join("service.json"), file.to_string()).unwrap();
    stage.at_least(SERVICE, "service/daemon-ssl-missing", &[]);
    std::fs::write(stage.init("d3").join("service.json"), "{}").unwrap();
    let answer = stage.replay(SERVICE, "service/daemon-empty-json", &[]).1;
    assert!(answer.stderr.contains("cluster section failed to validate: cluster.listen_multiaddress is undefined"));
}

#[test]
fn a_wrong_identity_is_told_in_gos_words() {
    let stage = Stage::new();
    std::fs::remove_file(stage.init("d9").join("identity.json")).unwrap();
    same(&stage, "daemon-no-identity");
    std::fs::write(stage.init("d10").join("identity.json"), "{").unwrap();
    same(&stage, "daemon-identity-bad-json");
    let (mine, other) = (stage.init("d11"), stage.init("other"));
    let mut identity = json_of(&mine.join("identity.json"));
    identity["id"] = json_of(&other.join("identity.json"))["id"].clone();
    std::fs::write(mine.join("identity.json"), identity.to_string()).unwrap();
    same(&stage, "daemon-identity-mismatch");
    let id = stage.run(SERVICE, &["--config", &text(&other), "id"], &[], "");
    assert_eq!(id.stdout.trim_end(), json_of(&other.join("identity.json"))["id"]);
}

#[test]
fn sources_are_fetched_by_the_daemon_alone() {
    let stage = Stage::new();
    let (here, _) = serve(|path| (path == "/chain.json").then(|| json!({"source": "http://x/"}).to_string()));
    let gone = nobody();
    let replace = [("127.0.0.1:34290", here.as_str()), ("127.0.0.1:34291", gone.as_str())];
    for (folder, url) in [("src", "service.json"), ("s404", "none.json"), ("schain", "chain.json")] {
        let url = format!("http://{here}/{url}");
        let answer = stage.run(SERVICE, &["--config", &text(&stage.path(folder)), "init", &url], &[], "");
        assert_eq!(answer.code, 0, "{answer:?}");
        assert_eq!(json_of(&stage.path(folder).join("service.json")), json!({"source": url}));
        assert!(!stage.path(folder).join("peerstore").exists());
    }
    for (folder, url) in [("sdown", format!("http://{gone}/service.json")), ("sscheme", "x".into())] {
        stage.run(SERVICE, &["--config", &text(&stage.path(folder)), "init", &url], &[], "");
    }
    for name in ["daemon-source-404", "daemon-source-chain", "daemon-source-down", "daemon-source-scheme"] {
        stage.at_least(SERVICE, &format!("service/{name}"), &replace);
    }
}

#[test]
fn no_command_shows_the_secret() {
    let stage = Stage::new();
    let folder = stage.init_with("a", "cluster.secret", json!("5ec7e7".repeat(10)));
    for words in [vec!["--debug", "daemon"], vec!["--debug", "state", "export"], vec!["--debug", "id"]] {
        let folder = text(&folder);
        let words: Vec<&str> = ["--config", &folder].into_iter().chain(words).collect();
        let answer = stage.run(SERVICE, &words, &[], "");
        assert!(!answer.stderr.contains("5ec7e7") && !answer.stdout.contains("5ec7e7"), "{answer:?}");
    }
}

fn json_of(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
