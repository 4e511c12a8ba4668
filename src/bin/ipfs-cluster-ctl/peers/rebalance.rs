//! `rebalance`: moves copies to peers that have room.
use futures::StreamExt;
use indicatif::ProgressBar;
use ipfs_cluster::client::{Client, Error};
use ipfs_cluster::config::parse_size;
use ipfs_cluster::wire::rest::rebalance::{Rebalanced, Shift};

use super::super::common::Run;
use super::super::common::human::{progress, size};
use super::super::exit::Failure;
use super::super::output::Output;

/// Prints each move as it is made, or would be, and what came of it.
pub async fn run(client: &Client, run: &Run, output: &mut Output) -> Result<(), Failure> {
    let max_bytes = run.values.given("max-bytes").map(parse_size).transpose();
    let max_bytes = max_bytes.map_err(|error| Failure::argument("reading --max-bytes", &error))?;
    let is_dry = run.values.is_on("dry-run");
    let mut lines = client.rebalance(is_dry, max_bytes).await.map_err(too_old)?;
    let mut told = Progress::new();
    while let Some(line) = lines.next().await {
        let line = line?;
        if let Rebalanced::Moved(shift) = &line {
            told.count(shift);
        }
        told.bar.suspend(|| output.show(&line).and_then(|()| Ok(output.flush()?)))?;
    }
    Ok(())
}

/// Go's peers and older ones have no such route.
fn too_old(error: Error) -> Error {
    match error.code {
        404 => Error { message: "this peer cannot rebalance: its version does not know how".into(), ..error },
        _ => error,
    }
}

/// On a terminal, what has moved.
struct Progress {
    bar: ProgressBar,
    bytes: u64,
}

impl Progress {
    fn new() -> Self {
        Self { bar: progress("{spinner} {elapsed} {pos} copies, {msg}"), bytes: 0 }
    }

    fn count(&mut self, shift: &Shift) {
        self.bytes = self.bytes.saturating_add(shift.bytes.unwrap_or(0));
        self.bar.inc(1);
        self.bar.set_message(format!("{} of known size", size(self.bytes)));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_knows_no_such_thing_is_told_by_its_fault() {
        let told = |code| too_old(Error::new(code, "not found"));
        assert_eq!((told(404).code, told(500).message.as_str()), (404, "not found"));
        assert!(told(404).message.contains("its version does not know how"));
    }
}
