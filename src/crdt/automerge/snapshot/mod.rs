//! Snapshots: made when the log is long, lent to who asks, fetched and believed by who is too far behind.
pub mod believe;
pub mod builds;
pub mod fetch;
pub mod file;
pub mod lend;
pub mod lender;
pub mod survey;
pub mod verify;
