//! `@nftstorage/ipfs-cluster`, as npm has it, against Go's peer and then against ours.
use std::fs::File;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Test, random_cid};
use crate::host::{Host, Place, Whose};
use crate::judge::{Answer, Judge};
use crate::mask::{masked, version};

#[test]
fn the_npm_client_gets_what_go_answers() {
    let test = Test::new();
    let place = Place::new(&test.path("kubo"));
    let files = ["a file", "another file"].map(|content| place.kubo.add(content.as_bytes()));
    let tree = place.kubo.add_folder("leaf", b"a leaf");
    let words = [files[0].clone(), files[1].clone(), format!("/ipfs/{tree}/leaf"), random_cid()];
    let [go, ours] = Whose::BOTH.map(|whose| {
        let secret = hex::encode(rand::random::<[u8; 32]>());
        let folder = test.path(&format!("{whose:?}")).join("node");
        std::fs::create_dir_all(folder.parent().expect("it has one")).expect("a folder can be made");
        let mut host = Host::new(whose, &place, folder, &secret);
        let init = host.types("ipfs-cluster-service init", str::to_owned);
        assert_eq!(init.code, "0", "{init:?}");
        host.starts("ipfs-cluster-service daemon");
        // All that a peer tells of itself.
        host.until("ipfs-cluster-ctl health metrics", |names| names.lines().count() == 4);
        host.until("ipfs-cluster-ctl health metrics freespace", |metrics| metrics.lines().count() == 1);
        calls(place.rest, &host.id(), &words)
    });
    let mut judge = Judge::new("npm");
    assert_eq!(go.len(), ours.len());
    for ((name, gos), (_, our)) in go.into_iter().zip(ours) {
        judge.compare(&name, &[gos, our]);
    }
    judge.finish();
}

/// Runs the calls; returns what each of them gave.
fn calls(port: u16, peer: &str, words: &[String]) -> Vec<(String, Answer)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let client = root.join("target/peers/npm-client");
    assert!(client.exists(), "no npm client: run scripts/peers");
    let script = File::open(root.join("tests/clients/npm/calls.mjs")).expect("the calls are there");
    // A program on stdin finds its packages from the directory that it runs in.
    let mut node = Command::new("node");
    node.current_dir(client).args(["--input-type=module", "-", &format!("http://127.0.0.1:{port}"), peer]);
    let output = node.args(words).stdin(script).output().expect("node starts");
    let text = String::from_utf8_lossy(&output.stdout).replace(peer, "<peer>");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines()
        .map(|line| {
            let (name, result) = line.split_once('\t').expect("a line is a name and a result");
            let stdout = masked(&version(&pretty(result)), name);
            (name.to_owned(), Answer { code: "0".into(), stdout, stderr: String::new() })
        })
        .collect()
}

/// JSON with a line for each value; the order of lists is nobody's promise, and errors are as they are.
fn pretty(result: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(result) else { return result.to_owned() };
    if let Value::Array(items) = &mut value {
        items.sort_by_key(Value::to_string);
    }
    format!("{value:#}")
}
