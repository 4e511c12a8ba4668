//! The pinset as an Automerge document in a file, made from the state: what other tools of Automerge read.

mod read;
mod write;

pub use read::{DocumentError, Reader as DocumentReader};
pub use write::write as write_document;

#[cfg(test)]
mod tests;
