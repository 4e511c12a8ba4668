//! Inputs as files: `tests/fuzz/regressions/TARGET/` and `tests/fuzz/corpus/TARGET/`.
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Inputs that once broke a target.
pub const REGRESSIONS: &str = "regressions";

/// One input for each verdict.
pub const CORPUS: &str = "corpus";

/// Where the inputs of `target` are.
fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(kind).join(target)
}

/// The inputs of `target` by their file names; none when it has no folder yet.
pub fn read(kind: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder(kind, target);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries.map(|entry| entry.expect("a folder of inputs is read").path()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(e) => panic!("{}: {e}", folder.display()),
    };
    let mut paths: Vec<PathBuf> = entries.collect();
    paths.sort();
    let input = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes)
    };
    paths.into_iter().map(input).collect()
}

/// Keeps `input` under its hash, and returns where.
pub fn keep(kind: &str, target: &str, input: &[u8]) -> PathBuf {
    let folder = folder(kind, target);
    let path = folder.join(&blake3::hash(input).to_hex()[..16]);
    let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input));
    kept.unwrap_or_else(|e| panic!("{} cannot be written: {e}; the input: {}", path.display(), hex::encode(input)));
    path
}

/// Prints a line past the test harness, which shows what a test prints only when it fails.
pub fn say(line: &str) {
    // A line that nobody can read is no reason to stop.
    drop(writeln!(io::stderr(), "fuzz {line}"));
}
