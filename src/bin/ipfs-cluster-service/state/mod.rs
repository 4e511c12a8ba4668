//! `state`: the pinset of a peer that does not run.
mod folder;
mod progress;

mod format;
mod input;
mod objects;

mod epoch;
mod export;
mod import;
mod verify;

pub use epoch::run as new_epoch;
pub use export::run as export;
pub use folder::{cleanup, no_dag};
pub use import::run as import;
pub use verify::run as verify;
