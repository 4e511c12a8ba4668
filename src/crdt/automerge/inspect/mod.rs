//! What a store is asked as a whole: whether it is sound, and what is in it.
mod audit;
mod document;
mod verify;

pub use audit::{Audit, audit, audit_against};
pub use document::{DocumentError, DocumentReader, write_document};
pub use verify::{Fault, Verified, verify};
