//! Many pins at a time, into real daemons.
use std::fmt::Write as _;

use crate::daemon::Daemon;
use crate::stage::{Stage, text};
use ipfs_cluster::model::Cid;

const PINS: u64 = 3_000;

fn cid(n: u64) -> Cid {
    let hash = multihash::Multihash::wrap(0x12, blake3::hash(&n.to_be_bytes()).as_bytes()).expect("it is 32 bytes");
    Cid::new_v1(0x55, hash)
}

#[test]
fn every_line_that_was_answered_is_there_after_a_kill_and_the_last_line_of_a_cid_wins() {
    let stage = Stage::new();
    let mut daemon = Daemon::new(&stage, "bulk");
    daemon.start(&[]);
    let mut lines = String::new();
    for n in 0..PINS {
        writeln!(lines, "{}", cid(n)).expect("a text takes all");
        // The same CID again and again, all in flight together.
        writeln!(lines, "{{\"cid\":\"{}\",\"name\":\"v{n}\"}}", cid(PINS)).expect("a text takes all");
    }
    lines.push_str("nonsense\n");
    let file = daemon.folder.join("lines");
    std::fs::write(&file, lines).expect("a file can be written");

    let answer = daemon.ctl(&["pin", "add", "--name", "many", "--from-file", &text(&file)]);
    assert_eq!(answer.code, 2, "{answer:?}");
    let bad = format!("line {}: pin nonsense: ", 2 * PINS + 1);
    assert!(answer.stdout.starts_with(&bad), "{answer:?}");
    assert!(answer.stdout.ends_with(&format!("pinned: {}, failed: 1\n", 2 * PINS)), "{answer:?}");

    daemon.kill();
    daemon.start(&[]);
    let counted = daemon.ctl(&["health", "pins"]).stdout;
    assert!(counted.starts_with(&format!("pins in the pinset: {}\n", PINS + 1)), "{counted}");
    let last = daemon.ctl(&["--enc", "json", "pin", "ls", &cid(PINS).to_string()]).stdout;
    assert!(last.contains(&format!("\"name\": \"v{}\"", PINS - 1)), "{last}");
    assert!(daemon.ctl(&["pin", "ls", &cid(7).to_string()]).stdout.contains("| many |"));
    daemon.stop();
}
