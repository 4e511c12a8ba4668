//! A snapshot as a file: the hot backup that a peer makes, and that a new one can start from.
//!
//! Magic, then the manifest after its length (4 bytes, little endian), then each packed frame after its length, in the order
//! of the manifest. What is cut off is seen by what is missing.
use super::believe::{Belief, believe};
use super::builds;
use super::lend::{Lending, Lends};
use super::verify::{Reading, Verdict};
use crate::crdt::automerge::formats::clock::Hash;
use crate::crdt::automerge::formats::snapshot::frame;
use crate::crdt::automerge::formats::snapshot::lend::{Ask, Gathering, Lent, WINDOW};
use crate::crdt::automerge::formats::snapshot::manifest::{Core, MANIFEST_MAX, Manifest};
use crate::crdt::automerge::tables::join::{self, Believed};
use crate::crdt::automerge::tables::shelf;
use crate::crdt::automerge::tables::state::{OpenError, State};
use crate::crdt::{Backup, BackupStep, ReadRows, Refused, Rows, RowsError, Session};
use crate::model::{PeerId, Trust, UnixMillis};

/// What every file begins with.
pub const MAGIC: [u8; 8] = *b"ipfscsn\x01";

/// Greatest frame in a file, packed: what does not pack grows a little.
pub const FRAME_MAX: usize = frame::PLAIN_MAX + frame::PLAIN_MAX / 128;

/// A backup that is being made, of a state that holds all that was applied when it began.
pub struct Saving {
    lending: Lending,
    epoch: u32,
    manifest: Gathering,
    whole: Option<(Hash, u32)>,
    asked: u32,
    frame: Gathering,
    said: u32,
}

impl Saving {
    /// A backup from the peer of `lends`.
    pub fn new(epoch: u32, lends: Lends) -> Self {
        let (manifest, frame) = (Gathering::default(), Gathering::default());
        Self { lending: Lending::new(epoch, lends), epoch, manifest, whole: None, asked: 0, frame, said: 0 }
    }

    /// Asks for the frames that follow, when nothing is on its way any more.
    fn ask(&mut self) -> Result<(), Refused> {
        let ask = match self.whole {
            None => Ask::Manifest { epoch: self.epoch, fresh: true },
            Some((id, frames)) => {
                let end = frames.min(self.asked + u32::try_from(WINDOW).unwrap_or(1));
                let places = (self.asked..end).collect();
                self.asked = end;
                Ask::Frames { id, places }
            }
        };
        self.lending.receive(&ask.encode())
    }

    fn is_done(&self) -> bool {
        self.whole.is_some_and(|(_, frames)| self.said == frames)
    }

    fn take(&mut self, lent: Lent) -> Result<BackupStep, Refused> {
        match lent {
            Lent::Manifest(piece) => {
                let Some(bytes) = self.manifest.add(&piece)? else { return Ok(BackupStep::Again) };
                let core = Manifest::decode(&bytes)?.core;
                self.whole = Some((core.id(), u32::try_from(core.frames.len()).unwrap_or(u32::MAX)));
                Ok(BackupStep::Bytes([&MAGIC[..], &sized(&bytes)].concat().into()))
            }
            Lent::Frame { piece, .. } => {
                let Some(bytes) = self.frame.add(&piece)? else { return Ok(BackupStep::Again) };
                self.said += 1;
                Ok(BackupStep::Bytes(sized(&bytes).into()))
            }
            Lent::Later { .. } => Ok(BackupStep::Later),
            Lent::Nothing => Ok(BackupStep::Gone),
        }
    }
}

impl Backup for Saving {
    fn next(&mut self, rows: &dyn ReadRows) -> Result<BackupStep, RowsError> {
        if self.is_done() {
            return Ok(BackupStep::End);
        }
        let mut said = self.lending.next(rows)?;
        if said.is_none() {
            self.ask().map_err(|_| damaged("backup"))?;
            said = self.lending.next(rows)?;
        }
        let Some(bytes) = said else { return Ok(BackupStep::Later) };
        Lent::decode(&bytes).and_then(|lent| self.take(lent)).map_err(|_| damaged("backup"))
    }
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a manifest or frame is far below 4 GiB");
    [&length.to_le_bytes()[..], bytes].concat()
}

const fn damaged(what: &'static str) -> RowsError {
    RowsError::Damaged { table: crate::crdt::Table::Snapshots, what }
}

/// Why a file is not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It is something else, or cut off, or changed.
    #[error("the file is no whole snapshot: {0}")]
    Broken(&'static str),
    /// Its manifest is not believed.
    #[error(
        "the snapshot is not believed: {0}; it has to be of this cluster and epoch, and attested by a trusted peer"
    )]
    NotBelieved(Refused),
    /// The store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The rows.
    #[error(transparent)]
    Rows(#[from] RowsError),
}

/// What a snapshot is restored for.
pub struct RestoreArgs {
    /// The epoch.
    pub epoch: u32,
    /// The cluster's name.
    pub cluster_name: String,
    /// This peer, which trusts itself.
    pub own: PeerId,
    /// Whose attestations count.
    pub trust: Trust,
    /// The wall clock.
    pub now: UnixMillis,
}

/// A snapshot that is restored into an empty store, some rows a transaction.
pub struct Restoring {
    state: State,
    generation: u64,
    core: Core,
    belief: Option<Belief>,
    next: u32,
    reading: Reading,
    args: RestoreArgs,
}

impl Restoring {
    /// Begins with the bytes of the manifest.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn begin(manifest: &[u8], args: RestoreArgs, rows: &mut dyn Rows) -> Result<Self, RestoreError> {
        if manifest.len() > MANIFEST_MAX {
            return Err(RestoreError::Broken("its manifest is too large"));
        }
        let manifest = Manifest::decode(manifest).map_err(RestoreError::NotBelieved)?;
        let trusts = |peer: &PeerId| args.trust.trusts(&args.own, peer);
        let belief = believe(&manifest, args.epoch, &args.cluster_name, trusts).map_err(RestoreError::NotBelieved)?;
        let mut state = State::open(args.epoch, rows)?;
        let generation = state.shelf.begin_incoming(&manifest, rows)?;
        let core = manifest.core;
        let reading = Reading::of(&core, generation);
        Ok(Self { state, generation, core, belief: Some(belief), next: 0, reading, args })
    }

    /// Frames that the file has.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.core.frames.len()
    }

    /// Pins that the file has.
    #[must_use]
    pub const fn pins(&self) -> u64 {
        self.core.pins
    }

    /// Takes the next packed frame.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn frame(&mut self, packed: &[u8], rows: &mut dyn Rows) -> Result<(), RestoreError> {
        let info =
            self.core.frames.get(self.next as usize).ok_or(RestoreError::Broken("it has more than its frames"))?;
        let plain = frame::unpack(packed).map_err(|_| RestoreError::Broken("a frame does not unpack"))?;
        if frame::hash(&plain) != info.hash {
            return Err(RestoreError::Broken("a frame is not what the manifest says"));
        }
        shelf::put_frame(self.generation, self.next, packed, rows)?;
        self.next += 1;
        Ok(())
    }

    /// Works on when all frames are there; returns whether there is more to do.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn step(&mut self, rows: &mut dyn Rows) -> Result<bool, RestoreError> {
        if (self.next as usize) < self.core.frames.len() {
            return Err(RestoreError::Broken("frames are missing at its end"));
        }
        if self.state.joining.is_some() {
            let joined = join::step(join::KEYS_MAX, &mut self.state, rows)?;
            if let Some(joined) = &joined {
                self.state.shelf.serve_incoming(builds::served(joined, self.args.now), rows)?;
            }
            self.state.flush(self.args.now, rows)?;
            return Ok(joined.is_none());
        }
        match self.reading.step(&self.core, |_| true, rows)? {
            Verdict::NotYet => return Ok(true),
            Verdict::Broken => return Err(RestoreError::Broken("its frames are not what the manifest says")),
            Verdict::Digest(hash) => {
                let belief = self.belief.take().filter(|belief| belief.digest_hash == hash);
                let belief = belief.ok_or(RestoreError::Broken("its pins are not those that were attested"))?;
                self.join(belief, rows)?;
            }
        }
        Ok(true)
    }

    fn join(&mut self, belief: Belief, rows: &mut dyn Rows) -> Result<(), RestoreError> {
        let Belief { digest_hash, tips, proofs, by: _ } = belief;
        for proof in &proofs {
            builds::keep_proof(proof, &mut self.state, rows)?;
        }
        let core = std::mem::take(&mut self.core);
        let whole = Believed { generation: self.generation, core, digest_hash, tips, proofs, is_repair: false };
        join::begin(whole, &mut self.state, rows)?;
        self.state.flush(self.args.now, rows)?;
        Ok(())
    }
}
