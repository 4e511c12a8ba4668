//! What is wrong with a configuration: everything at once, each with its key.
use std::fmt;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key, from the top of the file: `api.restapi.max_header_bytes`.
    pub path: String,
    /// What is wrong, in Go's words where it has some.
    pub message: String,
}

/// All faults of a configuration, in the order of its keys; never empty when returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

/// There is at least one fault.
pub(super) struct Faulty;

/// What is worth a line in the log besides the configuration itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Somebody should look.
    pub warnings: Vec<String>,
    /// Good to know.
    pub infos: Vec<String>,
}

impl Faults {
    /// Adds a fault.
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl fmt::Display) {
        self.0.push(Fault { path: path.into(), message: message.to_string() });
    }

    /// Returns `value` when there is no fault.
    pub(super) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Fault {
    /// The key follows unless the message names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from_section = self.path.split_once('.').map_or(self.path.as_str(), |(_, rest)| rest);
        f.write_str(&self.message)?;
        if self.message.contains(&self.path) || self.message.contains(from_section) && from_section.contains('.') {
            return Ok(());
        }
        write!(f, " ({})", self.path)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [fault] = self.0.as_slice() {
            return write!(f, "{fault}");
        }
        write!(f, "{} faults in the configuration:", self.0.len())?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}
