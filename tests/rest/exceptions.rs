//! The one list of recordings that are not answered alike, each with its reason.
use crate::broken::is_asked_of_broken_peers;
use crate::recorded::is_asked_of_well_peers;
use crate::recording::{folder, names};

/// A row of `EXCEPTIONS.md`.
#[derive(Clone, Debug)]
pub struct Exception {
    /// A name, or a beginning of names with `*` at its end.
    pub name: String,
    /// The CID whose row differs; empty: the answer as a whole.
    pub cid: String,
    /// Chance decides whether it differs.
    pub varies: bool,
}

impl Exception {
    pub fn fits(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == self.name,
        }
    }
}

/// Reads the list of differences.
pub fn exceptions() -> Vec<Exception> {
    let rows = rows(0).into_iter();
    rows.map(|(name, cells)| {
        let [cid, reason] = &cells[..] else { panic!("the exception {name} has not three cells") };
        assert!(reason.len() > 10, "the exception {name} has no reason");
        Exception { name, cid: cid.trim_matches('`').to_owned(), varies: reason.starts_with("varies") }
    })
    .collect()
}

/// Whether the list says of a recording that no test asks it.
pub fn is_unasked(name: &str) -> bool {
    rows(1).into_iter().any(|(fit, _)| Exception { name: fit, cid: String::new(), varies: false }.fits(name))
}

/// The rows of the table of that number: the name in the first cell, and the other cells.
fn rows(table: usize) -> Vec<(String, Vec<String>)> {
    let text = std::fs::read_to_string(folder().join("EXCEPTIONS.md")).expect("there is a list of exceptions");
    let part = text.split("\n## ").nth(table).expect("the list has two tables").to_owned();
    let lines = part.lines().filter_map(|line| line.strip_prefix("| `")?.trim_end_matches(['|', ' ']).split_once('`'));
    let cells = |rest: &str| rest.split('|').skip(1).map(|cell| cell.trim().to_owned()).collect();
    lines.map(|(name, rest)| (name.to_owned(), cells(rest))).collect()
}

#[test]
fn every_exception_is_about_a_recording() {
    let names = names();
    let unasked = rows(1).into_iter().map(|(name, _)| Exception { name, cid: String::new(), varies: false });
    for exception in exceptions().into_iter().chain(unasked) {
        assert!(names.iter().any(|name| exception.fits(name)), "{exception:?} is about none");
    }
}

#[test]
fn a_recording_is_asked_or_the_list_says_why_not() {
    for name in names() {
        let is_asked = is_asked_of_well_peers(&name) || name.starts_with("auth-") || is_asked_of_broken_peers(&name);
        assert_ne!(is_asked, is_unasked(&name), "{name}");
    }
}
