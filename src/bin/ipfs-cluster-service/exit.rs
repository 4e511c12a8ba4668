//! How the program ends.
use std::fmt;

use crate::common::Manners;

/// Wrong flags end with 0, an unknown command with the help and 1: scripts rely on what Go's program does.
pub const MANNERS: Manners = Manners { no_command: 1, misuse: 0, unknown_command: Some(1) };

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    doing: String,
    cause: String,
}

impl Failure {
    /// The exit code, which is one for all.
    pub const CODE: u8 = 1;

    /// A failure while `doing`, as in `error <doing>: <cause>`.
    pub fn new(doing: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self { doing: doing.into(), cause: cause.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}: {}", self.doing, self.cause)
    }
}
