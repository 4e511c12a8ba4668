//! The second database: where keeping IPFS in step stands, what happened, and what peers said last.
mod bytes;
mod news;
mod row;
mod tables;

mod commit;
mod counts;
mod db;

mod alerts;

pub use commit::Batch;
pub use counts::Counts;
pub use db::{LedgerDb, Options, Page};
pub use news::TEXT_MAX;
pub use row::{Due, Row};
pub use tables::{ALERTS_MAX, EVENTS_MAX, LEDGER_FILE};
