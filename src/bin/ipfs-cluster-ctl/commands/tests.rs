//! The help of the Go program names the same commands, flags and aliases.
use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::common::{Parsed, help, parse};
use super::*;

fn recording(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ctl").join(format!("{name}.txt"));
    let text = std::fs::read_to_string(path).unwrap();
    text.split_once("--- stdout\n").unwrap().1.split_once("--- stderr").unwrap().0.to_owned()
}

/// The flags that a help text lists.
fn flags(help: &str) -> BTreeSet<String> {
    let names = help.lines().filter(|line| line.starts_with("   --")).flat_map(|line| {
        let columns = line.trim_start().split("  ").next().unwrap_or_default().to_owned();
        columns.split(", ").map(|name| name.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    });
    names.collect()
}

fn ours(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).chain(["--help".to_owned()]).collect();
    let Parsed::Help(text) = parse(&program(), &words) else { panic!("{words:?} shows no help") };
    text
}

#[test]
fn every_command_has_gos_flags() {
    for (name, words) in [
        ("help", &[][..]),
        ("help-add", &["add"]),
        ("help-pin-add", &["pin", "add"]),
        ("help-pin-rm", &["pin", "rm"]),
        ("help-pin-update", &["pin", "update"]),
        ("help-pin-ls", &["pin", "ls"]),
        ("help-status", &["status"]),
        ("help-recover", &["recover"]),
        ("help-health-graph", &["health", "graph"]),
        ("help-ipfs-gc", &["ipfs", "gc"]),
    ] {
        let mut ours = flags(&ours(words));
        let own: &[&str] = match name {
            "help-pin-add" => &["--from-file"],
            "help-pin-ls" | "help-status" => &["--name", "--meta", "--created-after", "--limit", "--cursor"],
            _ => &[],
        };
        assert!(own.iter().all(|flag| ours.remove(*flag)), "{name}: {own:?}");
        assert_eq!(ours, flags(&recording(name)), "{name}");
    }
}

/// The commands that Go's program does not have.
const OUR_OWN: [&str; 14] = [
    "ipfs-cluster-ctl rebalance\n",
    "ipfs-cluster-ctl peers drain\n",
    "ipfs-cluster-ctl log\n",
    "ipfs-cluster-ctl log level\n",
    "ipfs-cluster-ctl events\n",
    "ipfs-cluster-ctl doctor\n",
    "ipfs-cluster-ctl completions\n",
    "ipfs-cluster-ctl health replication\n",
    "ipfs-cluster-ctl health live\n",
    "ipfs-cluster-ctl health ready\n",
    "ipfs-cluster-ctl health synced\n",
    "ipfs-cluster-ctl health pins\n",
    "ipfs-cluster-ctl snapshot\n",
    "ipfs-cluster-ctl snapshot save\n",
];

/// The one of its group `peers`, as its help lists it.
const OUR_PEERS: [&str; 1] = ["drain give what a peer holds to others, before it is taken away "];

/// Those of its group `health`, as its help lists them.
const OUR_HEALTH: [&str; 5] = [
    "replication Show how the replication of this peer stands ",
    "live Probe whether the peer runs ",
    "ready Probe whether the peer reads and writes pins ",
    "synced Probe whether the peer has all changes that it heard of ",
    "pins Count the pins, and the peer's own by status ",
];

#[test]
fn groups_have_gos_commands() {
    assert_eq!(ours(&["pin"]).trim(), recording("group-pin").trim());
    // A longer name of our own moves the column.
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    for (group, own) in [("peers", &OUR_PEERS[..]), ("health", &OUR_HEALTH)] {
        let ours = words(&ours(&[group]));
        assert!(own.iter().all(|line| ours.contains(line)), "{ours}");
        let gos = own.iter().fold(ours, |list, line| list.replacen(line, "", 1));
        assert_eq!(gos, words(&recording(&format!("group-{group}"))));
    }
}

#[test]
fn the_hidden_list_is_gos_and_ours() {
    let ours = list(&program());
    assert!(OUR_OWN.iter().all(|line| ours.contains(line)));
    assert_eq!(OUR_OWN.iter().fold(ours, |list, line| list.replacen(line, "", 1)), recording("commands"));
}

#[test]
fn no_line_of_any_help_is_wider_than_a_terminal() {
    fn check(path: &[&Command]) {
        let text = help(path);
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        for command in &path.last().unwrap().commands {
            check(&[path, &[command]].concat());
        }
    }
    check(&[&program()]);
}
