//! Both programs, run at the same time, and what they told differently.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::exceptions::{Exception, exceptions};
use crate::harness::{Peer, random_cid};
use crate::mask::{masked, without_log};

/// How a program ended and what it printed.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: String,
    stdout: String,
    stderr: String,
}

impl Answer {
    fn parts(&self) -> [(&'static str, &String); 3] {
        [("code", &self.code), ("stdout", &self.stdout), ("stderr", &self.stderr)]
    }
}

/// Go's program and ours, which ask one host.
///
/// A line is words with spaces between; `{name}` stands for a CID or a text, which may be another one for each program:
/// so neither meets what the other has done.
pub struct Pair {
    programs: [PathBuf; 2],
    host: String,
    /// Put into the environment of both.
    pub env: Vec<(String, String)>,
    names: BTreeMap<String, [String; 2]>,
    exceptions: Vec<Exception>,
    asked: Vec<String>,
    faults: Vec<String>,
}

impl Pair {
    /// Both ask the peer; the exceptions are those of the scene.
    pub fn new(scene: &str, peer: &Peer) -> Self {
        let go = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/ipfs-cluster-ctl");
        assert!(go.exists(), "no ipfs-cluster-ctl of Go: run scripts/peers");
        Self {
            programs: [go, env!("CARGO_BIN_EXE_ipfs-cluster-ctl").into()],
            host: format!("/ip4/127.0.0.1/tcp/{}", peer.rest_port()),
            env: Vec::new(),
            names: BTreeMap::new(),
            exceptions: exceptions().into_iter().filter(|exception| exception.scene == scene).collect(),
            asked: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// From now on `{name}` is that text.
    pub fn name(&mut self, name: &str, text: &str) {
        self.names.insert(name.into(), [text.into(), text.into()]);
    }

    /// From now on each of `{name}` is a CID for each program, of content that the peer's daemon has.
    pub fn content(&mut self, peer: &Peer, names: &[&str]) {
        for name in names {
            let cids = ["Go's", "our"].map(|whose| peer.kubo().add(format!("{whose} {name}").as_bytes()));
            self.names.insert((*name).into(), cids);
        }
    }

    /// From now on each of `{name}` is a CID for each program, of content that nobody has.
    pub fn nothing(&mut self, names: &[&str]) {
        self.names.extend(names.iter().map(|name| ((*name).to_owned(), [random_cid(), random_cid()])));
    }

    /// What `{name}` is for each program.
    pub fn both(&self, name: &str) -> &[String; 2] {
        self.names.get(name).unwrap_or_else(|| panic!("nothing is called {name}"))
    }

    /// Runs the line with both programs, in text and in JSON, and compares.
    pub fn same(&mut self, line: &str) {
        self.text(line);
        self.text(&format!("--enc=json {line}"));
    }

    /// As [`Pair::same`], line by line.
    pub fn all(&mut self, lines: &[&str]) {
        for line in lines {
            self.same(line);
        }
    }

    /// Runs the line with both programs as it is, and compares.
    pub fn text(&mut self, line: &str) {
        let answers = self.ask(line);
        self.compare(line, &answers);
    }

    /// As [`Pair::same`], one after the other, with something done before each run.
    pub fn same_after(&mut self, line: &str, before: &dyn Fn()) {
        for line in [line.to_owned(), format!("--enc=json {line}")] {
            let answers = [0, 1].map(|number| {
                before();
                self.run(number, &line)
            });
            self.compare(&line, &answers);
        }
    }

    /// As [`Pair::same`]; both have to end with that code, and to say that on stdout.
    pub fn failing(&mut self, line: &str, code: i32, told: &str) {
        for line in [line.to_owned(), format!("--enc=json {line}")] {
            let answers = self.ask(&line);
            self.compare(&line, &answers);
            for answer in &answers {
                assert!(answer.code == code.to_string() && answer.stdout.contains(told), "{line}: {answers:#?}");
            }
        }
    }

    /// Fails with all that was found.
    pub fn finish(mut self) {
        let stray = self.exceptions.iter().filter(|exception| !self.asked.contains(&exception.line));
        self.faults.extend(stray.map(|exception| format!("{}: is excepted, and is not asked", exception.line)));
        let faults = self.faults.join("\n");
        assert!(self.faults.is_empty(), "{} faults in {} lines:\n{faults}", self.faults.len(), self.asked.len());
    }

    fn ask(&self, line: &str) -> [Answer; 2] {
        thread::scope(|scope| {
            [0, 1].map(|number| scope.spawn(move || self.run(number, line))).map(|run| run.join().expect("a run ends"))
        })
    }

    fn compare(&mut self, line: &str, [go, ours]: &[Answer; 2]) {
        let plain = line.strip_prefix("--enc=json ").unwrap_or(line);
        let fitting = self.exceptions.iter().find(|exception| exception.line == plain);
        for ((part, gos), (_, our)) in go.parts().into_iter().zip(ours.parts()) {
            let is_excepted = fitting.is_some_and(|exception| exception.parts.iter().any(|excepted| excepted == part));
            match (gos == our, is_excepted) {
                (true, false) | (false, true) => {}
                (true, true) => self.faults.push(format!("{line}: {part} is excepted, and is alike")),
                (false, false) => self.faults.push(format!("{line}: {part}\n{}", unlike(gos, our))),
            }
        }
        self.asked.push(plain.to_owned());
    }

    fn run(&self, number: usize, line: &str) -> Answer {
        let mut command = Command::new(&self.programs[number]);
        command.env_remove("CLUSTER_CREDENTIALS").envs(self.env.iter().cloned()).stdin(Stdio::null());
        if !line.contains("--host") {
            command.arg("--host").arg(&self.host);
        }
        command.args(line.split(' ').map(|word| self.filled(number, word)));
        let output = command.output().unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
        let text = |bytes: &[u8]| masked(&self.emptied(number, line, &String::from_utf8_lossy(bytes)), line);
        Answer {
            code: output.status.code().map_or("none".into(), |code| code.to_string()),
            stdout: text(&output.stdout),
            stderr: without_log(&text(&output.stderr)),
        }
    }

    /// A word with what its names stand for.
    fn filled(&self, number: usize, word: &str) -> String {
        self.names
            .iter()
            .fold(word.to_owned(), |word, (name, texts)| word.replace(&format!("{{{name}}}"), &texts[number]))
    }

    /// An output with the names of its line in place of what they stand for.
    fn emptied(&self, number: usize, line: &str, output: &str) -> String {
        let mut output = output.to_owned();
        for (name, texts) in &self.names {
            let name = format!("{{{name}}}");
            if line.contains(&name) && texts[0] != texts[1] {
                output = output.replace(&texts[number], &name);
            }
        }
        output
    }
}

/// What is between the lines that both begin with and those that both end with.
fn unlike(gos: &str, our: &str) -> String {
    let [gos, our] = [gos, our].map(|text| text.lines().collect::<Vec<_>>());
    let begin = gos.iter().zip(&our).take_while(|(a, b)| a == b).count();
    let end = gos[begin..].iter().rev().zip(our[begin..].iter().rev()).take_while(|(a, b)| a == b).count();
    let middle = |lines: &[&str]| lines[begin..lines.len() - end].join("\n");
    format!("--- Go\n{}\n--- ours\n{}", middle(&gos), middle(&our))
}
