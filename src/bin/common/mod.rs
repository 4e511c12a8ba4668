//! What the programs share: commands by the rules of Go's programs, their help, questions, logs, signals.
#![allow(dead_code, unused_imports, reason = "each program compiles this folder and uses its part")]
mod flag;
mod help;
mod parse;

mod logging;
mod peer;
mod prompt;
mod show;
mod signals;

pub use flag::*;
pub use help::help;
pub use logging::{Levels, start as start_logging};
pub use parse::*;
pub use peer::*;
pub use prompt::*;
pub use show::*;
pub use signals::watch as watch_signals;
