//! Why the program failed, how that is told, and the exit code: the one table.
use std::io;

use ipfs_cluster::client::{Error, WaitError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What the user gave cannot be used.
    #[error("error {doing}: {text}")]
    Argument {
        /// What was being done with it.
        doing: &'static str,
        /// What is wrong.
        text: String,
    },
    /// The API said no, or nothing.
    #[error(transparent)]
    Api(#[from] Error),
    /// The status that was waited for did not come.
    #[error("error waiting for pin status: {0}")]
    Wait(#[from] WaitError),
    /// Nobody reads the output.
    #[error("error writing the output: {0}")]
    Output(#[from] io::Error),
    /// Some of many failed, which is printed already.
    #[error("some pins failed")]
    Some,
    /// The peer ended its answer early.
    #[error("error : the peer stopped answering at line {0}, the lines before it are done: send the rest again")]
    Unanswered(u64),
    /// A command of the Go program that this version has not got.
    #[error("error : this version cannot do \"{0}\"")]
    Unavailable(String),
    /// What was waited for will not be: another client let the peer have pins again.
    #[error("error waiting: {0} is not being drained any more")]
    Undone(String),
    /// The doctor found a fault, or a probe was answered with no: which is told.
    #[error("a fault was found")]
    Unwell,
}

impl Failure {
    /// An argument that is wrong.
    pub fn argument(doing: &'static str, text: &impl ToString) -> Self {
        Self::Argument { doing, text: text.to_string() }
    }

    /// The exit code.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Api(error) if error.is_local() => 1,
            Self::Api(_) | Self::Some => 2,
            Self::Wait(WaitError::Deadline) => 62,
            Self::Wait(WaitError::Api(_) | WaitError::Failed(_))
            | Self::Argument { .. }
            | Self::Output(_)
            | Self::Unwell
            | Self::Undone(_)
            | Self::Unanswered(_)
            | Self::Unavailable(_) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_gos() {
        let api = |code| Failure::Api(Error::new(code, ""));
        assert_eq!((api(0).code(), api(404).code(), api(500).code()), (1, 2, 2));
        assert_eq!(Failure::Wait(WaitError::Deadline).code(), 62);
        assert_eq!(Failure::Wait(WaitError::Failed("pinned")).code(), 1);
        assert_eq!(Failure::Undone("peer".into()).code(), 1);
        assert_eq!(Failure::Unavailable("add".into()).code(), 1);
        assert_eq!((Failure::Unwell.code(), Failure::Unanswered(7).code(), Failure::Some.code()), (1, 1, 2));
    }

    #[test]
    fn an_empty_doing_leaves_gos_space() {
        let text = Failure::argument("", &"unsupported encoding").to_string();
        assert_eq!(text, "error : unsupported encoding");
    }
}
