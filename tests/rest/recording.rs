//! What a Go peer was asked, and what it answered: the files of `tests/vectors/rest`.
use std::path::PathBuf;

use crate::exchange::Answer;

/// One request and its answer.
#[derive(Debug, Default)]
pub struct Recording {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub answer: Answer,
}

/// The folder of the recordings.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/rest")
}

/// The names of all recordings in the order in which they were taken.
pub fn names() -> Vec<String> {
    let index = std::fs::read_to_string(folder().join("INDEX.md")).expect("the recordings have an index");
    let name = |line: &str| Some(line.strip_prefix("- `")?.split_once(".txt`")?.0.to_owned());
    index.lines().filter_map(name).collect()
}

impl Recording {
    /// Reads the recording of that name.
    pub fn read(name: &str) -> Self {
        let bytes = std::fs::read(folder().join(format!("{name}.txt"))).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mark = b"\nbody:\n";
        let at = bytes.windows(mark.len()).position(|window| window == mark).expect("a recording has a body");
        let mut recording = Self::default();
        for line in String::from_utf8_lossy(&bytes[..at]).lines() {
            recording.head(line);
        }
        recording.answer.body = bytes[at + mark.len()..].to_vec();
        recording
    }

    fn head(&mut self, line: &str) {
        let (key, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        let pair = || {
            let (name, value) = value.split_once(':').expect("a header has a colon");
            (name.to_owned(), unabridged(value.trim()))
        };
        match key {
            "request" => {
                let (method, target) = value.split_once(' ').expect("a request has a target");
                (self.method, self.target) = (method.into(), unabridged(target));
            }
            "request-header" => self.headers.push(pair()),
            "request-body-json" => {
                let text: String = serde_json::from_str(value).expect("a body is recorded as a JSON string");
                self.body = text.into_bytes();
            }
            "request-body-hex" => self.body = hex::decode(value).expect("a body is recorded in hex"),
            "status" => value.clone_into(&mut self.answer.status),
            "header" => self.answer.headers.push(pair()),
            "trailer" => self.answer.trailers.push(pair()),
            _ => {}
        }
    }
}

/// Two recordings are abridged: `xx...(9000 bytes)`, and CIDs with commas between.
fn unabridged(text: &str) -> String {
    let Some((start, rest)) = text.split_once("...(") else { return text.to_owned() };
    let len: usize = rest.trim_end_matches(" bytes)").parse().expect("the length is said");
    match start.split_once('=') {
        Some((before, values)) => {
            let value = values.split(',').next().expect("a list has a first element");
            let count = (len - before.len()) / (value.len() + 1);
            format!("{before}={}", vec![value; count].join(","))
        }
        None => start[..1].repeat(len),
    }
}

#[test]
fn every_recording_of_the_folder_is_in_the_index() {
    let files = std::fs::read_dir(folder()).expect("there are recordings");
    let mut found: Vec<_> =
        files.filter_map(|file| Some(file.ok()?.file_name().to_str()?.strip_suffix(".txt")?.to_owned())).collect();
    found.sort();
    let mut listed = names();
    listed.sort();
    assert_eq!(found, listed);
}
