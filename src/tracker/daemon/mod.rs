//! The daemon as the tracker sees it: whether it answers, and whether it has room.
mod breaker;
mod space;

pub use breaker::Daemon;
pub(super) use breaker::{Breaker, View};
pub(super) use space::{Room, Space};
