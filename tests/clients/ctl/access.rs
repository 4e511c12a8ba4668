//! How a peer is reached, who gets in, and a daemon that is away.
use std::net::TcpListener;
use std::time::Duration;

use ipfs_cluster::config::Identity;
use serde_json::json;

use super::pair::Pair;
use crate::common::ports::free_port;
use crate::common::process::Process;
use crate::harness::{Test, wait_for};

/// How long a peer may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Ways to a peer that asks for a password.
const WAYS: [&str; 25] = [
    "id",
    "pin ls",
    "pin add {cid}",
    "--force-http id",
    "--basic-auth user:bad --force-http id",
    "--basic-auth nobody:pass --force-http pin ls",
    "--basic-auth user --force-http id",
    "--basic-auth user:pass id",
    "--basic-auth user:pass --force-http id",
    "--basic-auth user:pass -f pin ls",
    "--basic-auth user:pass --force-http --host {unix} id",
    "--host {unix} id",
    "--host {nowhere} id",
    "--host {nowhere} pin ls",
    "--host {nowhere} status",
    "--host {nowhere} status {cid} {cid}",
    "--host {nowhere} recover --local",
    "--host {nowhere} pin add {cid}",
    "--host {nowhere},{tcp} --basic-auth user:pass --force-http version",
    "--host {localhost} --basic-auth user:pass --force-http version",
    "--host {tcp} --https id",
    "--host /unix/nowhere/socket id",
    "--host abc id",
    "--timeout 1 --host {silent} id",
    "--secret abc --basic-auth user:pass --force-http version",
];

/// What is wrong with the words; helps are compared with the recorded ones.
const WORDS: [&str; 3] = ["--enc=xml id", "nothing", "pin nothing"];

#[test]
fn a_protected_peer_is_reached_and_refuses_alike() {
    let test = Test::new();
    let mut peer = test.peer("peer0");
    let socket = format!("/unix{}", test.path("api.sock").to_string_lossy());
    let port = peer.rest_port();
    peer.configure(|config| {
        let api = &mut config["api"]["restapi"];
        api["basic_auth_credentials"] = json!({"user": "pass"});
        api["http_listen_multiaddress"] = json!([format!("/ip4/127.0.0.1/tcp/{port}"), socket]);
    });
    peer.kubo_mut().wait();
    peer.start_protected();
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("the kernel has a free port");
    let silent = silent.local_addr().map(|address| (address.port(), silent)).expect("a bound socket has an address");

    let mut pair = Pair::new("protected", &peer);
    pair.nothing(&["cid"]);
    for (name, port) in [("tcp", port), ("nowhere", free_port()), ("silent", silent.0)] {
        pair.name(name, &format!("/ip4/127.0.0.1/tcp/{port}"));
    }
    pair.name("localhost", &format!("/dns4/localhost/tcp/{port}"));
    pair.name("unix", &socket);
    pair.all(&WAYS);
    for line in WORDS {
        pair.text(line);
    }
    pair.env = vec![("CLUSTER_CREDENTIALS".into(), "user:pass".into())];
    pair.same("--force-http version");
    pair.same("version");
    pair.finish();
}

/// Ways to a peer that has a certificate of its own making.
const SECRETLY: [&str; 6] = [
    "--https --no-check-certificate id",
    "--https --no-check-certificate pin ls",
    "-s --no-check-certificate status {cid}",
    "--https version",
    "version",
    "--basic-auth user:pass --no-check-certificate version",
];

#[test]
fn a_peer_with_tls_is_reached_alike() {
    let test = Test::new();
    let peer = test.peer("peer0");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate can be made");
    for (key, name, text) in
        [("ssl_cert_file", "cert.pem", made.cert.pem()), ("ssl_key_file", "key.pem", made.key_pair.serialize_pem())]
    {
        std::fs::write(test.path(name), text).expect("a file can be written");
        peer.configure(|config| config["api"]["restapi"][key] = json!(test.path(name)));
    }
    let daemon = Process::start(&peer.service(&["daemon"]), &test.path("daemon.log"));
    wait_for("it is ready", PATIENCE, || daemon.log(), || daemon.log().contains("** IPFS Cluster is READY **"));
    let mut pair = Pair::new("tls", &peer);
    pair.nothing(&["cid"]);
    pair.all(&SECRETLY);
    pair.finish();
}

#[test]
fn a_peer_is_reached_over_libp2p_alike() {
    let test = Test::new();
    let mut peer = test.peer("peer0");
    let identity = Identity::generate().expect("an identity can be made");
    identity.save(&test.path("api.json")).expect("a file can be written");
    let file: serde_json::Value =
        serde_json::from_slice(&std::fs::read(test.path("api.json")).expect("it was written")).expect("it is JSON");
    let address = format!("/ip4/127.0.0.1/tcp/{}", free_port());
    peer.configure(|config| {
        let api = &mut config["api"]["restapi"];
        api["libp2p_listen_multiaddress"] = json!(address);
        (api["id"], api["private_key"]) = (file["id"].clone(), file["private_key"].clone());
    });
    peer.start(&[]);
    let mut pair = Pair::new("libp2p", &peer);
    pair.content(&peer, &["a"]);
    pair.nothing(&["cid"]);
    pair.name("far", &format!("{address}/p2p/{}", identity.id()));
    pair.all(&[
        "--host {far} version",
        "--host {far} pin ls",
        "--host {far} status {cid}",
        "--host {far} pin rm {cid}",
        "--host {far} --secret abcd version",
    ]);
    pair.text("--host {far} pin add --no-status {a}");
    pair.finish();
}

#[test]
fn a_daemon_that_is_away_is_told_alike() {
    let test = Test::new();
    let mut peer = test.peer("peer0");
    peer.start(&[]);
    peer.wait_for_members(1);
    let mut pair = Pair::new("away", &peer);
    pair.content(&peer, &["a"]);
    pair.text("pin add --wait {a}");
    peer.kubo_mut().stop();
    peer.until("its daemon is missed", |peer| {
        peer.json(["id"]).first().is_some_and(|id| id["ipfs"]["error"].as_str().is_some_and(|error| !error.is_empty()))
    });
    pair.all(&[
        "id",
        "peers ls",
        "ipfs gc",
        "ipfs gc --local",
        "health graph",
        "status {a}",
        "pin ls",
        "pin add /ipfs/{a}/b",
    ]);
    pair.finish();
}
