//! `doctor` of both programs: what it finds in real folders and of real daemons, and its exit code.
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ipfs_cluster::config::{File, Lock};
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::source::{nobody, serve};
use crate::stage::{Answer, Stage, text};

/// A folder that is well, with a Kubo that answers.
fn well(stage: &Stage) -> std::path::PathBuf {
    let folder = stage.init("a");
    let (kubo, _) = serve(|path| (path == "/api/v0/version").then(|| json!({"Version": "0.42.0"}).to_string()));
    set(&folder, "ipfs_connector.ipfshttp.node_multiaddress", &maddr(&kubo));
    for key in ["cluster.listen_multiaddress", "api.restapi.http_listen_multiaddress"] {
        set(&folder, key, &maddr(&nobody()));
    }
    folder
}

fn maddr(address: &str) -> String {
    let (ip, port) = address.split_once(':').expect("an address has a port");
    format!("/ip4/{ip}/tcp/{port}")
}

fn set(folder: &Path, key: &str, value: &str) {
    let path = folder.join("service.json");
    let mut file = File::read(&path).expect("a configuration");
    file.set(key, value);
    fs::write(path, file.to_text()).expect("it is written");
}

fn doctor(stage: &Stage, folder: &Path) -> Answer {
    stage.run("ipfs-cluster-service", &["--config", &text(folder), "doctor"], &[], "")
}

/// Asserts that a fault is told with the words.
#[track_caller]
fn finds(stage: &Stage, folder: &Path, words: &[&str]) {
    let answer = doctor(stage, folder);
    assert_eq!(answer.code, 1, "{answer:?}");
    // Lines may end anywhere.
    let told = answer.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("FAULT") && words.iter().all(|word| told.contains(word)), "{told}");
}

#[test]
fn a_folder_that_is_well_is_said_so_and_left_as_it_is() {
    let stage = Stage::new();
    let folder = well(&stage);
    let names = || {
        let entries = fs::read_dir(&folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    let before = names();
    let answer = doctor(&stage, &folder);
    assert_eq!((answer.code, answer.stdout.matches("ok ").count()), (0, 11), "{answer:?}");
    assert_eq!(names(), before);
}

#[test]
fn faults_in_a_folder_are_told_with_the_thing() {
    let stage = Stage::new();
    finds(&stage, &stage.path("nowhere"), &["configuration", "run \"ipfs-cluster-service init\""]);
    let folder = well(&stage);
    let identity = folder.join("identity.json");
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o644)).unwrap();
    finds(&stage, &folder, &["identity", &format!("chmod 600 {}", identity.display())]);
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o600)).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = maddr(&listener.local_addr().unwrap().to_string());
    let free = File::read(&folder.join("service.json")).unwrap().texts("cluster.listen_multiaddress").remove(0);
    set(&folder, "cluster.listen_multiaddress", &taken);
    finds(&stage, &folder, &["ports", &taken, "cluster.listen_multiaddress"]);
    let lock = Lock::take(&folder).unwrap();
    assert_eq!(doctor(&stage, &folder).code, 0, "the peer itself has the port");
    drop(lock);
    set(&folder, "cluster.listen_multiaddress", &free);

    fs::write(folder.join("cluster.lock"), "x").unwrap();
    finds(&stage, &folder, &["cluster.lock is not empty"]);
    fs::remove_file(folder.join("cluster.lock")).unwrap();

    fs::write(folder.join("pinset.redb"), "rubbish").unwrap();
    finds(&stage, &folder, &["engine", "state verify"]);
    fs::remove_file(folder.join("pinset.redb")).unwrap();
    assert_eq!(doctor(&stage, &folder).code, 0);
}

#[test]
fn kubo_that_is_away_and_templates_that_are_gone_are_told() {
    let stage = Stage::new();
    let folder = well(&stage);
    let (gateway, _) = serve(|_| None);
    set(&folder, "ipfs_connector.ipfshttp.node_multiaddress", &maddr(&gateway));
    finds(&stage, &folder, &["kubo", "status 404", "not to its gateway"]);
    set(&folder, "ipfs_connector.ipfshttp.node_multiaddress", &maddr(&nobody()));
    finds(&stage, &folder, &["kubo", "ipfs daemon"]);
    fs::write(folder.join("service.json"), json!({"source": format!("http://{gateway}/x")}).to_string()).unwrap();
    finds(&stage, &folder, &["template", "unsuccessful request (404)"]);
}

#[test]
fn clocks_that_differ_are_told() {
    let stage = Stage::new();
    let folder = well(&stage);
    let late = std::thread::spawn({
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        set(&folder, "ipfs_connector.ipfshttp.node_multiaddress", &maddr(&listener.local_addr().unwrap().to_string()));
        move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.0 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n";
            let _ = write!(stream, "{head}{}", json!({"Version": "0.42.0"}));
        }
    });
    finds(&stage, &folder, &["clock", "NTP"]);
    late.join().unwrap();
}

#[test]
fn ctl_asks_a_running_peer_and_tells_in_json_too() {
    let stage = Stage::new();
    let mut daemon = Daemon::new(&stage, "ill");
    daemon.start(&[]);
    let answer = daemon.ctl(&["--enc=json", "doctor"]);
    let report: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!((answer.code, &report["ok"]), (1, &json!(false)), "{answer:?}");
    assert_eq!(report["findings"][0]["check"], "kubo", "{report}");
    assert_eq!(report["findings"][0]["severity"], "fault");
    let own: Value = serde_json::from_str(&daemon.service(&["doctor", "--enc", "json"], "").stdout).unwrap();
    let faults: Vec<_> = own["findings"].as_array().unwrap().iter().map(|finding| &finding["check"]).collect();
    assert_eq!(faults, ["kubo"], "its own ports and store are no fault: {own}");
    daemon.stop();
    let answer = daemon.ctl(&["doctor"]);
    assert!(
        answer.code == 1 && answer.stdout.contains("FAULT    api") && answer.stdout.contains("--host"),
        "{answer:?}"
    );
}
