//! `vectors/follow`.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ipfs_cluster::config::File;
use serde_json::{Value, json};

use super::scene::{Scene, read, until};
use super::{Golden, Verdict};
use crate::recording::content;
use crate::source::{nobody, serve};

const FOLLOW: &str = "ipfs-cluster-follow";

/// Commands and flags that Go's program does not have.
const OURS: [&str; 3] = ["--template-key PEER_ID", "--max-bytes SIZE", "completions"];

/// The follower's ports, and the port where recorded Kubo is away.
const PORTS: [u16; 3] = [34301, 34302, 39998];

#[test]
fn followers_are_as_recorded() {
    let mut scene = Scene::new("follow", FOLLOW, &PORTS);
    let (template, up) = (template(&scene), Arc::new(AtomicBool::new(true)));
    let is_up = Arc::clone(&up);
    let (here, _) = serve(move |path| match path {
        "/service.json" if is_up.load(Ordering::Relaxed) => Some(template.clone()),
        "/raft.json" => Some(json!({"cluster": {"listen_multiaddress": "/ip4/127.0.0.1/tcp/0"}}).to_string()),
        "/bad.json" => Some("{not json".into()),
        _ => None,
    });
    scene.replace.push(("127.0.0.1:34390".into(), here));
    let kubo = serve(|path| (path == "/api/v0/id").then(|| json!({"ID": "x"}).to_string())).0;
    let port = kubo.rsplit(':').next().unwrap().to_owned();
    scene.replace.push(("34032".into(), port.clone()));
    // Where nothing else is said, Kubo is asked at its usual port, where it may be or not.
    scene.stage.env.push(("CLUSTER_IPFSHTTP_NODEMULTIADDRESS".into(), format!("/ip4/127.0.0.1/tcp/{port}")));
    let mut running = None;
    Golden::new("follow").replay(
        |_| true,
        |name| {
            match name {
                "info-running" => {
                    let mut process = scene.start("run");
                    until(&mut process, "IPFS Cluster is READY").expect("a follower starts");
                    let (_, info) = scene.stage.replay(FOLLOW, "follow/info-running", &[]);
                    assert!(info.stdout.contains("\nPins: 0\nIPFS repository: "), "{info:?}");
                    assert!(info.stdout.contains("\nSync: in sync with all that it hears\n"), "{info:?}");
                    running = Some(process);
                }
                "run-template-down" => {
                    up.store(false, Ordering::Relaxed);
                    let source = scene.replace.iter_mut().find(|(from, _)| from == "127.0.0.1:34390");
                    source.expect("there is a source").1 = nobody();
                }
                _ => {}
            }
            if name == "run" { scene.end(name, running.take().expect("it runs")) } else { verdict(&scene, name) }
        },
    );
}

fn verdict(scene: &Scene, name: &str) -> Verdict {
    let file = |path: &str| scene.file(name, &read(&scene.stage.path(path)));
    match name {
        "init-service.json" => file("base/abc/service.json"),
        "init-identity.json" => scene.file(name, &identity(&read(&scene.stage.path("base/abc/identity.json")))),
        "init-dnslink-service.json" => file("base/dns/service.json"),
        "init-dnslink-env-service.json" => file("base/dns2/service.json"),
        "peerstore-stopped" => file("base/abc/peerstore"),
        // The last good template is kept, with which ours starts.
        "run-template-down" => until(&mut scene.start(name), "IPFS Cluster is READY")
            .map_or_else(Verdict::More, |()| Verdict::Differs("it starts".into())),
        "run-kubo-down" => scene.signalled(name, "waiting for IPFS"),
        "run-init" | "run-init-existing" => scene.signalled(name, "IPFS Cluster is READY"),
        // Their answers are compared where the API and ctl are.
        "files-running" | "files-stopped" | "rest-on-socket" => Verdict::Differs("not replayed".into()),
        name if name.starts_with("ctl-on-socket") => Verdict::Differs("not replayed".into()),
        name if name.starts_with("help") || name == "unknown-flag" => scene.help(name, &OURS),
        _ => scene.run(name),
    }
}

fn identity(text: &str) -> String {
    let mut ours: Value = serde_json::from_str(text).unwrap();
    let recorded: Value = serde_json::from_str(&content("follow/init-identity.json")).unwrap();
    assert_eq!(recorded.as_object().unwrap().len(), ours.as_object().unwrap().len());
    let (id, key) = (ours["id"].take(), ours["private_key"].take());
    let with = |text: &str, ours: &Value, gos: &Value| text.replace(ours.as_str().unwrap(), gos.as_str().unwrap());
    with(&with(text, &id, &recorded["id"]), &key, &recorded["private_key"])
}

fn template(scene: &Scene) -> String {
    let mut file = File::defaults();
    file.set("cluster.secret", "5e".repeat(32));
    file.set("cluster.listen_multiaddress", scene.here("/ip4/127.0.0.1/tcp/34301"));
    file.set("cluster.mdns_interval", "0s");
    file.set("ipfs_connector.ipfshttp.node_multiaddress", "/ip4/127.0.0.1/tcp/1");
    file.to_text()
}
