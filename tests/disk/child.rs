//! A test that runs itself once more, in another process that does not live long.
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Names the directory to the child, and makes it one.
const DIR: &str = "DISK_TEST_CHILD_DIR";

/// The number that it was given.
const NUMBER: &str = "DISK_TEST_CHILD_NUMBER";

/// Directory and number of the child that this process is, if it is one.
pub fn is_this() -> Option<(PathBuf, u64)> {
    let dir = std::env::var_os(DIR)?.into();
    // What the harness wrote has no end of line.
    println!();
    Some((dir, std::env::var(NUMBER).unwrap().parse().unwrap()))
}

/// Runs the test of this name as a child, and calls `heard` with each line that it says, until it has ended.
pub fn run(test: &str, dir: &Path, number: u64, mut heard: impl FnMut(&str, &mut Child)) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(DIR, dir)
        .env(NUMBER, number.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        heard(&line, &mut child);
    }
    assert!(!child.wait().unwrap().success(), "it was killed");
}
