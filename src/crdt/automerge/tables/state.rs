//! What the engine keeps in memory of its tables, all of it read back at opening: clock, digest, actor numbers, counters.
//!
//! META holds, by key: `format` (1), `engine` (`automerge`), `epoch` (4 bytes, little endian), `digest` (2,048 bytes),
//! `counters` (eight bytes each, little endian: commit, applied, pins, newest, row bytes, log bytes), and for every actor ever
//! applied `actor` ++ number (4 bytes, big endian) -> its bytes. Other tables say the number: 4 bytes for 46. `shelf.rs`,
//! `joining.rs`, `heal.rs` and `engine.rs` say what else is there.
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::fork;
use super::joining::Joining;
use super::shelf::Shelf;
use super::view::{Clock, View};
use crate::crdt::automerge::formats::clock::{Actor, Fork, Hash, NO_HASH, Row};
use crate::crdt::automerge::formats::codec::Reader;
use crate::crdt::automerge::formats::digest::Digest;
use crate::crdt::automerge::formats::envelope::{Header, Signed};
use crate::crdt::automerge::formats::model::Key;
use crate::crdt::{ReadRows, Rows, RowsError, Table};
use crate::model::UnixMillis;

const FORMAT: u8 = 1;
const ENGINE: &[u8] = b"automerge";
const ACTOR_PREFIX: &[u8] = b"actor";
const ACTOR_END: &[u8] = b"actos";

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The storage failed, or a row is damaged.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A newer program wrote it.
    #[error("the pinset has format {found}, and this program knows {FORMAT}: use the newer program that wrote it")]
    Newer {
        /// Its format.
        found: u8,
    },
    /// Another engine wrote it.
    #[error("the pinset was written by the engine {found:?}, and the configuration says \"automerge\"")]
    OtherEngine {
        /// Its engine.
        found: String,
    },
    /// It belongs to another epoch.
    #[error(
        "the pinset is of epoch {found}, and the configuration says {wanted}: `ipfs-cluster-service state new-epoch` \
         brings them together"
    )]
    OtherEpoch {
        /// Its epoch.
        found: u32,
        /// Ours.
        wanted: u32,
    },
}

/// Numbers that change with a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Turns that wrote.
    pub commit: u64,
    /// Changes applied.
    pub applied: u64,
    /// Keys with a live entry.
    pub pins: u64,
    /// Wall clock at the last application.
    pub newest: UnixMillis,
    /// Bytes of keys and rows of PINS.
    pub row_bytes: u64,
    /// Bytes of the envelopes in the log.
    pub log_bytes: u64,
}

impl Counters {
    fn encode(&self) -> Vec<u8> {
        let newest = self.newest.0.cast_unsigned();
        let numbers = [self.commit, self.applied, self.pins, newest, self.row_bytes, self.log_bytes];
        numbers.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    /// Reads them.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn read(rows: &(impl ReadRows + ?Sized)) -> Result<Self, RowsError> {
        let bytes = rows.get(Table::Meta, b"counters")?;
        let counters = bytes.map(|bytes| Self::decode(&bytes).ok_or(damaged(Table::Meta, "counters")));
        Ok(counters.transpose()?.unwrap_or_default())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let mut next = || reader.u64().ok();
        let counters = Self {
            commit: next()?,
            applied: next()?,
            pins: next()?,
            newest: UnixMillis(next()?.cast_signed()),
            row_bytes: next()?,
            log_bytes: next()?,
        };
        reader.end().ok().map(|()| counters)
    }
}

/// The numbers of actors.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    actors: Vec<Actor>,
    numbers: BTreeMap<Actor, u32>,
}

impl Numbers {
    /// The actor of `number`.
    ///
    /// # Errors
    /// [`RowsError::Damaged`] when there is none.
    pub fn actor(&self, number: u32) -> Result<&Actor, RowsError> {
        let damaged = RowsError::Damaged { table: Table::Meta, what: "a row names an unknown actor" };
        self.actors.get(number as usize).ok_or(damaged)
    }

    /// The number of `actor`, when anything of it was applied.
    pub fn find(&self, actor: &Actor) -> Option<u32> {
        self.numbers.get(actor).copied()
    }

    fn push(&mut self, actor: Actor) -> u32 {
        let number = u32::try_from(self.actors.len()).expect("fewer actors than ops, which are below 2^31");
        self.numbers.insert(actor.clone(), number);
        self.actors.push(actor);
        number
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn load(rows: &(impl ReadRows + ?Sized)) -> Result<Self, RowsError> {
        let mut numbers = Self::default();
        let mut damaged = None;
        rows.scan(Table::Meta, ACTOR_PREFIX..ACTOR_END, &mut |key, value| {
            let expected = actor_key(u32::try_from(numbers.actors.len()).unwrap_or(u32::MAX));
            match Actor::from_bytes(value).filter(|_| key == expected) {
                Some(actor) => drop(numbers.push(actor)),
                None => damaged = Some(RowsError::Damaged { table: Table::Meta, what: "a numbered actor" }),
            }
            if damaged.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        damaged.map_or(Ok(numbers), Err)
    }
}

fn actor_key(number: u32) -> Vec<u8> {
    [ACTOR_PREFIX, &number.to_be_bytes()].concat()
}

/// The bytes of the actor of `number`, without the others.
///
/// # Errors
/// [`RowsError`].
pub fn actor_of(number: u32, rows: &(impl ReadRows + ?Sized)) -> Result<Actor, RowsError> {
    let bytes = rows.get(Table::Meta, &actor_key(number))?;
    let damaged = RowsError::Damaged { table: Table::Meta, what: "a row names an unknown actor" };
    bytes.and_then(|bytes| Actor::from_bytes(&bytes)).ok_or(damaged)
}

/// The engine's memory of its tables.
#[derive(Default)]
pub struct State {
    /// What is applied.
    pub clock: Clock,
    /// Over live entries and tombstones.
    pub digest: Digest,
    /// Numbers of actors.
    pub numbers: Numbers,
    /// Counters.
    pub counters: Counters,
    /// The join that is under way.
    pub joining: Option<Joining>,
    /// The snapshots on disk.
    pub shelf: Shelf,
    news: BTreeSet<Key>,
    is_quiet: bool,
    all_is_news: bool,
    has_changed: bool,
    digest_hash: Option<Hash>,
    clock_hash: Option<Hash>,
    moved: BTreeSet<Actor>,
    tips: BTreeMap<Actor, Option<Vec<u8>>>,
}

impl State {
    /// Reads everything; an empty store is made ours.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(epoch: u32, rows: &mut dyn Rows) -> Result<Self, OpenError> {
        match rows.get(Table::Meta, b"format")?.as_deref() {
            None => {
                rows.put(Table::Meta, b"format", &[FORMAT])?;
                rows.put(Table::Meta, b"engine", ENGINE)?;
                rows.put(Table::Meta, b"epoch", &epoch.to_le_bytes())?;
                return Ok(Self::default());
            }
            Some([FORMAT]) => (),
            Some([found, ..]) => return Err(OpenError::Newer { found: *found }),
            Some([]) => return Err(damaged(Table::Meta, "format").into()),
        }
        let engine = rows.get(Table::Meta, b"engine")?.unwrap_or_default();
        if engine != ENGINE {
            return Err(OpenError::OtherEngine { found: String::from_utf8_lossy(&engine).into_owned() });
        }
        let stored = rows.get(Table::Meta, b"epoch")?.and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        match stored.map(u32::from_le_bytes) {
            None => Err(damaged(Table::Meta, "epoch").into()),
            Some(found) if found != epoch => Err(OpenError::OtherEpoch { found, wanted: epoch }),
            Some(_) => Ok(Self::load(rows)?),
        }
    }

    fn load(rows: &mut dyn Rows) -> Result<Self, RowsError> {
        let mut state = Self {
            clock: load_clock(rows)?,
            numbers: Numbers::load(rows)?,
            counters: Counters::read(rows)?,
            ..Self::default()
        };
        if let Some(bytes) = rows.get(Table::Meta, b"digest")? {
            state.digest = Digest::decode(&bytes).ok_or(damaged(Table::Meta, "digest"))?;
        }
        state.joining = Joining::load(&state.clock, rows)?;
        state.shelf = Shelf::open(rows)?;
        Ok(state)
    }

    /// The number of `actor`, a new one when it has none yet.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn number(&mut self, actor: &Actor, rows: &mut dyn Rows) -> Result<u32, RowsError> {
        if let Some(number) = self.numbers.find(actor) {
            return Ok(number);
        }
        let number = self.numbers.push(actor.clone());
        rows.put(Table::Meta, &actor_key(number), actor.as_bytes())?;
        Ok(number)
    }

    /// Moves the clock past a change whose ops are applied.
    pub fn advance(&mut self, change: &Signed) {
        self.moved.extend(self.clock.advance(change));
        self.tips.insert(change.header.actor.clone(), Some(change.header.encode()));
        self.changed();
    }

    /// Takes what another clock has seen; the signed headers of rows that moved are forgotten, but for those of `tips`.
    ///
    /// Returns the actors whose rows moved.
    pub fn join_clock(&mut self, theirs: &Clock, tips: &BTreeMap<Actor, Header>) -> Vec<Actor> {
        let moved = self.clock.join(theirs);
        for actor in &moved {
            let tip = tips.get(actor).filter(|tip| self.clock.row(actor).is_some_and(|row| row.tip == tip.change_hash));
            self.tips.insert(actor.clone(), tip.map(Header::encode));
        }
        self.moved.extend(moved.iter().cloned());
        self.changed();
        moved
    }

    /// Puts a fork point in force; returns whether it is news.
    pub fn learn_fork(&mut self, actor: &Actor, fork: Fork) -> bool {
        let is_news = self.clock.learn_fork(actor, fork);
        if is_news {
            self.moved.insert(actor.clone());
            self.tips.insert(actor.clone(), None);
            self.changed();
        }
        is_news
    }

    /// Something is other than the hashes and the rows say.
    pub const fn changed(&mut self) {
        self.has_changed = true;
        self.clock_hash = None;
        self.digest_hash = None;
    }

    /// The winner of `key` changed.
    pub fn tell(&mut self, key: &Key) {
        if !self.is_quiet {
            self.news.insert(key.clone());
        }
    }

    /// Runs `work`, whose news are told all at once at its end by [`State::tell_all`].
    pub fn quietly<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.is_quiet = true;
        let done = work(self);
        self.is_quiet = false;
        done
    }

    /// The winner of every key may have changed.
    pub const fn tell_all(&mut self) {
        self.all_is_news = true;
        self.has_changed = true;
    }

    /// The signed header of the last change of `actor`.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn tip(&self, actor: &Actor, rows: &dyn Rows) -> Result<Option<Header>, RowsError> {
        let bytes = match self.tips.get(actor) {
            Some(bytes) => bytes.clone(),
            None => rows.get(Table::Tips, actor.as_bytes())?,
        };
        bytes.map(|bytes| Header::decode(&bytes).map_err(|_| damaged(Table::Tips, "header"))).transpose()
    }

    /// Hash of the clock.
    pub fn clock_hash(&mut self) -> Hash {
        *self.clock_hash.get_or_insert_with(|| self.clock.hash())
    }

    /// Hash of the digest.
    pub fn digest_hash(&mut self) -> Hash {
        *self.digest_hash.get_or_insert_with(|| self.digest.hash())
    }

    /// Hash of the digest for others; zero while the keys of a join follow, when nobody has this digest.
    pub fn digest_told(&mut self) -> Hash {
        if self.joining.is_some() { NO_HASH } else { self.digest_hash() }
    }

    /// Returns whether the clock moved in this turn.
    pub fn has_moved(&self) -> bool {
        !self.moved.is_empty()
    }

    /// Writes what the turn changed, NEWS too, and returns the number of its rows.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn flush(&mut self, now: UnixMillis, rows: &mut dyn Rows) -> Result<usize, RowsError> {
        if !std::mem::take(&mut self.has_changed) {
            return Ok(0);
        }
        for actor in std::mem::take(&mut self.moved) {
            match self.clock.row(&actor) {
                Some(row) => rows.put(Table::Clock, actor.as_bytes(), &row.encode())?,
                None => rows.remove(Table::Clock, actor.as_bytes())?,
            }
        }
        for (actor, header) in std::mem::take(&mut self.tips) {
            match header {
                Some(header) => rows.put(Table::Tips, actor.as_bytes(), &header)?,
                None => rows.remove(Table::Tips, actor.as_bytes())?,
            }
        }
        self.counters.commit += 1;
        self.counters.newest = self.counters.newest.max(now);
        rows.put(Table::Meta, b"digest", &self.digest.encode())?;
        rows.put(Table::Meta, b"counters", &self.counters.encode())?;
        let news = std::mem::take(&mut self.news);
        for (n, key) in (0_u32..).zip(&news) {
            let number = [&self.counters.commit.to_be_bytes()[..], &n.to_be_bytes()].concat();
            rows.put(Table::News, &number, &key.cid().to_bytes())?;
        }
        let all = usize::from(std::mem::take(&mut self.all_is_news));
        if all > 0 {
            let n = u32::try_from(news.len()).unwrap_or(u32::MAX);
            rows.put(Table::News, &[&self.counters.commit.to_be_bytes()[..], &n.to_be_bytes()].concat(), &[])?;
        }
        Ok(news.len() + all)
    }
}

/// Reads clock and fork points.
///
/// # Errors
/// [`RowsError`].
pub fn load_clock(rows: &(impl ReadRows + ?Sized)) -> Result<Clock, RowsError> {
    let mut clock = Clock::default();
    let mut fault = None;
    rows.scan(Table::Clock, b""..b"", &mut |key, value| {
        let Some((actor, row)) = Actor::from_bytes(key).zip(Row::decode(value)) else {
            fault = Some(damaged(Table::Clock, "row"));
            return ControlFlow::Break(());
        };
        clock.set(&actor, Some(row));
        ControlFlow::Continue(())
    })?;
    rows.scan(Table::Forked, b""..b"", &mut |key, value| {
        let Some((actor, fork)) = Actor::from_bytes(key).zip(fork::point(value)) else {
            fault = Some(damaged(Table::Forked, "row"));
            return ControlFlow::Break(());
        };
        if fork::is_in_force(value) {
            clock.set_fork(&actor, fork);
        }
        ControlFlow::Continue(())
    })?;
    fault.map_or(Ok(clock), Err)
}

const fn damaged(table: Table, what: &'static str) -> RowsError {
    RowsError::Damaged { table, what }
}
