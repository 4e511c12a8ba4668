//! What Go's programs answered: a command with its exit code, stdout and stderr.
use std::path::PathBuf;

/// One recording.
#[derive(Debug, Default)]
pub struct Recording {
    pub env: Vec<(String, String)>,
    pub stdin: String,
    /// The words after the program's name.
    pub words: Vec<String>,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Recording {
    /// Reads `tests/vectors/<path>.txt`.
    pub fn read(path: &str) -> Self {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(format!("{path}.txt"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let (head, rest) = text.split_once("--- stdout\n").expect("a recording has a stdout");
        let (stdout, rest) = rest.split_once("--- stderr").expect("a recording has a stderr");
        let stderr = rest.split("--- files").next().unwrap_or_default();
        let mut recording = Self {
            stdout: without_mark(stdout),
            stderr: without_logs(stderr.trim_start_matches('\n')),
            ..Self::default()
        };
        for line in head.lines() {
            recording.head(line);
        }
        recording
    }

    fn head(&mut self, line: &str) {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        let words = || value.split_whitespace().map(str::to_owned);
        match name {
            "env" => {
                let pair = |word: String| word.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
                self.env = words().filter_map(pair).collect();
            }
            "stdin-json" => self.stdin = serde_json::from_str(value).expect("stdin is recorded as JSON"),
            "command" => self.words = words().skip(1).collect(),
            "exit" => self.code = value.parse().expect("an exit code is a number"),
            _ => {}
        }
    }
}

/// A recording says so when stdout ends without a line feed.
fn without_mark(stdout: &str) -> String {
    stdout.replace("\n(no newline at the end)\n", "")
}

/// Log lines begin with a time; their places and times are each program's own.
pub fn without_logs(stderr: &str) -> String {
    let is_log = |line: &str| line.len() > 24 && line.as_bytes()[23] == b'Z' && line.as_bytes()[4] == b'-';
    stderr.split_inclusive('\n').filter(|line| !is_log(line)).collect()
}
