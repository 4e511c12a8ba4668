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
mod doctor;
mod id;
mod init;
mod state;

use std::path::PathBuf;
use std::process::ExitCode;

use common::Run;
use exit::Failure;
use ipfs_cluster::observe::Levels;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let program = commands::program();
    if words == ["man"] {
        print!("{}", common::completions::manual(&program));
        return ExitCode::SUCCESS;
    }
    let code = match common::show(common::parse(&program, &words), exit::MANNERS) {
        Ok(run) => match dispatch(&run) {
            Ok(true) => 0,
            Ok(false) => Failure::CODE,
            Err(failure) => {
                eprintln!("{failure}");
                Failure::CODE
            }
        },
        Err(code) => code,
    };
    ExitCode::from(code)
}

/// Runs a command; returns whether all is well, which only the doctor may deny.
fn dispatch(run: &Run) -> Result<bool, Failure> {
    let levels =
        if run.globals.is_on("debug") { Ok(Levels::debug()) } else { Levels::parse(run.globals.text("loglevel")) };
    let log = common::start_logging(levels.map_err(|e| Failure::new("reading log levels", e))?);
    let log = log.map_err(|e| Failure::new("starting the log", e))?;
    let folder = PathBuf::from(run.globals.text("config"));
    let path: Vec<&str> = run.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["init"] => init::run(&folder, run),
        ["daemon"] => daemon::run(&folder, &run.values, log),
        ["id"] => id::run(&folder),
        ["completions"] => completions(run),
        ["doctor"] => return doctor::run(&folder, &run.values),
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
    .map(|()| true)
}

fn completions(run: &Run) -> Result<(), Failure> {
    let shell = run.arguments.first().map_or("", String::as_str);
    let script = common::completions::script(&commands::program(), shell);
    let unknown = || Failure::new("printing completions", format!("name a shell: {}", common::completions::SHELLS));
    print!("{}", script.ok_or_else(unknown)?);
    Ok(())
}
