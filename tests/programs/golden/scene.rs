//! Where recordings are replayed: a folder, ports instead of the recorded ones, and what was said instead of it.
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::Verdict;
use crate::common::ports::free_port;
use crate::common::process::{Process, now, tail};
use crate::recording::{Recording, content};
use crate::stage::{Answer, Stage, swap, text};

/// How long a peer may take until it says that it is ready, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// How long a peer may take to end.
const END_MAX: Duration = Duration::from_secs(12);

/// A stage, and what stands for what on it.
pub struct Scene {
    pub stage: Stage,
    folder: &'static str,
    program: &'static str,
    /// Recorded text and what it is here.
    pub replace: Vec<(String, String)>,
}

impl Scene {
    /// Makes a scene for the recordings of `folder`, whose ports are these numbers.
    pub fn new(folder: &'static str, program: &'static str, ports: &[u16]) -> Self {
        let mut stage = Stage::new();
        // Files of Go's programs name no engine, and this version has not got theirs.
        stage.env.push(("CLUSTER_CRDT_ENGINE".into(), "automerge".into()));
        let replace = ports.iter().map(|port| (port.to_string(), free_port().to_string())).collect();
        Self { stage, folder, program, replace }
    }

    /// What stands here for recorded text.
    pub fn here(&self, text: &str) -> String {
        self.replace.iter().fold(text.to_owned(), |text, (from, to)| swap(&text, from, to))
    }

    /// Runs the command of a recording and compares its answer.
    pub fn run(&self, name: &str) -> Verdict {
        let path = format!("{}/{name}", self.folder);
        let replace: Vec<(&str, &str)> = self.replace.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        let (recording, answer) = self.stage.replay(self.program, &path, &replace);
        compare(&recording, &answer)
    }

    /// Runs a help command: commands and flags are compared, and words that are ours are not.
    pub fn help(&self, name: &str, ours: &[&str]) -> Verdict {
        let (recording, answer) = self.stage.replay(self.program, &format!("{}/{name}", self.folder), &[]);
        let mut told = skeleton(&answer.stdout);
        told.retain(|line| !ours.contains(&line.as_str()));
        let gos = skeleton(&recording.stdout);
        let wide = answer.stdout.lines().find(|line| !line.contains("<dir>") && line.chars().count() > 120);
        if (answer.code, &answer.stderr) != (recording.code, &recording.stderr) {
            return Verdict::Differs(format!("{answer:?}"));
        }
        match wide {
            Some(wide) => Verdict::Differs(format!("too wide: {wide}")),
            None if told != gos => Verdict::Differs(format!("{told:?}\n    instead of {gos:?}")),
            None => Verdict::Same,
        }
    }

    /// Starts the peer of a recording, without its signals.
    pub fn start(&self, name: &str) -> Process {
        let recording = Recording::read(&format!("{}/{name}", self.folder));
        let path = match self.program {
            "ipfs-cluster-service" => env!("CARGO_BIN_EXE_ipfs-cluster-service"),
            _ => env!("CARGO_BIN_EXE_ipfs-cluster-follow"),
        };
        let mut command = Command::new(path);
        let dir = text(&self.stage.path(""));
        let here = |word: &String| self.here(&word.replace("<dir>", dir.trim_end_matches('/')));
        command.args(recording.words.iter().map(here));
        command.envs(self.stage.env.iter().cloned());
        command.envs(recording.env.iter().map(|(key, value)| (key, here(value))));
        Process::start(&command, &self.log(name))
    }

    fn log(&self, name: &str) -> std::path::PathBuf {
        self.stage.path(&format!("{name}.log"))
    }

    /// Runs the peer of a recording until it says `line`, sends the recorded signals and compares how it ends.
    pub fn signalled(&self, name: &str, line: &str) -> Verdict {
        let mut process = self.start(name);
        if let Err(how) = until(&mut process, line) {
            return Verdict::Differs(how);
        }
        self.end(name, process)
    }

    /// Sends a running peer the signals of its recording and compares how it ends.
    pub fn end(&self, name: &str, mut process: Process) -> Verdict {
        let recording = Recording::read(&format!("{}/{name}", self.folder));
        for signal in &recording.signals {
            process.signal(signal.parse::<Signal>().expect("a signal"));
        }
        let Some(code) = ended(&mut process) else {
            return Verdict::Differs(format!("it goes on:\n{}", tail(&process.log())));
        };
        // Three signals may find it gone, or be told at once.
        let is_hurried = recording.signals.len() > 2 && code == 1;
        if code != recording.code && !is_hurried {
            return Verdict::Differs(format!("it ended with {code}:\n{}", tail(&process.log())));
        }
        let dir = text(&self.stage.path(""));
        let stdout = self.here(&recording.stdout).replace("<dir>", dir.trim_end_matches('/'));
        let log = process.log();
        match stdout.lines().find(|line| !log.contains(*line)) {
            Some(missing) => Verdict::Differs(format!("no {missing:?} in\n{}", tail(&log))),
            None => Verdict::Same,
        }
    }

    /// Compares a file with a recorded one.
    pub fn file(&self, name: &str, told: &str) -> Verdict {
        equal(content(&format!("{}/{name}", self.folder)).trim_end(), self.back(told).trim_end())
    }

    fn back(&self, text: &str) -> String {
        self.replace.iter().fold(text.to_owned(), |text, (from, to)| swap(&text, to, from))
    }
}

/// Waits for the end of a process that was told to end; it may drain for eight seconds.
fn ended(process: &mut Process) -> Option<i32> {
    let from = now();
    while from.elapsed() < END_MAX {
        if let Some(status) = process.ended() {
            return status.code();
        }
        thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Waits until a process says `line`.
pub fn until(process: &mut Process, line: &str) -> Result<(), String> {
    let from = now();
    while !process.log().contains(line) {
        if let Some(status) = process.ended() {
            return Err(format!("it ended with {status}:\n{}", tail(&process.log())));
        }
        if from.elapsed() > PATIENCE {
            return Err(format!("no {line:?} within {PATIENCE:?}:\n{}", tail(&process.log())));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The order of keys counts for nothing in JSON.
fn equal(gos: &str, ours: &str) -> Verdict {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    if gos == ours || json(gos).is_some_and(|gos| Some(gos) == json(ours)) {
        Verdict::Same
    } else {
        Verdict::Differs(format!("{ours:?}\n    instead of {gos:?}"))
    }
}

/// The exit code, stdout and stderr; items of a stream come in any order.
fn compare(recording: &Recording, answer: &Answer) -> Verdict {
    let (gos, ours) = (masked(&recording.stdout), masked(&answer.stdout));
    if (recording.code, &gos) != (answer.code, &ours) {
        return Verdict::Differs(format!(
            "{answer:?}\n    instead of {} {gos:?} {:?}",
            recording.code, recording.stderr
        ));
    }
    let (gos, ours) = (masked(&one_line(&recording.stderr)), masked(&answer.stderr));
    match ours.trim_end().strip_prefix(gos.trim_end()) {
        Some("") => Verdict::Same,
        Some(more) => Verdict::More(more.into()),
        None => Verdict::Differs(format!("stderr {ours:?}\n    instead of {gos:?}")),
    }
}

/// Go's follower prints the cause, then what was being done, then its stack: one line says it all.
fn one_line(stderr: &str) -> String {
    match stderr.split_once("\nmain.") {
        Some((head, _)) => head.rsplit_once('\n').map_or(head.to_owned(), |(cause, doing)| format!("{doing}: {cause}")),
        None => stderr.into(),
    }
}

/// Times, the version and the order of streamed objects are each run's own.
fn masked(text: &str) -> String {
    let text = text.replace("1.1.6", "<version>").replace(env!("CARGO_PKG_VERSION"), "<version>");
    let mut lines: Vec<String> = text.split_inclusive('\n').map(|line| without_time(&without_span(line))).collect();
    if lines.iter().any(|line| line.starts_with("{\"")) {
        lines.sort();
    }
    lines.concat()
}

/// A line with how long a metric counts left out.
fn without_span(line: &str) -> String {
    let mark = " | Expires in: ";
    line.split_once(mark).map_or(line.into(), |(before, _)| format!("{before}{mark}<span>\n"))
}

/// A line with the moment of its pin left out.
fn without_time(line: &str) -> String {
    let mark = "\"timestamp\":\"";
    match line.split_once(mark).and_then(|(before, after)| Some((before, after.split_once('"')?.1))) {
        Some((before, after)) => format!("{before}{mark}<time>\"{after}"),
        None => line.into(),
    }
}

/// The sections of a help.
const HEADINGS: [&str; 7] = ["NAME:", "USAGE:", "VERSION:", "DESCRIPTION:", "COMMANDS:", "OPTIONS:", "GLOBAL OPTIONS:"];

/// The first column of the tables and the headings: commands and flags, without the words about them.
fn skeleton(help: &str) -> Vec<String> {
    let first = |line: &str| line.trim().split("  ").next().unwrap_or_default().trim().to_owned();
    let mut heading = String::new();
    let mut kept = Vec::new();
    for line in help.lines() {
        if HEADINGS.contains(&line) {
            line.clone_into(&mut heading);
        }
        let is_table =
            matches!(heading.as_str(), "COMMANDS:" | "OPTIONS:" | "GLOBAL OPTIONS:") && line.starts_with("   ");
        let is_kept = line == heading || is_table || line.starts_with("Incorrect");
        if is_kept && heading != "DESCRIPTION:" && !line.trim().is_empty() {
            kept.push(first(line));
        }
    }
    kept
}

/// Reads a file of a scene, or says why it cannot be.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| format!("{}: {e}", path.display()))
}
