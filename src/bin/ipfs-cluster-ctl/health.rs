//! `health`.
mod dot;

use dot::dot;
use ipfs_cluster::client::Client;
use ipfs_cluster::model::Probe;
use ipfs_cluster::wire::rest::io_words;

use super::common::Run;
use super::exit::Failure;
use super::output::Output;

pub async fn metrics(client: &Client, run: &Run, output: &mut Output) -> Result<(), Failure> {
    match run.arguments.first() {
        Some(name) => output.show_list(&client.metrics(name).await?),
        None => output.show_list(&client.metric_names().await?),
    }
}

pub async fn alerts(client: &Client, output: &mut Output) -> Result<(), Failure> {
    output.show_list(&client.alerts().await?)
}

/// Draws who is connected with whom, to a file or to stdout; DOT whatever the encoding.
pub async fn graph(client: &Client, run: &Run, output: &mut Output) -> Result<(), Failure> {
    let drawing = dot(&client.graph().await?, run.values.is_on("all-ipfs-peers"));
    match run.values.given("file").filter(|file| !file.is_empty()) {
        Some(file) => std::fs::write(file, drawing)
            .map_err(|error| Failure::argument("creating output file", &format!("open {file}: {}", io_words(&error)))),
        None => output.write(&drawing),
    }
}

/// Prints what the peer answers to a probe; an answer that is no ends the program with 1, as probes expect.
pub async fn probe(client: &Client, probe: Probe, output: &mut Output) -> Result<(), Failure> {
    let answer = client.probe(probe).await?;
    if output.is_json() {
        output.show(&answer)?;
    } else {
        output.show(&answer.message)?;
    }
    if answer.code == 200 { Ok(()) } else { Err(Failure::Unwell) }
}

/// Prints the levels of the peer's log, after it set one when one is given.
pub async fn log_level(client: &Client, run: &Run, output: &mut Output) -> Result<(), Failure> {
    let words: Vec<&str> = run.arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => output.show(&client.log_levels().await?),
        [level] => output.show(&client.set_log_level("all", level).await?),
        [component, level, ..] => output.show(&client.set_log_level(component, level).await?),
    }
}
