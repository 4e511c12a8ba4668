//! The log of requests.
mod file;
mod log;

pub use file::OpenError;
pub use log::AccessLog;
pub(super) use log::note;
