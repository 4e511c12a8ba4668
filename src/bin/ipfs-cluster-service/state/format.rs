//! How an export is written.
use crate::common::Values;
use crate::exit::Failure;

/// The value of `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, as Go's programs write and read it.
    Json,
    /// An Automerge document.
    Automerge,
    /// The file of a snapshot, which a trusted peer attests.
    Snapshot,
}

impl Format {
    /// Reads the flag.
    pub fn of(values: &Values) -> Result<Self, Failure> {
        match values.text("format") {
            "json" => Ok(Self::Json),
            "automerge" => Ok(Self::Automerge),
            "snapshot" => Ok(Self::Snapshot),
            other => Err(Failure::new(
                "choosing the format",
                format!("{other:?} is unknown: it is json, automerge or snapshot"),
            )),
        }
    }
}
