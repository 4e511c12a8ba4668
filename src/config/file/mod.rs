//! `service.json` and the environment as written.
mod key;
mod sections;

mod document;
mod env;
mod rewrite;

pub(super) use document::reason;
pub use document::{FILE_MAX, File, FileError};
pub use env::Environment;
pub(super) use env::read;
pub(super) use key::{Key, Kind, Missing, Section, default_of, json_type, variable};
pub use rewrite::rewrite;
pub(super) use sections::{SECTIONS, is_opaque};
