//! The REST API over libp2p, and the log of its requests.
use ipfs_cluster::model::PeerId;

use crate::common::ports::free_port;
use crate::daemon::Daemon;
use crate::stage::{Answer, Stage};

/// Gives a daemon's API an identity; returns where it then is over libp2p, and who it is.
fn tunnel(stage: &Stage, daemon: &Daemon) -> (String, String) {
    let folder = stage.init("identity");
    let identity = std::fs::read(folder.join("identity.json")).expect("init made an identity");
    let identity: serde_json::Value = serde_json::from_slice(&identity).expect("an identity is JSON");
    let text = |key: &str| identity[key].as_str().expect("an identity is two texts").to_owned();
    let address = format!("/ip4/127.0.0.1/tcp/{}", free_port());
    daemon.configure("api.restapi.libp2p_listen_multiaddress", address.clone());
    daemon.configure("api.restapi.id", text("id"));
    daemon.configure("api.restapi.private_key", text("private_key"));
    (address, text("id"))
}

fn ctl(stage: &Stage, host: &str, words: &[&str]) -> Answer {
    let words: Vec<&str> = ["--host", host].iter().chain(words).copied().collect();
    stage.run("ipfs-cluster-ctl", &words, &[], "")
}

#[test]
fn ctl_asks_a_peer_over_libp2p_and_each_request_is_written_down() {
    const CID: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq";
    let stage = Stage::new();
    let mut daemon = Daemon::new(&stage, "peer");
    let (address, id) = tunnel(&stage, &daemon);
    daemon.configure("api.restapi.http_log_file", "access.log");
    daemon.start(&[]);
    let host = format!("{address}/p2p/{id}");
    let over_tcp = daemon.ctl(&["--enc=json", "id"]);
    let told = ctl(&stage, &host, &["--enc=json", "id"]);
    assert_eq!((told.code, &told.stdout), (0, &over_tcp.stdout), "{told:?}");
    // A secret is for hosts in a private network, which this one is not.
    let secret = "5e".repeat(32);
    let refused = ctl(&stage, &host, &["--secret", &secret, "--timeout", "5", "id"]);
    assert!(refused.code == 1 && !format!("{refused:?}").contains("5e5e"), "{refused:?}");

    assert_eq!(ctl(&stage, &host, &["pin", "add", "--no-status", CID]).code, 0);
    let listed = ctl(&stage, &host, &["--https", "pin", "ls"]);
    assert!(listed.code == 0 && listed.stdout.starts_with(CID), "{listed:?}");
    let absent = ctl(&stage, &host, &["pin", "ls", &CID.replace("mmq", "mm1")]);
    assert_eq!((absent.code, absent.stdout.contains("Code: 404")), (2, true), "{absent:?}");
    let other = PeerId::random();
    let mistaken = ctl(&stage, &format!("{address}/p2p/{other}"), &["id"]);
    assert!(mistaken.code == 1 && mistaken.stdout.contains(&format!("Get \"libp2p://{other}/id\": ")), "{mistaken:?}");

    daemon.stop();
    let log = std::fs::read_to_string(daemon.folder.join("access.log")).unwrap();
    let is_peer = |line: &&str| line.starts_with("12D3KooW");
    let own =
        log.lines().find(|line| line.starts_with("127.0.0.1 - - [") && line.contains("] \"GET /id HTTP/1.1\" 200 "));
    assert!(own.is_some(), "{log}");
    let over_libp2p: Vec<_> = log.lines().filter(is_peer).map(|line| line.split_once("] ").unwrap().1).collect();
    assert_eq!(over_libp2p.len(), 4, "{log}");
    assert!(over_libp2p[1].starts_with(&format!("\"POST /pins/ipfs/{CID}?")), "{log}");
    assert!(over_libp2p[3].contains("HTTP/1.1\" 404 "), "{log}");
}

#[test]
fn who_has_no_password_is_told_so_over_libp2p_too() {
    let stage = Stage::new();
    let mut daemon = Daemon::new(&stage, "peer");
    let (address, id) = tunnel(&stage, &daemon);
    daemon.configure("api.restapi.basic_auth_credentials", serde_json::json!({"testuser": "testpass"}));
    let login = ["--basic-auth", "testuser:testpass"];
    daemon.start_as(&[], &[&login[..], &["--force-http"]].concat());
    let host = format!("{address}/p2p/{id}");
    let refused = ctl(&stage, &host, &["id"]);
    assert!(refused.code == 2 && refused.stdout.contains("Code: 401"), "{refused:?}");
    assert_eq!(ctl(&stage, &host, &[&login[..], &["id"]].concat()).code, 0);
    daemon.stop();
}

#[test]
fn an_address_an_id_and_a_key_go_together() {
    let stage = Stage::new();
    let daemon = Daemon::new(&stage, "peer");
    let (_, id) = tunnel(&stage, &daemon);
    let told = |key: &str, value: &str| {
        daemon.configure(key, value);
        let folder = daemon.folder.display().to_string();
        let answer = stage.run("ipfs-cluster-service", &["--config", &folder, "daemon"], &[], "");
        assert_eq!(answer.code, 1, "{answer:?}");
        answer.stderr
    };
    let all = "all ID, private_key and libp2p_listen_multiaddress should be set";
    assert!(told("api.restapi.id", "").contains(all));
    let other = PeerId::random().to_string();
    assert!(told("api.restapi.id", &other).contains("restapi.ID does not match private_key"));
    daemon.configure("api.restapi.id", id);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    let refusal = told("api.restapi.libp2p_listen_multiaddress", &taken);
    assert!(!refusal.contains("private") && refusal.contains("creating REST API component"), "{refusal}");
}
