//! The program that runs a peer.
#[path = "../common/mod.rs"]
mod common;

#[cfg(not(any(target_env = "msvc", target_os = "macos")))]
#[path = "../common/allocator.rs"]
mod allocator;

mod commands;
mod exit;
mod ports;

mod daemon;
mod id;
mod init;
mod state;

use std::path::PathBuf;
use std::process::ExitCode;

use common::{Levels, Run};
use exit::Failure;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let code = match common::show(common::parse(&commands::program(), &words), exit::MANNERS) {
        Ok(run) => match dispatch(&run) {
            Ok(()) => 0,
            Err(failure) => {
                eprintln!("{failure}");
                Failure::CODE
            }
        },
        Err(code) => code,
    };
    ExitCode::from(code)
}

fn dispatch(run: &Run) -> Result<(), Failure> {
    let levels =
        if run.globals.is_on("debug") { Ok(Levels::debug()) } else { Levels::parse(run.globals.text("loglevel")) };
    common::start_logging(&levels.map_err(|e| Failure::new("reading log levels", e))?);
    let folder = PathBuf::from(run.globals.text("config"));
    let path: Vec<&str> = run.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["init"] => init::run(&folder, run),
        ["daemon"] => daemon::run(&folder, &run.values),
        ["id"] => id::run(&folder),
        ["state", "export"] => state::export(&folder, &run.values),
        ["state", "import"] => state::import(&folder, run),
        ["state", "verify"] => state::verify(&folder),
        ["state", "new-epoch"] => state::new_epoch(&folder, &run.values),
        ["state", "cleanup"] => state::cleanup(&folder, &run.values),
        ["state", "crdt", _] => Err(state::no_dag(&folder)),
        _ => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    }
}
