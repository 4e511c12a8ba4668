//! The one list of lines that the programs answer differently, each with its reason.
use std::collections::BTreeSet;

/// A row of `EXCEPTIONS.md`.
#[derive(Clone, Debug)]
pub struct Exception {
    pub scene: String,
    pub line: String,
    /// Which of `code`, `stdout` and `stderr` differ.
    pub parts: Vec<String>,
}

/// Reads the list.
pub fn exceptions() -> Vec<Exception> {
    let text = include_str!("EXCEPTIONS.md");
    let rows = text.lines().filter(|row| row.starts_with("| ") && row.contains('`'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [scene, line, parts, reason] = cells[..] else { panic!("{row} has not four cells") };
        assert!(reason.len() > 10, "{line} has no reason");
        let parts: Vec<String> = parts.split(", ").map(str::to_owned).collect();
        assert!(parts.iter().all(|part| ["code", "stdout", "stderr"].contains(&part.as_str())), "{line}: {parts:?}");
        Exception { scene: scene.into(), line: line.trim_matches('`').into(), parts }
    })
    .collect()
}

#[test]
fn the_exceptions_are_few_and_each_is_there_once() {
    let exceptions = exceptions();
    let lines: BTreeSet<_> = exceptions.iter().map(|exception| (&exception.scene, &exception.line)).collect();
    assert_eq!(lines.len(), exceptions.len());
    assert!(lines.len() <= 6, "{}", lines.len());
}
