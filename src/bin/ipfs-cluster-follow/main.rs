//! The program that follows clusters: peers that keep what others decide.
#[path = "../common/mod.rs"]
mod common;

#[cfg(not(any(target_env = "msvc", target_os = "macos")))]
#[path = "../common/allocator.rs"]
mod allocator;

mod commands;
mod exit;

mod place;

mod ipfs;

mod budget;
mod info;
mod init;
mod list;
mod run;
mod show_all;
mod sign;

use std::path::PathBuf;
use std::process::ExitCode;

use common::{Parsed, Run};
use exit::{Failure, MANNERS};
use ipfs_cluster::observe::Levels;
use place::Place;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let code = match common::show(common::parse(&commands::program(), &words), MANNERS) {
        Ok(run) => follow(&run),
        Err(code) => code,
    };
    ExitCode::from(code)
}

/// Runs what stands behind the program's own flags: nothing, or a cluster's name and a command.
fn follow(top: &Run) -> u8 {
    let base = PathBuf::from(top.globals.text("config"));
    let Some((name, words)) = top.arguments.split_first() else {
        show_all::run(&base);
        return 0;
    };
    if name == "help" || name == "h" {
        print!("{}", top.help);
        return 0;
    }
    // A follower may have any name.
    let is_free = Place::find(&base, name).is_err();
    if let ("completions", [shell]) = (name.as_str(), words)
        && is_free
        && let Some(script) = common::completions::script(&commands::completed(), shell)
    {
        print!("{script}");
        return 0;
    }
    if name == "man" && words.is_empty() && is_free {
        print!("{}", common::completions::manual(&commands::completed()));
        return 0;
    }
    if name == "sign" && is_free && !commands::is_command(words) {
        return signed(words);
    }
    let gateway = top.globals.text("gateway");
    let group = commands::cluster(name);
    let result = match common::parse(&group, words) {
        // Without a command, or with one that there is not, the peer is described.
        Parsed::NoCommand(_) | Parsed::UnknownCommand(..) => {
            Place::find(&base, name).and_then(|place| info::run(&place))
        }
        parsed @ (Parsed::Run(_) | Parsed::Help(_) | Parsed::Version(_) | Parsed::NoTopic(_) | Parsed::Misuse(_)) => {
            match common::show(parsed, MANNERS) {
                Ok(run) => dispatch(&base, name, gateway, &run),
                Err(code) => return code,
            }
        }
    };
    match result {
        Ok(()) => 0,
        Err(failure) => failure.print(),
    }
}

fn signed(words: &[String]) -> u8 {
    match common::show(common::parse(&commands::sign(), words), MANNERS) {
        Ok(run) => sign::run(&run).map_or_else(|failure| failure.print(), |()| 0),
        Err(code) => code,
    }
}

fn dispatch(base: &std::path::Path, name: &str, gateway: &str, run: &Run) -> Result<(), Failure> {
    if run.path == ["init"] {
        let source = run.arguments.first().ok_or(Failure::NoSource)?;
        let place = Place::any(base, name)?;
        return init::run(&place, &init::Source::of(source, gateway, &run.values)?);
    }
    if run.path == ["run"] {
        let place = Place::any(base, name)?;
        if let Some(source) = run.values.given("init") {
            init::run_unless_there(&place, &init::Source::of(source, gateway, &run.values)?)?;
        }
        let levels = Levels::parse("info,restapilog:error").map_err(Failure::Other)?;
        let log = common::start_logging(levels).map_err(Failure::Other)?;
        let place = Place::find(base, name)?;
        return run::run(&place, &budget::given(&place, &run.values)?, log);
    }
    let place = Place::find(base, name)?;
    if run.path == ["list"] { list::run(&place) } else { info::run(&place) }
}
