//! What every engine is, and the tables that it works on.
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{Cid, PeerId, Pin, Trust, UnixMillis};

/// A table of the pinset's database; `store/tables.rs` documents key, value and lifetime of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Format version, engine, epoch, digest, join marker, counters.
    Meta,
    /// Key of a CID -> its live entries, winner first.
    Pins,
    /// Actor -> its clock row.
    Clock,
    /// Actor -> the signed header of its last change.
    Tips,
    /// (number of the actor, seq) -> number of its application, envelope; since the floor.
    Changes,
    /// Number of application -> (number of the actor, seq).
    Applied,
    /// Actor -> fork point and the proof.
    Forked,
    /// (key, counter, actor) of removed entries above a fork point.
    Tombstones,
    /// (actor, seq) -> envelope of an untrusted author that waits for a trusted one above it.
    Stage,
    /// (timestamp, key) of each pin.
    ByCreated,
    /// (expiry, key) of the pins that expire.
    ByExpiry,
    /// (commit number, n) -> CID whose wish changed; an empty CID means all.
    News,
}

impl Table {
    /// Every table, in the order of the enum.
    pub const ALL: [Self; 12] = [
        Self::Meta,
        Self::Pins,
        Self::Clock,
        Self::Tips,
        Self::Changes,
        Self::Applied,
        Self::Forked,
        Self::Tombstones,
        Self::Stage,
        Self::ByCreated,
        Self::ByExpiry,
        Self::News,
    ];
}

/// Why rows could not be read or written: the transaction is lost, and the engine is opened again.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The storage failed.
    #[error("storage: {0}")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row does not decode: a damaged page or a foreign program.
    #[error("damaged row in {table:?}: {what}")]
    Damaged {
        /// Where it is.
        table: Table,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// What a scan calls with each key and value, until it breaks.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// The tables of one transaction, read.
pub trait ReadRows {
    /// Returns the value of `key`.
    ///
    /// # Errors
    /// [`RowsError::Storage`].
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError>;

    /// Calls `visit` with each row of `range` in key order, until it breaks. An empty `range.end` is no end.
    ///
    /// # Errors
    /// [`RowsError::Storage`].
    fn scan(&self, table: Table, range: Range<&[u8]>, visit: Visit<'_>) -> Result<(), RowsError>;

    /// As [`ReadRows::scan`], from the greatest key of `range` down.
    ///
    /// # Errors
    /// [`RowsError::Storage`].
    fn scan_back(&self, table: Table, range: Range<&[u8]>, visit: Visit<'_>) -> Result<(), RowsError>;
}

/// The tables of one transaction, read and written: redb in the daemon, a map in tests and simulation.
pub trait Rows: ReadRows {
    /// Sets the value of `key`.
    ///
    /// # Errors
    /// [`RowsError::Storage`].
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), RowsError>;

    /// Removes `key`, if it is there.
    ///
    /// # Errors
    /// [`RowsError::Storage`].
    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), RowsError>;
}

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
    /// Frames of a sync that we asked `peer` for, checked likewise.
    Frame {
        /// Who answered.
        peer: PeerId,
        /// The frame, checked by [`Check::frame`].
        frame: Checked,
    },
    /// A sync with `peer` ended, well or not; one that we closed need not be told.
    SyncEnded {
        /// With whom.
        peer: PeerId,
        /// Whether it reached its last frame.
        complete: bool,
    },
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
    /// Bytes it holds, for bounds.
    pub weight: usize,
    /// Ops it holds, for the batch's bound.
    pub ops: usize,
    /// The engine's own decoded form.
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

    /// Checks a frame that a sync which we asked for brought.
    ///
    /// # Errors
    /// Why the sync has to end.
    fn frame(&self, bytes: &[u8]) -> Result<Checked, Refused>;
}

/// One sync that a peer asked us for: frames of the asker in, our frames out.
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

/// Makes the answering side of syncs.
pub trait Answer: Send + Sync {
    /// A session for one stream that `peer` opened.
    fn session(&self, peer: PeerId) -> Box<dyn Session>;
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
    /// Open a sync stream to `peer` and begin with this frame.
    OpenSync {
        /// Whom to ask.
        peer: PeerId,
        /// The first frame.
        hello: Bytes,
    },
    /// A further frame on the sync stream that we opened to `peer`.
    Frame {
        /// Whom we asked.
        peer: PeerId,
        /// The frame.
        bytes: Bytes,
    },
    /// Close the sync stream that we opened to `peer`.
    CloseSync {
        /// Whom we asked.
        peer: PeerId,
    },
}

/// Something that an operator should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Two signed histories of one actor.
    Fork {
        /// Whose key signed both.
        peer: PeerId,
        /// The first seq that is refused.
        seq: u32,
    },
    /// A peer speaks another epoch.
    OtherEpoch {
        /// Which.
        peer: PeerId,
        /// Its epoch.
        epoch: u32,
    },
    /// A trusted peer has our clock and another digest.
    Divergence {
        /// Which.
        peer: PeerId,
    },
    /// An author's changes are not forwarded or not kept any more.
    OverRate {
        /// Which.
        peer: PeerId,
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
#[derive(Debug, Default)]
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

    /// The stream protocol of its syncs.
    fn protocol(&self) -> String;

    /// The stateless checks.
    fn check(&self) -> Arc<dyn Check>;

    /// The answering side of syncs.
    fn answer(&self) -> Arc<dyn Answer>;

    /// What it shows of itself now.
    fn summary(&self) -> Summary;

    /// Replaces the trust list; waiting changes are judged again at the next turn.
    fn trust(&mut self, trust: Trust);
}

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
}
