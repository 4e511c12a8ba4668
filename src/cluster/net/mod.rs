//! Between the swarm and the parts of this peer: what comes in is checked and handed on, what is decided goes out.
mod counts;
mod notices;
mod pace;

mod checks;
mod epochs;
mod syncs;

mod pipes;
mod serve;

pub use checks::{Args as ChecksArgs, Checks, METRICS_TOPIC};
pub use counts::Counts;
pub use epochs::Epochs;
pub use notices::Notices;
pub use pace::Pace;
pub use pipes::{Inlet, Outlet};
pub use serve::Answers;
pub use syncs::{Args as SyncsArgs, spawn as spawn_syncs};
