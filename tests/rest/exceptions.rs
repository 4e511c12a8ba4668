//! The one list of recordings that are not answered alike, each with its reason.
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

/// Reads the list.
pub fn exceptions() -> Vec<Exception> {
    let text = std::fs::read_to_string(folder().join("EXCEPTIONS.md")).expect("there is a list of exceptions");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, rest)| {
        let mut cells = rest.split('|').skip(1).map(str::trim);
        let cid = cells.next().unwrap_or_default().trim_matches('`').to_owned();
        let reason = cells.next().unwrap_or_default();
        assert!(reason.len() > 10, "the exception {name} has no reason");
        Exception { name: name.to_owned(), cid, varies: reason.starts_with("varies") }
    })
    .collect()
}

#[test]
fn every_exception_is_about_a_recording() {
    let names = names();
    for exception in exceptions() {
        assert!(names.iter().any(|name| exception.fits(name)), "{exception:?} is about none");
    }
}
