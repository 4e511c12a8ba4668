//! Where the pins stand: on this peer, on each of the others, and all of it as one.
mod local;
mod merge;

mod standing;

pub use local::{Local, blocking};
