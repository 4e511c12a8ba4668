//! Where the pins stand: on this peer, on each of the others, and all of it as one.
mod holders;
mod local;
mod merge;
mod spool;
mod standing;
mod wait;

pub use holders::Holders;
pub use local::{Local, blocking};
pub use spool::Spool;
