//! Under a service manager or in a container: told when it is ready, started by variables alone, stopped in time.
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use crate::common::ports::free_port;
use crate::common::process::{Process, now};
use crate::stage::{Stage, text};

/// Containers are killed ten seconds after SIGTERM; a peer is to be done before.
const STOP_MAX: Duration = Duration::from_secs(8);

#[test]
fn variables_alone_start_a_peer_that_tells_when_it_is_ready_and_stops_in_time() {
    let stage = Stage::new();
    let socket = UnixDatagram::bind(stage.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let (folder, rest) = (stage.path("peer"), format!("/ip4/127.0.0.1/tcp/{}", free_port()));
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipfs-cluster-service"));
        command.args(["daemon", "--init"]).env("IPFS_CLUSTER_PATH", &folder).env("NOTIFY_SOCKET", stage.path("notify"));
        command.env("CLUSTER_SECRET", "5e".repeat(32)).env("CLUSTER_PEERNAME", "first");
        command.env("CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS", &rest).env("CLUSTER_MDNSINTERVAL", "0s");
        command.env("CLUSTER_LISTENMULTIADDRESS", format!("/ip4/127.0.0.1/tcp/{}", free_port()));
        command.env("CLUSTER_IPFSHTTP_NODEMULTIADDRESS", "/ip4/127.0.0.1/tcp/1");
        Process::start(&command, &stage.path("log"))
    };
    let told = || {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let id = || stage.run("ipfs-cluster-ctl", &["--host", &rest, "id"], &[], "").stdout;
    let process = start();
    assert_eq!(told(), "READY=1");
    let first = id();
    assert!(first.contains(" | first | Sees 0 other peers"), "{first}");
    let from = now();
    assert!(process.stop().success());
    assert!(from.elapsed() < STOP_MAX, "{:?}", from.elapsed());
    assert_eq!(told(), "STOPPING=1");
    // The identity is made once.
    let process = start();
    assert_eq!(told(), "READY=1");
    assert_eq!(id().split(' ').next(), first.split(' ').next());
    assert!(process.stop().success());
}

#[test]
fn shells_and_manuals_are_served_by_every_program() {
    let stage = Stage::new();
    for program in ["ipfs-cluster-service", "ipfs-cluster-ctl", "ipfs-cluster-follow"] {
        for shell in ["bash", "zsh", "fish"] {
            let answer = stage.run(program, &["completions", shell], &[], "");
            assert!(answer.code == 0 && answer.stdout.contains(program), "{program} {shell}: {answer:?}");
        }
        let manual = stage.run(program, &["man"], &[], "");
        assert!(manual.code == 0 && manual.stdout.starts_with(".TH IPFS-CLUSTER-"), "{manual:?}");
    }
    for program in ["ipfs-cluster-service", "ipfs-cluster-ctl"] {
        let answer = stage.run(program, &["completions", "tcsh"], &[], "");
        assert!(answer.code == 1 && answer.stderr.contains("bash, zsh or fish"), "{answer:?}");
    }
    // A follower may have the name of a command.
    let base = [("IPFS_CLUSTER_PATH".to_owned(), text(&stage.path("base")))];
    assert_eq!(stage.run("ipfs-cluster-follow", &["man", "init", "http://127.0.0.1:1/"], &base, "").code, 0);
    let answer = stage.run("ipfs-cluster-follow", &["man"], &base, "");
    assert!(answer.stdout.starts_with("Information about follower peer for Cluster \"man\""), "{answer:?}");
}
