//! What every engine is, and what goes in and out of it.
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use super::notice::Notice;
use super::rows::{ReadRows, Rows, RowsError};
use crate::model::{Cid, PeerId, Pin, Trust, UnixMillis};
use crate::wire::glance::Glance;

/// Names a caller that waits for the answer to its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The winner of a key as somebody saw it; it changes with every write of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpId {
    /// Lamport counter.
    pub counter: u32,
    /// Who wrote it.
    pub actor: Vec<u8>,
}

/// What a user wishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Put this pin in the pinset.
    Pin(Box<Pin>),
    /// Take the pin of this CID out of it.
    Unpin(Cid),
}

impl Op {
    /// The CID that the wish is about.
    #[must_use]
    pub fn cid(&self) -> &Cid {
        match self {
            Self::Pin(pin) => &pin.cid,
            Self::Unpin(cid) => cid,
        }
    }
}

/// What the writer looked at when it decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It did not look: write in any case.
    Any,
    /// It saw this winner, or none; another one now makes the write [`WriteError::Stale`].
    Winner(Option<OpId>),
}

/// What a stream between two engines is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Talk {
    /// Who lacks what, and changes.
    Sync,
    /// A whole state.
    Snapshot,
}

impl Talk {
    /// Both, in the order of [`Engine::protocols`].
    pub const ALL: [Self; 2] = [Self::Sync, Self::Snapshot];
}

/// One input of a turn.
#[derive(Debug)]
pub enum Input {
    /// A local write.
    Write {
        /// Whom to answer.
        ticket: Ticket,
        /// What to write.
        op: Op,
        /// What the writer saw.
        seen: Seen,
    },
    /// Something that passed [`Check`]: a change, or a heartbeat.
    Checked {
        /// The neighbour that relayed it.
        from: PeerId,
        /// The checked message.
        item: Checked,
    },
    /// A frame on a stream that we opened to `peer`, checked likewise.
    Frame {
        /// Who answered.
        peer: PeerId,
        /// What the stream is for.
        talk: Talk,
        /// The frame, checked by [`Check::frame`].
        frame: Checked,
    },
    /// A stream that we opened to `peer` ended, well or not; one that we closed need not be told.
    Ended {
        /// With whom.
        peer: PeerId,
        /// What it was for.
        talk: Talk,
        /// Whether it reached its last frame.
        complete: bool,
    },
    /// A part of what a [`Survey`] found; [`None`] when it ended before its end.
    Found(Option<Part>),
    /// A stream to `peer` can be opened.
    PeerSeen(PeerId),
    /// It cannot any more.
    PeerGone(PeerId),
    /// Time has passed.
    Tick,
}

/// A message after its stateless check; only an engine looks inside.
#[derive(Debug)]
pub struct Checked {
    /// Who signed it; [`None`] for a frame, which its stream vouches for.
    pub signer: Option<PeerId>,
    /// The start of the signer that wrote it, when it is a change.
    pub start: Option<[u8; 8]>,
    /// Bytes it holds, for bounds.
    pub weight: usize,
    /// Ops it holds, for the batch's bound.
    pub ops: usize,
    /// The engine's own decoded form.
    pub body: Box<dyn std::any::Any + Send>,
}

/// A long read of the rows of one commit, which a turn asks for: beside the writer thread, at disk speed.
pub trait Survey: Send {
    /// Reads `rows` and gives away what it finds, part by part, until `give` breaks.
    ///
    /// # Errors
    /// [`RowsError`].
    fn run(
        self: Box<Self>,
        rows: &dyn ReadRows,
        give: &mut dyn FnMut(Part) -> ControlFlow<()>,
    ) -> Result<(), RowsError>;
}

/// A part of what a survey found; only an engine looks inside.
#[derive(Debug)]
pub struct Part {
    /// Bytes it holds, for bounds.
    pub weight: usize,
    /// The engine's own form.
    pub body: Box<dyn std::any::Any + Send>,
}

/// Why a message is refused before it reaches an engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Bytes that no honest peer sends: the sender pays for it.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// Of another epoch or version, which is no fault of the neighbour.
    #[error("foreign: {0}")]
    Foreign(&'static str),
    /// The decoder panicked, which is ours to mend.
    #[error("the decoder panicked")]
    Panicked,
}

/// The stateless checks of an engine, for the pool of workers beside the writer thread.
pub trait Check: Send + Sync {
    /// Checks a gossip message of `topic`, an index into [`Engine::topics`].
    ///
    /// # Errors
    /// Why it must not be forwarded.
    fn gossip(&self, topic: usize, bytes: &[u8]) -> Result<Checked, Refused>;

    /// Checks a frame that came on a stream which we opened.
    ///
    /// # Errors
    /// Why the stream has to end.
    fn frame(&self, talk: Talk, bytes: &[u8]) -> Result<Checked, Refused>;

    /// Returns the epoch that a peer of this cluster speaks if it listens to `topic`; [`None`] for other topics, and
    /// where an engine has no epochs.
    fn epoch_of(&self, _topic: &str) -> Option<u32> {
        None
    }
}

/// One stream that a peer opened to us: frames of the asker in, our frames out.
///
/// It lives as long as its stream; each [`Session::next`] is one short read transaction.
pub trait Session: Send {
    /// Takes a frame of the asker.
    ///
    /// # Errors
    /// Why the stream has to be closed.
    fn receive(&mut self, frame: &[u8]) -> Result<(), Refused>;

    /// Returns the next frame to send; [`None`] when it is the asker's turn, or all is said: see [`Session::done`].
    ///
    /// # Errors
    /// [`RowsError`].
    fn next(&mut self, rows: &dyn ReadRows) -> Result<Option<Bytes>, RowsError>;

    /// Returns whether nothing more will be said.
    fn done(&self) -> bool;
}

/// A copy of the whole pinset that is being made for a user.
pub trait Backup: Send {
    /// Works on; each call is one short read transaction.
    ///
    /// # Errors
    /// [`RowsError`].
    fn next(&mut self, rows: &dyn ReadRows) -> Result<BackupStep, RowsError>;
}

/// What a step of a backup brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupStep {
    /// The next bytes.
    Bytes(Bytes),
    /// Nothing yet: go on at once.
    Again,
    /// The state is being copied, or others are being lent to: go on after a while, and give the engine a turn.
    Later,
    /// A newer copy took its place: begin again.
    Gone,
    /// All is said.
    End,
}

/// Makes the answering side of streams.
pub trait Answer: Send + Sync {
    /// A session for one stream that `peer` opened.
    fn session(&self, peer: PeerId, talk: Talk) -> Box<dyn Session>;

    /// A copy of the pinset with all that is applied now, when this engine can make one.
    fn backup(&self) -> Option<Box<dyn Backup>>;
}

/// A sending that a turn asks for; it leaves after the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sending {
    /// Publish on the topic of this index.
    Gossip {
        /// Index into [`Engine::topics`].
        topic: usize,
        /// The payload.
        bytes: Bytes,
    },
    /// Open a stream to `peer` and begin with this frame.
    Open {
        /// Whom to ask.
        peer: PeerId,
        /// What for.
        talk: Talk,
        /// The first frame.
        hello: Bytes,
    },
    /// A further frame on the stream that we opened to `peer`.
    Frame {
        /// Whom we asked.
        peer: PeerId,
        /// What for.
        talk: Talk,
        /// The frame.
        bytes: Bytes,
    },
    /// Close the stream that we opened to `peer`.
    Close {
        /// Whom we asked.
        peer: PeerId,
        /// What for.
        talk: Talk,
    },
}

/// Why a write was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The winner moved since the writer looked.
    #[error("the pin changed meanwhile")]
    Stale,
    /// Nothing to unpin.
    #[error("pin is not part of the pinset")]
    NotFound,
    /// One record is larger than [`MAX_RECORD`].
    #[error("the pin record is {size} bytes, and {MAX_RECORD} are allowed: shorten its name, metadata or origins")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// The op space of the epoch is used up.
    #[error("the epoch's operations are used up: make a new one with `ipfs-cluster-service state new-epoch`")]
    EpochFull,
}

/// Greatest size of one pin record in bytes.
pub const MAX_RECORD: usize = 16 * 1024;

/// What a turn asks of its shell, after the commit.
#[derive(Default)]
pub struct Turn {
    /// What to send.
    pub sends: Vec<Sending>,
    /// Whom to answer: the pin as written, or as it was before it was removed.
    pub answers: Vec<(Ticket, Result<Pin, WriteError>)>,
    /// Whose wish changed; the rows are in [`Table::News`] already.
    pub news: usize,
    /// What to tell the operator.
    pub notices: Vec<Notice>,
    /// Counters that moved, by name, for metrics.
    pub counts: Vec<(&'static str, u64)>,
    /// When [`Input::Tick`] is wanted at the latest.
    pub tick_at: Option<UnixMillis>,
    /// What to read of the rows that this turn commits; it takes the place of one that is under way.
    pub survey: Option<Box<dyn Survey>>,
}

/// The clocks of one turn.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Wall clock, shown to others and never believed.
    pub wall: UnixMillis,
    /// Milliseconds on a clock that never goes back.
    pub mono: u64,
}

/// What an engine shows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Pins in the pinset.
    pub entries: u64,
    /// Hash of the clock.
    pub clock_hash: [u8; 32],
    /// Hash of the digest.
    pub digest_hash: [u8; 32],
    /// Changes that wait in memory.
    pub pending: usize,
    /// Changes that wait on disk.
    pub staged: usize,
    /// Whether every peer that spoke lately has our clock.
    pub in_sync: bool,
    /// Since when that is not so.
    pub behind_since: Option<UnixMillis>,
    /// When a trusted peer was heard last since the start.
    pub trusted_at: Option<UnixMillis>,
    /// Whether the keys of a joined state still follow.
    pub joining: bool,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Actors that signed two histories.
    pub forks: usize,
    /// When the snapshot was made or fetched that others may have.
    pub snapshot: Option<UnixMillis>,
}

/// Merges changes into the pinset. Equal rows and equal inputs give equal rows and equal turns.
pub trait Engine: Send {
    /// Takes one transaction's worth of inputs.
    ///
    /// # Errors
    /// [`RowsError`]: the transaction is dropped and the engine is opened again from rows.
    fn turn(&mut self, inputs: Vec<Input>, now: Now, rows: &mut dyn Rows) -> Result<Turn, RowsError>;

    /// The gossip topics, by the index that [`Check::gossip`] and [`Sending::Gossip`] use.
    fn topics(&self) -> Vec<String>;

    /// The stream protocols, in the order of [`Talk::ALL`].
    fn protocols(&self) -> [String; 2];

    /// The stateless checks.
    fn check(&self) -> Arc<dyn Check>;

    /// The answering side of streams.
    fn answer(&self) -> Arc<dyn Answer>;

    /// What it shows of itself now.
    fn summary(&self) -> Summary;

    /// Replaces the trust list; waiting changes are judged again at the next turn.
    fn trust(&mut self, trust: Trust);
}

/// Keys of the pinset after one and before another, in the order of [`Pinset::page`]; an empty one is no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The key before the first.
    pub after: Vec<u8>,
    /// The key after the last.
    pub until: Vec<u8>,
}

/// Says of a record at a glance whether its pin may be one that is looked for.
pub type Sieve<'a> = &'a dyn Fn(&Glance<'_>) -> bool;

/// What a pin that is read whole counts for, in rows that are passed over at a glance.
pub const WHOLE: usize = 16;

/// Reads the pinset; short transactions, off the writer thread.
pub trait Pinset: Send + Sync {
    /// Returns the place of `cid` in the order of [`Pinset::page`].
    fn key(&self, cid: &Cid) -> Vec<u8>;

    /// Returns the winner of `cid` and its id.
    ///
    /// # Errors
    /// [`RowsError`].
    fn get(&self, cid: &Cid, rows: &dyn ReadRows) -> Result<Option<(Pin, OpId)>, RowsError>;

    /// Returns at most `limit` pins after the cursor in key order, and the next cursor; [`None`] at the end.
    ///
    /// # Errors
    /// [`RowsError`].
    fn page(
        &self,
        after: Option<&[u8]>,
        limit: usize,
        rows: &dyn ReadRows,
    ) -> Result<(Vec<Pin>, Option<Vec<u8>>), RowsError>;

    /// Returns the pins whose expiry is before `before`, at most `limit` after the cursor, and the next cursor.
    ///
    /// # Errors
    /// [`RowsError`].
    fn expired(
        &self,
        before: UnixMillis,
        after: Option<&[u8]>,
        limit: usize,
        rows: &dyn ReadRows,
    ) -> Result<(Vec<Pin>, Option<Vec<u8>>), RowsError>;

    /// Returns spans that are all keys together, for reading beside each other.
    fn parts(&self) -> Vec<Span> {
        vec![Span::default()]
    }

    /// Returns pins of `span` in key order, and what is left of it; [`None`] at the end.
    ///
    /// Every pin is among them that `sieve` says yes to, and others may be: the caller judges what it gets. It reads at most
    /// so many `rows`; a pin that is read whole counts for [`WHOLE`].
    ///
    /// # Errors
    /// [`RowsError`].
    fn sift(
        &self,
        span: &Span,
        rows: usize,
        sieve: Sieve<'_>,
        tables: &dyn ReadRows,
    ) -> Result<(Vec<Pin>, Option<Span>), RowsError> {
        let _ = sieve;
        let after = Some(&span.after[..]).filter(|after| !after.is_empty());
        let (mut pins, next) = self.page(after, rows.div_ceil(WHOLE), tables)?;
        let is_within = |key: &[u8]| span.until.is_empty() || key < &span.until[..];
        pins.retain(|pin| is_within(&self.key(&pin.cid)));
        Ok((pins, next.filter(|key| is_within(key)).map(|after| Span { after, ..span.clone() })))
    }
}
