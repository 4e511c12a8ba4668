//! A pinset that is built aside, and takes the old one's place only when it is whole.
use std::path::{Path, PathBuf};

use libp2p::identity::Keypair;

use super::folder::{aside, remove, remove_folder};
use super::settle::settle;
use crate::cluster::build::{engine_args, pinset_options, stores};
use crate::config::{Config, PRIVATE, make_folder, write_atomically};
use crate::crdt::{Engine, Input, Now, Op, RowsError, Seen, Ticket, WriteError, automerge};
use crate::model::Pin;
use crate::store::{Options, PinsetDb, StoreError};
use crate::task::{self, Fatal};

/// Pins written at a time: one transaction and one fsync for as many as the daemon's writer takes at most.
pub const BATCH: usize = 10_000;

/// The format of the file that says how far an import came.
const VERSION: u32 = 1;

/// Why an import cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// No import was interrupted.
    #[error("there is no interrupted import to go on with: import without --resume")]
    NothingToResume,
    /// What is left of it is of no use.
    #[error("the interrupted import cannot be gone on with ({0}): begin anew, without --resume")]
    Unusable(Fatal),
    /// A pin cannot be written.
    #[error("the pin of {cid}: {source}")]
    Pin {
        /// Which.
        cid: crate::model::Cid,
        /// Why.
        source: WriteError,
    },
}

/// How far an import came.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Done {
    version: u32,
    /// Objects of the input that are in.
    pub objects: u64,
    /// A hash over them, so that another input is noticed.
    pub hash: String,
}

impl Done {
    /// So many objects of this hash.
    #[must_use]
    pub fn new(objects: u64, hash: &blake3::Hash) -> Self {
        Self { version: VERSION, objects, hash: hash.to_hex().to_string() }
    }

    fn path(aside: &Path) -> PathBuf {
        aside.join("done.json")
    }

    fn read(aside: &Path) -> Result<Self, Fatal> {
        let done: Self = serde_json::from_slice(&std::fs::read(Self::path(aside))?)?;
        if done.version == VERSION { Ok(done) } else { Err("another version wrote it".into()) }
    }
}

/// A pinset that is being built aside.
pub struct Import {
    folder: PathBuf,
    done: Option<Done>,
    /// What the peer's own engine is opened with, at the end.
    args: automerge::EngineArgs,
    // In this order: what is written to goes before its folder.
    engine: Box<dyn Engine>,
    db: PinsetDb,
    aside: Aside,
}

/// The folder of an import. It goes with the import, unless that can be gone on with.
pub(super) struct Aside {
    pub(super) path: PathBuf,
    is_kept: bool,
}

impl Aside {
    /// An empty one; what an earlier import left half done is removed.
    pub(super) fn make(folder: &Path) -> Result<Self, Fatal> {
        let path = aside(folder);
        remove_folder(&path)?;
        make_folder(&path)?;
        Ok(Self { path, is_kept: false })
    }

    /// Puts the pinset that was built here in the place of the old one in `folder`.
    pub(super) fn take_place(mut self, folder: &Path) -> Result<(), Fatal> {
        let ([old, ledger], [new, _]) = (stores(folder), stores(&self.path));
        // Pages that were free when the last pin was in would stay in the file for ever.
        PinsetDb::open(&self.path, Options::default())?.compact()?;
        // The ledger's cursor counts the old pinset's commits; a new ledger begins with a walk over all pins.
        remove(&ledger)?;
        std::fs::rename(new, old)?;
        self.is_kept = false;
        drop(self);
        std::fs::File::open(folder)?.sync_all()?;
        Ok(())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if let Err(error) = remove_folder(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "what an import left cannot be removed");
        }
    }
}

impl Import {
    /// Begins an import for the peer of `config` and `keypair`; what an earlier one left half done is removed.
    ///
    /// # Errors
    /// When there is no place to write.
    pub fn begin(config: &Config, keypair: &Keypair) -> Result<Self, Fatal> {
        Self::open(config, keypair, Aside::make(&config.folder)?, None)
    }

    /// Goes on with an import that was interrupted; [`Import::done`] says from where.
    ///
    /// # Errors
    /// [`ImportError`] when there is none, or none of use.
    pub fn resume(config: &Config, keypair: &Keypair) -> Result<Self, ImportError> {
        let path = aside(&config.folder);
        if !path.exists() {
            return Err(ImportError::NothingToResume);
        }
        let done = Done::read(&path).map_err(ImportError::Unusable)?;
        let aside = Aside { path, is_kept: true };
        Self::open(config, keypair, aside, Some(done)).map_err(ImportError::Unusable)
    }

    fn open(config: &Config, keypair: &Keypair, aside: Aside, done: Option<Done>) -> Result<Self, Fatal> {
        let db = PinsetDb::open(&aside.path, pinset_options(config))?;
        let args = engine_args(config, keypair)?;
        // One snapshot is enough, at the end.
        let limits = automerge::Limits { log_bytes: u64::MAX, ..args.limits };
        let engine = engine(automerge::EngineArgs { limits, ..args.clone() }, &db)?;
        Ok(Self { folder: config.folder.clone(), done, args, engine, db, aside })
    }

    /// What is in already.
    #[must_use]
    pub fn done(&self) -> Option<&Done> {
        self.done.as_ref()
    }

    /// Adds pins; they are on disk when this returns. At most [`BATCH`] at a time keep memory flat.
    ///
    /// # Errors
    /// When one of them cannot be written; then none is.
    pub fn add(&mut self, pins: Vec<Pin>) -> Result<(), Fatal> {
        let cids: Vec<_> = pins.iter().map(|pin| pin.cid).collect();
        let input = |(n, pin)| Input::Write { ticket: Ticket(n), op: Op::Pin(Box::new(pin)), seen: Seen::Any };
        let inputs = (0..).zip(pins).map(input).collect();
        let now = Now { wall: task::wall(), mono: 0 };
        let engine = &mut self.engine;
        self.db.write(|rows| {
            let turn = engine.turn(inputs, now, rows)?;
            for (ticket, answer) in turn.answers {
                let cid = usize::try_from(ticket.0).ok().and_then(|n| cids.get(n)).copied().unwrap_or_default();
                answer.map_err(|source| ImportError::Pin { cid, source })?;
            }
            Ok::<_, AddError>(())
        })?;
        Ok(())
    }

    /// As [`Import::add`], and notes how far the input is read: from there on [`Import::resume`] goes on.
    ///
    /// # Errors
    /// As [`Import::add`], and when that cannot be noted.
    pub fn add_to(&mut self, pins: Vec<Pin>, done: Done) -> Result<(), Fatal> {
        self.add(pins)?;
        write_atomically(&Done::path(&self.aside.path), &serde_json::to_vec(&done)?, PRIVATE)?;
        self.aside.is_kept = true;
        self.done = Some(done);
        Ok(())
    }

    /// Puts the import in the place of the old pinset. A snapshot is made first, so that its log can go: some ten
    /// seconds for a million pins.
    ///
    /// # Errors
    /// When the store cannot be written or a file cannot be moved; the old pinset is there until its name is taken.
    pub fn finish(self) -> Result<(), Fatal> {
        let Self { folder, args, engine: adding, db, aside, .. } = self;
        drop(adding);
        // Nobody has the beginning of that log: who lacks any of it takes the snapshot.
        let limits = automerge::Limits { log_bytes: 0, ..args.limits };
        let args = automerge::EngineArgs { actor_suffix: rand::random(), limits, ..args };
        settle(engine(args, &db)?.as_mut(), &db)?;
        drop(db);
        aside.take_place(&folder)
    }
}

fn engine(args: automerge::EngineArgs, db: &PinsetDb) -> Result<Box<dyn Engine>, Fatal> {
    let open = |error| RowsError::Storage(Box::new(error));
    Ok(db.write(|rows| automerge::open(args, rows).map_err(open))?)
}

/// Why a batch is not written.
#[derive(Debug, thiserror::Error)]
enum AddError {
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Import(#[from] ImportError),
}

#[cfg(test)]
mod tests {
    use super::super::{Pages, cleanup};
    use super::*;
    use crate::cluster::testing::{Home, cid};

    fn names(folder: &Path) -> Vec<String> {
        let Some(mut pages) = Pages::open(folder).unwrap() else { return Vec::new() };
        let mut names = Vec::new();
        while let Some(pins) = pages.page().unwrap() {
            names.extend(pins.into_iter().map(|pin| pin.name));
        }
        assert_eq!(pages.total(), names.len() as u64);
        names.sort();
        names
    }

    fn pin(n: u64) -> Pin {
        Pin { name: n.to_string(), ..Pin::recursive(cid(n)) }
    }

    fn done(objects: u64) -> Done {
        Done::new(objects, &blake3::hash(&objects.to_le_bytes()))
    }

    #[test]
    fn an_import_takes_the_old_pinsets_place_when_it_is_whole() {
        let home = Home::new();
        let folder = home.config.folder.clone();
        assert!(names(&folder).is_empty());
        let mut import = Import::begin(&home.config, home.keypair()).unwrap();
        import.add(vec![pin(1), pin(2)]).unwrap();
        import.finish().unwrap();
        assert_eq!(names(&folder), ["1", "2"]);
        // One that is given up changes nothing, and leaves nothing in the way of the next.
        let mut given_up = Import::begin(&home.config, home.keypair()).unwrap();
        given_up.add(vec![pin(3)]).unwrap();
        drop(given_up);
        assert_eq!(names(&folder), ["1", "2"]);
        let mut import = Import::begin(&home.config, home.keypair()).unwrap();
        import.add(vec![pin(4)]).unwrap();
        import.finish().unwrap();
        assert_eq!(names(&folder), ["4"]);
        assert!(!aside(&folder).exists());
        cleanup(&folder).unwrap();
        assert!(names(&folder).is_empty());
        cleanup(&folder).unwrap();
    }

    #[test]
    fn the_log_of_an_import_goes_with_a_snapshot() {
        let home = Home::new();
        let mut import = Import::begin(&home.config, home.keypair()).unwrap();
        import.add((0..300).map(pin).collect()).unwrap();
        import.add((300..500).map(pin).collect()).unwrap();
        import.finish().unwrap();
        assert_eq!(names(&home.config.folder).len(), 500);
        let verified = super::super::verify(&home.config.folder, &mut |_, _| ()).unwrap().unwrap();
        assert_eq!((verified.pins, verified.changes, verified.faults.len()), (500, 0, 0));
    }

    #[test]
    fn an_interrupted_import_goes_on_where_it_was() {
        let home = Home::new();
        let resume = || Import::resume(&home.config, home.keypair());
        assert!(matches!(resume(), Err(ImportError::NothingToResume)));
        let mut import = Import::begin(&home.config, home.keypair()).unwrap();
        import.add_to(vec![pin(1), pin(2)], done(2)).unwrap();
        drop(import);
        let mut import = resume().unwrap();
        assert_eq!(import.done(), Some(&done(2)));
        // What was added and not noted is added once more.
        import.add(vec![pin(3)]).unwrap();
        drop(import);
        let mut import = resume().unwrap();
        import.add_to(vec![pin(3), pin(4)], done(4)).unwrap();
        import.finish().unwrap();
        assert_eq!(names(&home.config.folder), ["1", "2", "3", "4"]);
        assert!(!aside(&home.config.folder).exists());
        assert!(matches!(resume(), Err(ImportError::NothingToResume)));
        // Another epoch's is of no use.
        let mut import = Import::begin(&home.config, home.keypair()).unwrap();
        import.add_to(vec![pin(1)], done(1)).unwrap();
        drop(import);
        let mut config = home.config.clone();
        config.crdt.epoch += 1;
        let error = Import::resume(&config, home.keypair()).err().unwrap().to_string();
        assert!(error.contains("is of epoch 0") && error.ends_with("without --resume"), "{error}");
        std::fs::write(Done::path(&aside(&home.config.folder)), "{}").unwrap();
        assert!(matches!(resume(), Err(ImportError::Unusable(_))));
    }

    #[test]
    fn a_pin_that_cannot_be_written_leaves_its_whole_batch_out() {
        let home = Home::new();
        let mut import = Import::begin(&home.config, home.keypair()).unwrap();
        let huge = Pin { name: "x".repeat(20_000), ..pin(2) };
        let error = import.add(vec![pin(1), huge]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the pin of {}: the pin record is", cid(2))), "{error}");
    }
}
