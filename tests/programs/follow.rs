//! `ipfs-cluster-follow` beside Go's.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::source::{nobody, serve};
use crate::stage::Stage;

const FOLLOW: &str = "ipfs-cluster-follow";

fn same(stage: &Stage, name: &str) {
    stage.same(FOLLOW, &format!("follow/{name}"), &[]);
}

#[test]
fn a_follower_that_is_not_there_is_told_how_to_begin() {
    let stage = Stage::new();
    for name in ["bare-unknown", "info-unknown", "list-unknown", "run-unknown", "init-no-url", "unknown-sub"] {
        same(&stage, name);
    }
    let (recording, answer) = stage.replay(FOLLOW, "follow/no-args", &[]);
    assert_eq!(answer.code, recording.code);
    assert!(answer.stdout.starts_with("\nNo clusters configured yet!\n"));
}

#[test]
fn init_writes_an_identity_and_a_source_once() {
    let stage = Stage::new();
    same(&stage, "init");
    same(&stage, "init-again");
    same(&stage, "no-args-one");
    same(&stage, "list-never-run");
    same(&stage, "init-config-flag");
    same(&stage, "init-dnslink");
    let text = std::fs::read_to_string(stage.path("base/dns/service.json")).unwrap();
    assert_eq!(text, "{\n  \"source\": \"http://127.0.0.1:8080/ipns/example.org\"\n}");
    same(&stage, "init-dnslink-env");
    let all = stage.run(FOLLOW, &[], &[("IPFS_CLUSTER_PATH".into(), stage.path("base").display().to_string())], "");
    let names: Vec<&str> = all.stdout.lines().filter_map(|line| line.strip_prefix("ipfs-cluster-follow ")).collect();
    assert_eq!(names, ["\"abc\"", "\"dns\"", "\"dns2\""]);
}

#[test]
fn info_says_what_is_there() {
    let stage = Stage::new();
    let up = Arc::new(AtomicBool::new(true));
    let is_up = Arc::clone(&up);
    let (here, _) = serve(move |_| {
        let mut file = ipfs_cluster::config::File::defaults();
        file.set("cluster.secret", "ab".repeat(32));
        is_up.load(Ordering::Relaxed).then(|| file.to_text())
    });
    let kubo = serve(|path| (path == "/api/v0/id").then(|| json!({"ID": "x"}).to_string()));
    let kubo_port = kubo.0.rsplit(':').next().unwrap().to_owned();
    let replace = [("127.0.0.1:34390", here.as_str()), ("tcp/34032", &format!("tcp/{kubo_port}"))];
    stage.replay(FOLLOW, "follow/init", &replace);
    stage.same(FOLLOW, "follow/info-offline", &replace);
    let bare = stage.replay(FOLLOW, "follow/bare", &replace).1;
    assert!(bare.stdout.starts_with("Information about follower peer for Cluster \"abc\":\n"), "{bare:?}");
    up.store(false, Ordering::Relaxed);
    let answer = stage.replay(FOLLOW, "follow/info-template-down", &replace).1;
    assert_eq!(answer.code, 0);
    assert!(answer.stdout.contains("failed retrieving configuration source"), "{answer:?}");
    assert!(answer.stdout.contains("the last good one is kept"), "{answer:?}");
}

#[test]
fn a_source_that_never_answered_is_only_told() {
    let stage = Stage::new();
    let (gone, kubo) = (nobody(), serve(|_| Some("{}".into())));
    let kubo_port = format!("tcp/{}", kubo.0.rsplit(':').next().unwrap());
    let replace = [("127.0.0.1:34390", gone.as_str()), ("tcp/34032", kubo_port.as_str())];
    stage.replay(FOLLOW, "follow/init", &replace);
    stage.same(FOLLOW, "follow/info-template-down", &replace);
}

#[test]
fn a_signed_template_is_taken_and_a_forged_one_is_not() {
    let stage = Stage::new();
    let template = stage.path("template.json").display().to_string();
    let key = stage.path("publisher.json").display().to_string();
    let serve = |name: &str| {
        let mut file = ipfs_cluster::config::File::defaults();
        file.set("cluster.secret", "ab".repeat(32));
        file.set("consensus.crdt.cluster_name", name);
        std::fs::write(&template, file.to_text()).unwrap();
    };
    let follow = |words: &[&str]| stage.run(FOLLOW, words, &[], "");
    serve("one");
    assert!(follow(&["sign", &template]).stderr.contains("--key FILE"));
    let signed = follow(&["sign", "--key", &key, &template]);
    assert_eq!(signed.code, 0, "{signed:?}");
    assert!(signed.stdout.contains("A new key was written"), "{signed:?}");
    let owner = signed.stdout.split_whitespace().find(|word| word.starts_with("12D3KooW")).expect("whom to name");

    let wrong = follow(&["abc", "init", "--template-key", "nobody", &template]);
    assert!(wrong.code == 1 && wrong.stderr.contains("--template-key"), "{wrong:?}");
    assert_eq!(follow(&["abc", "init", "--template-key", owner, &template]).code, 0);
    let info = follow(&["abc", "info"]);
    assert!(info.code == 0 && info.stdout.contains(&format!("Config signed by: {owner} at 20")), "{info:?}");

    serve("forged");
    let info = follow(&["abc", "info"]);
    assert!(info.stdout.contains("the last good one is kept"), "{info:?}");
    // Without one that is kept there is nothing to run with.
    std::fs::remove_file(stage.path("home/.ipfs-cluster-follow/abc/template.cache")).unwrap();
    let info = follow(&["abc", "info"]);
    assert!(info.code == 1 && info.stderr.contains("the template is not signed"), "{info:?}");
    let again = follow(&["sign", "--key", &key, &template]);
    assert!(again.code == 0 && !again.stdout.contains("A new key"), "{again:?}");
    assert!(follow(&["abc", "info"]).stdout.contains("Available"));
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let stage = Stage::new();
    for name in ["../x", "..", ".", "a/b", ""] {
        let answer = stage.run(FOLLOW, &[name, "init", "http://127.0.0.1/"], &[], "");
        assert_eq!(answer.code, 1, "{name}: {answer:?}");
        assert!(answer.stderr.contains("cannot be the name of a cluster"), "{answer:?}");
    }
}

#[test]
fn help_names_gos_flags() {
    let stage = Stage::new();
    for name in ["help", "help-init", "help-run", "help-info", "help-list", "unknown-flag"] {
        let (recording, answer) = stage.replay(FOLLOW, &format!("follow/{name}"), &[]);
        assert_eq!(answer.code, recording.code, "{name}");
        let usage = |text: &str| text.lines().skip_while(|line| *line != "USAGE:").nth(1).unwrap_or("").to_owned();
        assert_eq!(usage(&answer.stdout), usage(&recording.stdout), "{name}");
        for line in recording.stdout.lines().filter(|line| line.trim_start().starts_with("--")) {
            let flag = line.split_whitespace().next().unwrap();
            assert!(answer.stdout.contains(flag), "{name}: {flag}");
        }
    }
}
