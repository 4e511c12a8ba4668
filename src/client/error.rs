//! Why a call failed.
use std::collections::BTreeMap;

/// Why a call failed: the server's code and words, or code 0 when there was no answer that could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The HTTP status, or 0.
    pub code: u16,
    /// What went wrong.
    pub message: String,
    /// By peer, why it cannot do it.
    pub details: BTreeMap<String, String>,
}

impl Error {
    /// A failure of this code.
    #[must_use]
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: BTreeMap::new() }
    }

    /// A failure on the way.
    pub(super) fn local(message: impl Into<String>) -> Self {
        Self::new(0, message)
    }

    /// Whether nothing was heard from the server, so that another may be asked.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        self.code == 0
    }
}

/// Why a client could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewError {
    /// An address that is none.
    #[error("failed to parse multiaddr {address:?}: {reason}")]
    Address {
        /// The text.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No address at all.
    #[error("no API address given")]
    NoHost,
    /// Certificates or credentials that cannot be used.
    #[error("{0}")]
    Unusable(String),
}
