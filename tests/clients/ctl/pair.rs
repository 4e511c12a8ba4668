//! Both programs, run at the same time, and what they told differently.
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use crate::harness::{Peer, random_cid};
use crate::host::Whose;
use crate::judge::{Answer, Judge};
use crate::mask::masked;

/// How often a line is asked until both get the same answer.
const ASKS_MAX: usize = 3;

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
    judge: Judge,
}

impl Pair {
    /// Both ask the peer; the exceptions are those of the scene.
    pub fn new(scene: &str, peer: &Peer) -> Self {
        Self {
            programs: Whose::BOTH.map(|whose| whose.program("ipfs-cluster-ctl")),
            host: format!("/ip4/127.0.0.1/tcp/{}", peer.rest_port()),
            env: Vec::new(),
            names: BTreeMap::new(),
            judge: Judge::new(scene),
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
        self.judge.compare(line, &answers);
    }

    /// As [`Pair::all`]; what a peer notices between the two answers is asked again.
    pub fn settled(&mut self, lines: &[&str]) {
        for line in lines.iter().flat_map(|line| [(*line).to_owned(), format!("--enc=json {line}")]) {
            let mut answers = self.ask(&line);
            for _ in 1..ASKS_MAX {
                if answers[0] != answers[1] {
                    answers = self.ask(&line);
                }
            }
            self.judge.compare(&line, &answers);
        }
    }

    /// As [`Pair::text`], all lines at the same time: most of it is waiting.
    pub fn together(&mut self, lines: &[&str]) {
        let answers: Vec<_> = thread::scope(|scope| {
            let runs: Vec<_> = lines.iter().map(|line| scope.spawn(|| self.ask(line))).collect();
            runs.into_iter().map(|run| run.join().expect("a run ends")).collect()
        });
        for (line, answers) in lines.iter().zip(&answers) {
            self.judge.compare(line, answers);
        }
    }

    /// As [`Pair::same`], one after the other, with something done before each run.
    pub fn same_after(&mut self, line: &str, before: &dyn Fn()) {
        for line in [line.to_owned(), format!("--enc=json {line}")] {
            let answers = [0, 1].map(|number| {
                before();
                self.run(number, &line)
            });
            self.judge.compare(&line, &answers);
        }
    }

    /// As [`Pair::same`]; both have to end with that code, and to say that.
    pub fn failing(&mut self, line: &str, code: i32, told: &str) {
        for line in [line.to_owned(), format!("--enc=json {line}")] {
            let answers = self.ask(&line);
            self.judge.compare(&line, &answers);
            for answer in &answers {
                assert!(
                    answer.code == code.to_string() && format!("{answer:?}").contains(told),
                    "{line}: {answers:#?}"
                );
            }
        }
    }

    /// Fails with all that was found.
    pub fn finish(self) {
        self.judge.finish();
    }

    fn ask(&self, line: &str) -> [Answer; 2] {
        thread::scope(|scope| {
            [0, 1].map(|number| scope.spawn(move || self.run(number, line))).map(|run| run.join().expect("a run ends"))
        })
    }

    fn run(&self, number: usize, line: &str) -> Answer {
        let mut command = Command::new(&self.programs[number]);
        command.env_remove("CLUSTER_CREDENTIALS").envs(self.env.iter().cloned()).stdin(Stdio::null());
        if !line.contains("--host") {
            command.arg("--host").arg(&self.host);
        }
        command.args(line.split(' ').map(|word| self.filled(number, word)));
        let output = command.output().unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
        Answer::new(&output, |text| masked(&self.emptied(number, line, text), line))
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
