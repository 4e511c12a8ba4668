//! All recordings of Go's programs, replayed against ours; what differs is named in `EXCEPTIONS.txt` with the reason.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod ctl;
mod follow;
mod scene;
mod service;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::recording::index;

/// How an answer is beside the recorded one.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Equal after masking.
    Same,
    /// Equal, and stderr says more at its end: the key, or the cause.
    More(String),
    /// Something else.
    Differs(String),
}

/// What is to be expected of the recordings of a folder.
pub struct Golden {
    folder: &'static str,
    exceptions: BTreeMap<String, String>,
    faults: Vec<String>,
}

impl Golden {
    /// Reads `tests/vectors/<folder>/EXCEPTIONS.txt`: `name: more|differs: reason`, a line each.
    pub fn new(folder: &'static str) -> Self {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(folder).join("EXCEPTIONS.txt");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let exceptions = lines.map(|line| {
            let parts: Vec<&str> = line.splitn(3, ": ").collect();
            let [name, kind @ ("more" | "differs"), reason] = parts[..] else { panic!("no exception: {line}") };
            assert!(!reason.trim().is_empty(), "{name} has no reason");
            (name.to_owned(), kind.to_owned())
        });
        Self { folder, exceptions: exceptions.collect(), faults: Vec::new() }
    }

    /// Replays the recordings that `is_mine`, in the order in which they were made.
    pub fn replay(mut self, is_mine: impl Fn(&str) -> bool, mut run: impl FnMut(&str) -> Verdict) {
        let names: Vec<String> = index(self.folder).into_iter().filter(|name| is_mine(name)).collect();
        assert!(!names.is_empty());
        for name in &names {
            let verdict = run(name);
            self.judge(name, verdict);
        }
        let stray = self.exceptions.keys().filter(|name| is_mine(name) && !names.contains(name));
        self.faults.extend(stray.map(|name| format!("{name}: an exception that is no recording")));
        assert!(self.faults.is_empty(), "{} faults:\n{}", self.faults.len(), self.faults.join("\n"));
    }

    fn judge(&mut self, name: &str, verdict: Verdict) {
        let expected = self.exceptions.get(name).map(String::as_str);
        self.faults.extend(match (verdict, expected) {
            (Verdict::Same, None) | (Verdict::More(_), Some("more")) | (Verdict::Differs(_), Some("differs")) => None,
            (Verdict::Same, Some(_)) => Some(format!("{name}: equal, but listed as an exception")),
            (Verdict::More(how) | Verdict::Differs(how), Some(kind)) => Some(format!("{name}: not just {kind}: {how}")),
            (Verdict::More(how), None) => Some(format!("{name}: more: {how}")),
            (Verdict::Differs(how), None) => Some(format!("{name}: differs: {how}")),
        });
    }
}

#[test]
fn the_exceptions_are_few() {
    for (folder, few) in [("ctl", 10), ("service", 60), ("follow", 25)] {
        let golden = Golden::new(folder);
        assert!(golden.exceptions.len() <= few, "{folder}: {}", golden.exceptions.len());
    }
}
