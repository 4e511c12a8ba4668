//! `peers drain`.
use std::time::Duration;

use indicatif::ProgressBar;
use ipfs_cluster::client::Client;
use ipfs_cluster::model::{Draining, PeerId};
use ipfs_cluster::task;
use ipfs_cluster::wire::rest::Drain;

use super::super::common::Run;
use super::super::common::human::progress;
use super::super::exit::Failure;
use super::super::output::Output;

/// How often it is asked how far the peer is.
const POLL: Duration = Duration::from_secs(1);

/// Of the time no more than one part in so many is the peer busy with answering: it looks through the whole pinset.
const REST: u32 = 4;

/// Begins or ends to drain a peer, waits if that is wanted, and prints how far it is.
pub async fn drain(client: &Client, peer: PeerId, run: &Run, output: &mut Output) -> Result<(), Failure> {
    let is_undone = run.values.is_on("undo");
    let drain = client.drain(peer, if is_undone { Draining::End } else { Draining::Begin }).await?;
    let drain = if run.values.is_on("wait") && !is_undone { wait(client, peer, drain).await? } else { drain };
    output.show(&drain)
}

async fn wait(client: &Client, peer: PeerId, mut drain: Drain) -> Result<Drain, Failure> {
    let mut line = Progress::new();
    let mut pause = POLL;
    loop {
        line.show(&drain);
        if drain.is_done() {
            return Ok(drain);
        }
        if !drain.leaving {
            return Err(Failure::Undone(drain.peer));
        }
        tokio::time::sleep(pause).await;
        let asked = task::now();
        drain = client.drain(peer, Draining::Look).await?;
        pause = POLL.max(task::now().duration_since(asked) * REST);
    }
}

/// On a terminal, what is gone of the most that was there.
struct Progress {
    bar: ProgressBar,
    most: u64,
}

impl Progress {
    fn new() -> Self {
        Self { bar: progress("{spinner} {wide_bar} {pos}/{len} {msg}"), most: 0 }
    }

    fn show(&mut self, drain: &Drain) {
        let left = drain.pins_left + drain.pins_kept;
        self.most = self.most.max(left);
        self.bar.set_length(self.most);
        self.bar.set_position(self.most - left);
        self.bar.set_message(format!("{} to move, {} kept until others have them", drain.pins_left, drain.pins_kept));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
