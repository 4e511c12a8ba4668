//! What the programs share: commands by the rules of Go's programs, their help, questions, logs, signals.
#![allow(dead_code, unused_imports, reason = "each program compiles this folder and uses its part")]
mod flag;
mod parse;

pub mod completions;
pub mod human;

mod logging;
mod peer;
pub mod probe;
mod prompt;
mod show;
mod signals;

pub use logging::{Log, start as start_logging};
pub use signals::watch as watch_signals;
pub use {flag::*, parse::*, peer::*, prompt::*, show::*};
