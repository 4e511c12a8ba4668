//! `ipfs-cluster-ctl`: asks a peer over its REST API.
#[path = "../common/mod.rs"]
mod common;

mod commands;
mod doctor;
mod events;
mod exit;
mod globals;
mod health;
mod output;
mod peers;
mod pin;
mod snapshot;
mod status;

use std::process::ExitCode;

use common::{Manners, Parsed, Run, parse, show};
use exit::Failure;
use globals::Globals;
use ipfs_cluster::model::Probe;
use output::Output;

/// How the program ends when it is not used as it should be.
const MANNERS: Manners = Manners { no_command: 0, misuse: 1, unknown_command: None };

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let program = commands::program();
    if words == ["man"] {
        print!("{}", common::completions::manual(&program));
        return ExitCode::SUCCESS;
    }
    let parsed = parse(&program, &words);
    if let Parsed::UnknownCommand(word, _) = &parsed
        && word == "commands"
    {
        print!("{}", commands::list(&program));
        return ExitCode::SUCCESS;
    }
    let run = match show(parsed, MANNERS) {
        Ok(run) => run,
        Err(code) => return code.into(),
    };
    if run.path == ["completions"] {
        return completions(&program, &run);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error : cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(perform(&run)).into()
}

fn completions(program: &common::Command, run: &Run) -> ExitCode {
    let shell = run.arguments.first().map_or("", String::as_str);
    let Some(script) = common::completions::script(program, shell) else {
        let fault = format!("name a shell: {}", common::completions::SHELLS);
        eprintln!("{}", Failure::argument("printing completions", &fault));
        return ExitCode::FAILURE;
    };
    print!("{script}");
    ExitCode::SUCCESS
}

/// Runs a command; returns the exit code.
async fn perform(run: &Run) -> u8 {
    let globals = match Globals::read(&run.globals) {
        Ok(globals) => globals,
        Err(failure) => return Output::new(false).tell(&failure),
    };
    let mut output = Output::new(globals.json);
    let done = dispatch(run, &globals, &mut output).await;
    let done = done.and_then(|()| output.flush().map_err(Failure::from));
    match done {
        Ok(()) => 0,
        Err(failure) => output.tell(&failure),
    }
}

async fn dispatch(run: &Run, globals: &Globals, output: &mut Output) -> Result<(), Failure> {
    let path: Vec<&str> = run.path.iter().map(String::as_str).collect();
    let client = &globals.client;
    match path.as_slice() {
        ["id"] => output.show(&client.id().await?),
        ["version"] => peers::version(client, output).await,
        ["peers", "ls"] => peers::list(client, output).await,
        ["peers", "rm"] => peers::remove(client, run).await,
        ["peers", "drain"] => peers::drain(client, run, output).await,
        ["rebalance"] => peers::rebalance(client, run, output).await,
        ["pin", "add"] => pin::add(client, run, output).await,
        ["pin", "rm"] => pin::remove(client, run, output).await,
        ["pin", "update"] => pin::update(client, run, output).await,
        ["pin", "ls"] => pin::list(client, run, output).await,
        ["status"] => status::status(client, run, output).await,
        ["recover"] => status::recover(client, run, output).await,
        ["health", "metrics"] => health::metrics(client, run, output).await,
        ["health", "graph"] => health::graph(client, run, output).await,
        ["health", "bandwidth"] => output.show(&client.bandwidth().await?),
        ["ipfs", "gc"] => output.show(&client.gc(run.values.is_on("local")).await?),
        ["health", "alerts"] => health::alerts(client, output).await,
        ["health", "replication"] => output.show(&client.replication().await?),
        ["doctor"] => doctor::run(client, &run.globals, output).await,
        ["events"] => events::follow(client, run, output).await,
        ["health", "live"] => health::probe(client, Probe::Live, output).await,
        ["health", "ready"] => health::probe(client, Probe::Ready, output).await,
        ["health", "synced"] => health::probe(client, Probe::Synced, output).await,
        ["health", "pins"] => output.show(&client.pin_counts().await?),
        ["log", "level"] => health::log_level(client, run, output).await,
        ["snapshot", "save"] => snapshot::save(client, run).await,
        other => Err(Failure::Unavailable(other.join(" "))),
    }
}
