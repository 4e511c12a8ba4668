//! What callers ask of the writer thread, and how much of it one turn takes.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::Span;

use crate::cluster::Error;
use crate::crdt::{Input, Op, Seen, Ticket};
use crate::model::{Pin, Trust};

/// Inputs, or ops in them, that one turn takes: more would make everybody wait for one commit.
pub(super) const OPS_MAX: usize = 10_000;

/// Bytes that one turn takes, because a transaction's pages stay in memory until its commit.
pub(super) const BYTES_MAX: u64 = 16 << 20;

/// How long one turn gathers inputs at most, while they keep coming.
pub(super) const GATHER_MAX: Duration = Duration::from_millis(20);

/// Bytes of rows that a write makes beside what its pin holds: key, clock, log and index rows.
const OP_OVERHEAD_BYTES: u64 = 512;

/// Where a caller waits for its answer.
pub(super) type Reply = oneshot::Sender<Result<Pin, Error>>;

/// What callers ask of the writer thread.
pub(super) enum Command {
    /// Make a local write and answer it, as a part of the span.
    Write { op: Op, seen: Seen, reply: Reply, span: Span },
    /// Take an input that nobody waits for.
    Take { input: Input },
    /// Believe these from the next turn on.
    Trust(Trust),
    /// A read of this opening failed: open again.
    ReadFailed { opening: u64, error: String },
}

/// The inputs of one turn, and who waits for their answers.
#[derive(Default)]
pub(super) struct Batch {
    pub inputs: Vec<Input>,
    pub replies: BTreeMap<Ticket, Reply>,
    /// Of writes that are traced: each sees the turn as its own.
    pub spans: Vec<Span>,
    /// Bytes of rows that it is expected to write.
    pub bytes: u64,
    ops: usize,
    next_ticket: u64,
}

impl Batch {
    /// Adds a write; the ticket is the batch's own.
    pub fn write(&mut self, op: Op, seen: Seen, reply: Reply, span: Span) {
        if !span.is_disabled() {
            self.spans.push(span);
        }
        let ticket = self.ticket();
        self.bytes += op_bytes(&op);
        self.ops += 1;
        self.replies.insert(ticket, reply);
        self.inputs.push(Input::Write { ticket, op, seen });
    }

    /// Adds an input that nobody waits for. A write among them is [`Command::Write`]'s, with its own ticket.
    pub fn take(&mut self, input: Input) {
        self.bytes += weight(&input);
        self.ops += match &input {
            Input::Checked { item: checked, .. } | Input::Frame { frame: checked, .. } => checked.ops.max(1),
            Input::Write { .. }
            | Input::Ended { .. }
            | Input::Found(_)
            | Input::PeerSeen(_)
            | Input::PeerGone(_)
            | Input::Tick => 1,
        };
        self.inputs.push(input);
    }

    /// Returns whether the turn is to begin, if it gathers since `since`.
    pub fn is_full(&self, since: Instant, now: Instant) -> bool {
        self.ops >= OPS_MAX || self.bytes >= BYTES_MAX || now.saturating_duration_since(since) >= GATHER_MAX
    }

    /// Answers everybody who waits with an error.
    pub fn refuse(&mut self, error: impl Fn() -> Error) {
        for (_, reply) in std::mem::take(&mut self.replies) {
            let _ = reply.send(Err(error()));
        }
    }

    /// Takes out what makes rows; returns how many merges were left out. Sync brings them again.
    pub fn only_signals(&mut self) -> u64 {
        let before = self.inputs.len();
        self.inputs.retain(|input| !matches!(input, Input::Write { .. } | Input::Checked { .. } | Input::Frame { .. }));
        for input in &mut self.inputs {
            match input {
                Input::Ended { complete, .. } => *complete = false,
                // Without one of its parts a survey is nothing.
                Input::Found(part) => *part = None,
                Input::Write { .. }
                | Input::Checked { .. }
                | Input::Frame { .. }
                | Input::PeerSeen(_)
                | Input::PeerGone(_)
                | Input::Tick => (),
            }
        }
        self.bytes = 0;
        (before - self.inputs.len()) as u64
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }
}

/// Bytes that an input holds: what the queue's bound and the space check count.
pub(super) fn weight(input: &Input) -> u64 {
    match input {
        Input::Write { op, .. } => op_bytes(op),
        Input::Checked { item: checked, .. } | Input::Frame { frame: checked, .. } => checked.weight as u64,
        Input::Found(part) => part.as_ref().map_or(0, |part| part.weight as u64),
        Input::Ended { .. } | Input::PeerSeen(_) | Input::PeerGone(_) | Input::Tick => 0,
    }
}

fn op_bytes(op: &Op) -> u64 {
    let held = match op {
        Op::Pin(pin) => {
            let metadata: usize = pin.metadata.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
            let origins: usize = pin.origins.iter().map(|origin| origin.len() + 4).sum();
            pin.name.len() + metadata + origins + pin.allocations.len() * 48
        }
        Op::Unpin(_) => 0,
    };
    OP_OVERHEAD_BYTES + held as u64
}
