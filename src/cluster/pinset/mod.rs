//! The pinset of this peer: a thread with engine and store, where many inputs make one commit, and then the sends leave.
mod batch;
mod failure;
mod shared;

mod survey;
mod turn;

mod handle;
mod wishes;
mod writer;

pub use failure::Failure;
pub use handle::{Load, News, Pinset};
pub use shared::{Full, State};
pub use turn::Outbound;
pub use wishes::PinsetWishes;
pub use writer::{Args, OpenEngine, Writer, spawn};
