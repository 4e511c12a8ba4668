//! The log of a daemon: its levels while it runs, and where Go's variables send it.
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::stage::Stage;

const CID: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq";

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn levels_change_while_a_daemon_runs_and_no_level_shows_a_secret() {
    let stage = Stage::new();
    let mut daemon = Daemon::new(&stage, "talkative");
    daemon.start(&[]);
    let shown = daemon.ctl(&["log", "level"]);
    assert!(shown.code == 0 && shown.stdout.contains("crdt         info\n"), "{shown:?}");
    let set = daemon.ctl(&["log", "level", "swarm", "error"]);
    assert!(set.stdout.contains("swarm        error\n") && set.stdout.contains("crdt         info\n"), "{set:?}");
    let wrong = daemon.ctl(&["log", "level", "crtd", "debug"]);
    assert!(wrong.code == 2 && wrong.stdout.contains("no component is called \"crtd\""), "{wrong:?}");

    let debug_lines = |daemon: &Daemon| daemon.log().lines().filter(|line| line.contains("\tDEBUG\t")).count();
    assert_eq!(debug_lines(&daemon), 0, "{}", daemon.log());
    assert_eq!(daemon.ctl(&["log", "level", "debug"]).code, 0);
    daemon.pin(CID);
    daemon.until("debug lines come", |daemon| debug_lines(daemon) > 0);
    assert_eq!(daemon.ctl(&["log", "level", "all", "info"]).code, 0);
    let before = debug_lines(&daemon);
    assert_eq!(daemon.ctl(&["pin", "rm", "--no-status", CID]).code, 0);
    assert_eq!(debug_lines(&daemon), before);

    let identity: Value = serde_json::from_str(&read(&daemon.folder.join("identity.json"))).expect("it is JSON");
    let key = identity["private_key"].as_str().expect("there is a key");
    for secret in [key, &"5e".repeat(32)] {
        assert!(!daemon.log().contains(secret), "a secret is in the log");
    }
    daemon.stop();
}

#[test]
fn gos_variables_send_the_log_to_a_file_as_json_and_sighup_begins_another() {
    let stage = Stage::new();
    let mut daemon = Daemon::new(&stage, "quiet");
    let [file, moved] = ["peer.log", "peer.log.1"].map(|name| stage.path(name));
    daemon.start_in(
        &[
            ("GOLOG_FILE", file.to_str().expect("a path is text")),
            ("GOLOG_LOG_FMT", "json"),
            ("GOLOG_LOG_LEVEL", "crdt=debug,x=y"),
        ],
        &[],
    );
    assert_eq!(daemon.log(), "error setting log level \"x=y\"\n", "stderr has nothing else");
    let lines: Vec<Value> = read(&file).lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    let ready = lines.iter().find(|line| line["msg"] == "** IPFS Cluster is READY **").expect("it is ready");
    assert_eq!((&ready["level"], &ready["logger"]), (&"info".into(), &"cluster".into()));
    assert!(ready["id"].is_string() && ready["ts"].is_string() && ready["caller"].is_string(), "{ready}");
    assert!(daemon.ctl(&["log", "level"]).stdout.contains("crdt         debug\n"));

    std::fs::rename(&file, &moved).expect("a log can be moved");
    daemon.signal(Signal::SIGHUP);
    daemon.until("another file is begun", |_| read(&file).contains("SIGHUP: trusted peers were read anew"));
    assert!(!read(&moved).contains("SIGHUP"));
    daemon.stop();

    let answer = stage.run(
        "ipfs-cluster-service",
        &["--config", daemon.folder.to_str().expect("a path is text"), "daemon"],
        &[("GOLOG_FILE".into(), "/nowhere/peer.log".into())],
        "",
    );
    assert!(answer.code == 1 && answer.stderr.contains("/nowhere/peer.log (GOLOG_FILE)"), "{answer:?}");
}
