//! One turn of the engine in one transaction, and what leaves after its commit.
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use tokio::sync::mpsc;

use super::failure::Failure;
use crate::crdt::{Engine, Input, Notice, Now, ReadRows, Rows, RowsError, Sending, Table, Talk, Turn};
use crate::model::PeerId;
use crate::store::PinsetDb;

/// Rows of news that one turn removes at most, so that a long list costs no caller more than a few milliseconds.
const TRIM_MAX: usize = 4_096;

/// Something that leaves this peer, or this thread, after a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// To other peers.
    Sending(Sending),
    /// To the operator.
    Notice(Notice),
    /// How much counters moved, by name.
    Counts(Vec<(&'static str, u64)>),
}

/// A turn that is on disk.
pub(super) struct Committed {
    pub turn: Turn,
    /// The last commit number that has news.
    pub news: u64,
    /// Whether the news worked off are all removed.
    pub trimmed: bool,
}

/// Runs one turn and commits it; removes news at or below `worked_off` in the same transaction.
pub(super) fn commit(
    db: &PinsetDb,
    engine: &mut dyn Engine,
    inputs: Vec<Input>,
    now: Now,
    worked_off: Option<u64>,
) -> Result<Committed, Failure> {
    db.write(|rows| {
        let turn = engine.turn(inputs, now, rows)?;
        let news = if turn.news > 0 { last_news(rows)? } else { 0 };
        let trimmed = worked_off.map_or(Ok(true), |commit| trim(rows, commit))?;
        Ok(Committed { turn, news, trimmed })
    })
}

/// The number of the last commit that had news; 0 is none.
pub(super) fn last_news(rows: &dyn ReadRows) -> Result<u64, RowsError> {
    let mut last = Ok(0);
    rows.scan_back(Table::News, &[]..&[], &mut |key, _| {
        last = news_key(key).map(|(commit, _)| commit);
        ControlFlow::Break(())
    })?;
    last
}

/// The commit number and the count in it that a key of [`Table::News`] holds.
pub(super) fn news_key(key: &[u8]) -> Result<(u64, u32), RowsError> {
    let damaged = RowsError::Damaged { table: Table::News, what: "the key is not 12 bytes" };
    let (commit, n) = key.split_first_chunk::<8>().ok_or(damaged)?;
    let damaged = |_| RowsError::Damaged { table: Table::News, what: "the key is not 12 bytes" };
    Ok((u64::from_be_bytes(*commit), u32::from_be_bytes(n.try_into().map_err(damaged)?)))
}

/// Removes the news at or below `commit`; those of the last commit stay, which tell its number to the next start.
/// Returns whether all are removed.
fn trim(rows: &mut dyn Rows, commit: u64) -> Result<bool, RowsError> {
    let end = commit.saturating_add(1).min(last_news(rows)?).to_be_bytes();
    let mut keys = Vec::new();
    rows.scan(Table::News, &[]..&end, &mut |key, _| {
        keys.push(key.to_vec());
        if keys.len() < TRIM_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    for key in &keys {
        rows.remove(Table::News, key)?;
    }
    Ok(keys.len() < TRIM_MAX)
}

/// The way out of the writer thread: bounded, and what finds it full is dropped and counted.
pub(super) struct Exit {
    outbound: mpsc::Sender<Outbound>,
    counts: BTreeMap<&'static str, u64>,
    /// Streams that the engine asked for.
    streams: BTreeSet<(PeerId, Talk)>,
}

impl Exit {
    pub const fn new(outbound: mpsc::Sender<Outbound>) -> Self {
        Self { outbound, counts: BTreeMap::new(), streams: BTreeSet::new() }
    }

    pub fn count(&mut self, name: &'static str, n: u64) {
        if n > 0 {
            *self.counts.entry(name).or_default() += n;
        }
    }

    /// Sends what a turn asked for; returns the streams that cannot go on, because a frame of theirs was dropped.
    pub fn send(&mut self, sends: Vec<Sending>, notices: Vec<Notice>) -> BTreeSet<(PeerId, Talk)> {
        let mut broken = BTreeSet::new();
        for sending in sends {
            let stream = match &sending {
                Sending::Open { peer, talk, .. } | Sending::Frame { peer, talk, .. } => Some((*peer, *talk)),
                Sending::Close { .. } | Sending::Gossip { .. } => None,
            };
            match &sending {
                Sending::Open { peer, talk, .. } => drop(self.streams.insert((*peer, *talk))),
                Sending::Close { peer, talk } => drop(self.streams.remove(&(*peer, *talk))),
                Sending::Frame { .. } | Sending::Gossip { .. } => (),
            }
            if self.outbound.try_send(Outbound::Sending(sending)).is_err() {
                self.count("pinset_sends_dropped", 1);
                broken.extend(stream);
            }
        }
        for notice in notices {
            if self.outbound.try_send(Outbound::Notice(notice)).is_err() {
                self.count("pinset_notices_dropped", 1);
            }
        }
        self.send_counts();
        broken
    }

    /// A stream ended at the other side.
    pub fn ended(&mut self, peer: PeerId, talk: Talk) {
        self.streams.remove(&(peer, talk));
    }

    /// Closes every stream: the engine that asked for them is gone.
    pub fn close_all(&mut self) {
        let streams = std::mem::take(&mut self.streams);
        self.send(streams.into_iter().map(|(peer, talk)| Sending::Close { peer, talk }).collect(), Vec::new());
    }

    fn send_counts(&mut self) {
        if self.counts.is_empty() {
            return;
        }
        let counts = self.counts.iter().map(|(name, n)| (*name, *n)).collect();
        if self.outbound.try_send(Outbound::Counts(counts)).is_ok() {
            self.counts.clear();
        }
    }
}
