//! A snapshot: a whole state at one commit, as frames under a manifest, and how it travels.
pub mod frame;
pub mod lend;
pub mod manifest;
