//! Whether two answers are alike, and whether that was to be expected.
use std::process::Output;

use crate::exceptions::{Exception, exceptions};
use crate::mask::without_log;

/// How a program ended and what it printed.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub code: String,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    /// Takes the end of a program; `masked` leaves out of its texts what differs from run to run.
    pub fn new(output: &Output, masked: impl Fn(&str) -> String) -> Self {
        let text = |bytes: &[u8]| masked(&String::from_utf8_lossy(bytes));
        Self {
            code: output.status.code().map_or("none".into(), |code| code.to_string()),
            stdout: text(&output.stdout),
            stderr: without_log(&text(&output.stderr)),
        }
    }

    fn parts(&self) -> [(&'static str, &String); 3] {
        [("code", &self.code), ("stdout", &self.stdout), ("stderr", &self.stderr)]
    }
}

/// What was asked in a scene, and what is wrong with the answers.
pub struct Judge {
    exceptions: Vec<Exception>,
    asked: Vec<String>,
    faults: Vec<String>,
}

impl Judge {
    /// Knows the exceptions of the scene.
    pub fn new(scene: &str) -> Self {
        let exceptions = exceptions().into_iter().filter(|exception| exception.scene == scene).collect();
        Self { exceptions, asked: Vec::new(), faults: Vec::new() }
    }

    /// Compares what Go's program answered to a line with what ours did; `--enc=json` before it changes nothing of what is expected.
    pub fn compare(&mut self, line: &str, [go, ours]: &[Answer; 2]) {
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

    /// Fails with all that was found.
    pub fn finish(mut self) {
        let stray = self.exceptions.iter().filter(|exception| !self.asked.contains(&exception.line));
        self.faults.extend(stray.map(|exception| format!("{}: is excepted, and is not asked", exception.line)));
        let faults = self.faults.join("\n");
        assert!(self.faults.is_empty(), "{} faults in {} lines:\n{faults}", self.faults.len(), self.asked.len());
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

#[test]
fn what_is_listed_has_to_differ_and_the_rest_has_not() {
    let answer = |stdout: &str| Answer { code: "0".into(), stdout: stdout.into(), stderr: String::new() };
    let faults = |lines: &[(&str, [Answer; 2])]| {
        let exception = Exception { scene: "s".into(), line: "listed".into(), parts: vec!["stdout".into()] };
        let mut judge = Judge { exceptions: vec![exception], asked: Vec::new(), faults: Vec::new() };
        for (line, answers) in lines {
            judge.compare(line, answers);
        }
        std::panic::catch_unwind(|| judge.finish()).is_err()
    };
    let listed = || ("--enc=json listed", [answer("a"), answer("b")]);
    assert!(!faults(&[listed(), ("other", [answer("a"), answer("a")])]));
    assert!(faults(&[listed(), ("other", [answer("a"), answer("b")])]), "it differs and is not listed");
    assert!(faults(&[("listed", [answer("a"), answer("a")])]), "it is listed and is alike");
    assert!(faults(&[("other", [answer("a"), answer("a")])]), "it is listed and is not asked");
    assert_eq!(unlike("a\nb\nc\nd\n", "a\nx\nd\n"), "--- Go\nb\nc\n--- ours\nx");
}
