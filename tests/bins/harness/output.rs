//! What a program printed and how it ended.
use std::process::{Command, Stdio};

use serde_json::Value;

/// The end of a program that was run.
#[derive(Debug)]
pub struct Output {
    #[expect(dead_code, reason = "shown by Debug when an assertion fails")]
    command: String,
    stdout: String,
    stderr: String,
    code: i32,
}

impl Output {
    /// Runs `command` to its end, with nothing to read.
    pub fn of(command: &mut Command) -> Self {
        let shown = format!("{command:?}");
        let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{shown} does not start: {e}"));
        Self {
            command: shown,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// Asserts its exit code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Asserts that its standard output has `part`.
    #[track_caller]
    pub fn stdout(self, part: &str) -> Self {
        assert!(self.stdout.contains(part), "no {part:?} in the output of {self:#?}");
        self
    }

    /// Asserts that its standard error has `part`.
    #[track_caller]
    pub fn stderr(self, part: &str) -> Self {
        assert!(self.stderr.contains(part), "no {part:?} in the errors of {self:#?}");
        self
    }

    /// Returns whether it ended well.
    pub fn is_ok(&self) -> bool {
        self.code == 0
    }

    /// Its standard output.
    pub fn text(&self) -> &str {
        &self.stdout
    }

    /// The JSON values on its standard output, one after the other.
    #[track_caller]
    pub fn json(&self) -> Vec<Value> {
        let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&self.stdout).into_iter().collect();
        values.unwrap_or_else(|e| panic!("no JSON ({e}) in the output of {self:#?}"))
    }
}
