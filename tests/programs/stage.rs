//! A folder of its own for each test, in which programs run and are compared with recordings.
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ipfs_cluster::config::File;
use serde_json::Value;

use crate::recording::{Recording, without_logs};

/// A folder that is `<dir>` in recordings.
pub struct Stage {
    dir: tempfile::TempDir,
    /// Variables of every program that runs here.
    pub env: Vec<(String, String)>,
}

/// What a program answered.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Stage {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("there is room for a folder"), env: Vec::new() }
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Makes a peer's folder as `init` does.
    pub fn init(&self, name: &str) -> PathBuf {
        let folder = self.path(name);
        let answer = self.run("ipfs-cluster-service", &["--config", &text(&folder), "init"], &[], "");
        assert_eq!(answer.code, 0, "{answer:?}");
        folder
    }

    /// As [`Stage::init`], with one key of the configuration changed.
    pub fn init_with(&self, name: &str, key: &str, value: Value) -> PathBuf {
        let folder = self.init(name);
        let path = folder.join("service.json");
        let mut file = File::read(&path).expect("init wrote a configuration");
        file.set(key, value);
        std::fs::write(&path, file.to_text()).expect("a configuration can be written");
        folder
    }

    pub fn run(&self, program: &str, words: &[&str], env: &[(String, String)], stdin: &str) -> Answer {
        let path = match program {
            "ipfs-cluster-service" => env!("CARGO_BIN_EXE_ipfs-cluster-service"),
            "ipfs-cluster-ctl" => env!("CARGO_BIN_EXE_ipfs-cluster-ctl"),
            _ => env!("CARGO_BIN_EXE_ipfs-cluster-follow"),
        };
        let mut command = Command::new(path);
        command.args(words).env_clear().env("HOME", self.path("home"));
        command.envs(self.env.iter().chain(env).map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        // A program that asks nothing may have ended already.
        let _ = child.stdin.take().map(|mut pipe| pipe.write_all(stdin.as_bytes()));
        let Output { status, stdout, stderr } = child.wait_with_output().expect("the program ends");
        Answer {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8(stdout).expect("stdout is text"),
            stderr: String::from_utf8(stderr).expect("stderr is text"),
        }
    }

    /// Runs the command of a recording here.
    pub fn replay(&self, program: &str, path: &str, replace: &[(&str, &str)]) -> (Recording, Answer) {
        let recording = Recording::read(path);
        let here = |text: &str| {
            let text = text.replace("<dir>", &text_of(self.dir.path()));
            replace.iter().fold(text, |text, (from, to)| swap(&text, from, to))
        };
        let words: Vec<String> = recording.words.iter().map(|word| here(word)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let env: Vec<_> = recording.env.iter().map(|(name, value)| (name.clone(), here(value))).collect();
        let mut answer = self.run(program, &words, &env, &recording.stdin);
        let back = |text: &str| {
            let text = replace.iter().fold(text.to_owned(), |text, (from, to)| swap(&text, to, from));
            text.replace(&text_of(self.dir.path()), "<dir>")
        };
        answer.stdout = back(&answer.stdout);
        answer.stderr = back(&without_logs(&answer.stderr));
        (recording, answer)
    }

    /// Runs the command of a recording and compares all that it answers.
    pub fn same(&self, program: &str, path: &str, replace: &[(&str, &str)]) {
        let (recording, answer) = self.replay(program, path, replace);
        assert_eq!(answer.code, recording.code, "{path}: {answer:?}");
        assert_eq!(answer.stdout, recording.stdout, "{path}");
        assert_eq!(answer.stderr.trim_end(), recording.stderr.trim_end(), "{path}");
    }

    /// As [`Stage::same`]; stderr may say more at its end: the key, or the cause.
    pub fn at_least(&self, program: &str, path: &str, replace: &[(&str, &str)]) {
        let (recording, answer) = self.replay(program, path, replace);
        assert_eq!((answer.code, &answer.stdout), (recording.code, &recording.stdout), "{path}: {answer:?}");
        let beginning = recording.stderr.trim_end();
        assert!(answer.stderr.starts_with(beginning), "{path}: {beginning:?} and {:?}", answer.stderr);
    }
}

/// Puts `to` in the place of each `from` that is not a part of a longer number: a port may have the digits of any moment.
pub fn swap(text: &str, from: &str, to: &str) -> String {
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let (mut swapped, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(from) {
        let inside = is_digit(before.chars().next_back()) || is_digit(after.chars().next());
        swapped.extend([before, if inside { from } else { to }]);
        rest = after;
    }
    swapped + rest
}

#[test]
fn a_port_is_swapped_and_its_digits_in_a_moment_are_not() {
    assert_eq!(
        swap("at :33231, 1795226133231334194 /tcp/33231", "33231", "34142"),
        "at :34142, 1795226133231334194 /tcp/34142"
    );
}

pub fn text(path: &Path) -> String {
    text_of(path)
}

fn text_of(path: &Path) -> String {
    path.display().to_string()
}
