//! Keeps IPFS in step with the pinset.
mod args;
mod core;
mod daemon;
mod wishes;

mod actor;
mod book;
mod feed;
mod handle;
mod info;
mod jobs;
mod sweep;

pub use args::{Args, Others, TrackerError};
pub use core::Load;
pub use daemon::Daemon;
pub use handle::{Tracker, spawn};
pub use wishes::{News, Share, Wishes, WishesError};
