//! Keeps IPFS in step with the pinset.
mod args;
mod core;
mod wishes;

mod actor;
mod book;
mod breaker;
mod feed;
mod handle;
mod info;
mod jobs;
mod space;
mod sweep;

pub use args::{Args, Others, TrackerError};
pub use breaker::Daemon;
pub use core::Load;
pub use handle::{Tracker, spawn};
pub use wishes::{News, Wishes, WishesError};
