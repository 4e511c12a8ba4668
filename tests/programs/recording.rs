//! What Go's programs answered: a command with its exit code, stdout and stderr.
use std::path::PathBuf;

/// One recording.
#[derive(Debug, Default)]
pub struct Recording {
    pub env: Vec<(String, String)>,
    pub stdin: String,
    /// The words after the program's name.
    pub words: Vec<String>,
    /// The signals that ended the program.
    pub signals: Vec<String>,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Recording {
    /// Reads `tests/vectors/<path>.txt`.
    pub fn read(path: &str) -> Self {
        let text = content(path);
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
            "signals" => self.signals = words().take_while(|word| word.starts_with("SIG")).collect(),
            "exit" => self.code = value.parse().expect("an exit code is a number"),
            _ => {}
        }
    }
}

/// The text of `tests/vectors/<path>.txt`.
pub fn content(path: &str) -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(format!("{path}.txt"));
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// The recordings of a folder, in the order in which they were made.
pub fn index(folder: &str) -> Vec<String> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(folder).join("INDEX.md");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let name = |line: &str| line.strip_prefix("- `")?.split_once(".txt`").map(|(name, _)| name.to_owned());
    text.lines().filter_map(name).collect()
}

/// A recording says so when stdout ends without a line feed.
fn without_mark(stdout: &str) -> String {
    stdout.replace("\n(no newline at the end)\n", "")
}

/// Log lines begin with a time; their places and times are each program's own.
pub fn without_logs(stderr: &str) -> String {
    let is_log = |line: &str| {
        line.len() > 27 && (line.as_bytes()[23] == b'Z' || line.as_bytes()[26] == b'Z') && line.as_bytes()[4] == b'-'
    };
    stderr.split_inclusive('\n').filter(|line| !is_log(line)).collect()
}
