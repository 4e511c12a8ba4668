//! Snapshots on disk: the one that others may have, and those that are on their way in or being made.
//!
//! SNAPSHOTS: generation (8 bytes, big endian) ++ what it is ++ place of a frame (4 bytes, big endian) -> its bytes: `m` the
//! manifest, `f` a packed frame, `d` (no bytes) says that the frame is there. META `shelf`: which generation is what; a
//! generation that is nothing any more goes in small steps.
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::crdt::automerge::formats::clock::Hash;
use crate::crdt::automerge::formats::codec::{Reader, put_v};
use crate::crdt::automerge::formats::snapshot::manifest::{ATTESTATIONS_MAX, Manifest};
use crate::crdt::{ReadRows, Refused, Rows, RowsError, Table};
use crate::model::UnixMillis;

const SHELF: &[u8] = b"shelf";

const MANIFEST: u8 = b'm';
const FRAME: u8 = b'f';
const IS_THERE: u8 = b'd';

/// Rows of a generation that is nothing any more which go in one step: some megabytes.
const COLLECT_MAX: usize = 32;

/// Generations that wait to be removed at most; more than a few means that steps are not taken.
const GARBAGE_MAX: usize = 4096;

/// The snapshot that others may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Where its rows are.
    pub generation: u64,
    /// The name of what it is.
    pub id: Hash,
    /// Hash of its clock.
    pub clock_hash: Hash,
    /// Hash of its digest.
    pub digest_hash: Hash,
    /// Its pins.
    pub pins: u64,
    /// Bytes of its plain frames.
    pub bytes: u64,
    /// Number of the last application that it holds; 0 for one that somebody else made.
    pub applied: u64,
    /// When it was made or fetched.
    pub made: UnixMillis,
    /// Whether we have seen something that neither it nor our log has: a join brings it in, and we had more than it.
    pub is_partial: bool,
}

/// Which generations there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shelf {
    last: u64,
    served: Option<Served>,
    /// On its way in, or waiting to be joined.
    incoming: Option<u64>,
    building: Option<u64>,
    garbage: BTreeSet<u64>,
}

impl Shelf {
    /// Reads it back; what was being made at a crash is nothing any more.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn open(rows: &mut dyn Rows) -> Result<Self, RowsError> {
        let mut shelf = Self::read(rows)?;
        if let Some(lost) = shelf.building.take() {
            shelf.garbage.insert(lost);
            shelf.write(rows)?;
        }
        Ok(shelf)
    }

    /// What is on disk.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn read(rows: &(impl ReadRows + ?Sized)) -> Result<Self, RowsError> {
        let Some(bytes) = rows.get(Table::Meta, SHELF)? else { return Ok(Self::default()) };
        Self::decode(&bytes).map_err(|_| RowsError::Damaged { table: Table::Meta, what: "shelf" })
    }

    /// The snapshot that others may have.
    pub const fn served(&self) -> Option<&Served> {
        self.served.as_ref()
    }

    /// The generation on its way in.
    pub const fn incoming(&self) -> Option<u64> {
        self.incoming
    }

    /// Begins to make one; returns its generation.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn begin_build(&mut self, rows: &mut dyn Rows) -> Result<u64, RowsError> {
        let generation = self.next();
        let old = self.building.replace(generation);
        self.drop_old(old);
        self.write(rows)?;
        Ok(generation)
    }

    /// Gives up what is being made.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn end_build(&mut self, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let old = self.building.take();
        self.drop_old(old);
        self.write(rows)
    }

    /// What was made is what others may have from now on.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn serve_built(&mut self, served: Served, manifest: &Manifest, rows: &mut dyn Rows) -> Result<(), RowsError> {
        put_manifest(served.generation, manifest, rows)?;
        self.building = None;
        self.serve(served, rows)
    }

    /// Begins to take one in; returns its generation. What was on its way in before stays readable until it is collected.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn begin_incoming(&mut self, manifest: &Manifest, rows: &mut dyn Rows) -> Result<u64, RowsError> {
        let generation = self.next();
        let old = self.incoming.replace(generation);
        self.drop_old(old);
        put_manifest(generation, manifest, rows)?;
        self.write(rows)?;
        Ok(generation)
    }

    /// Gives up what is on its way in.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn end_incoming(&mut self, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let old = self.incoming.take();
        self.drop_old(old);
        self.write(rows)
    }

    /// What came in is joined, and what others may have from now on.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn serve_incoming(&mut self, served: Served, rows: &mut dyn Rows) -> Result<(), RowsError> {
        self.incoming = None;
        self.serve(served, rows)
    }

    /// Adds an attestation to the snapshot that others may have; one of each peer is enough, and `is_same` finds it.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn attest(
        &self,
        attestation: Vec<u8>,
        is_same: impl Fn(&[u8]) -> bool,
        rows: &mut dyn Rows,
    ) -> Result<(), RowsError> {
        let Some(served) = &self.served else { return Ok(()) };
        let Some(mut manifest) = manifest(served.generation, rows)? else { return Ok(()) };
        let list = &mut manifest.attestations;
        if list.len() >= ATTESTATIONS_MAX || list.iter().any(|known| is_same(known)) {
            return Ok(());
        }
        list.push(attestation);
        put_manifest(served.generation, &manifest, rows)
    }

    /// Removes some rows of what is nothing any more; returns whether more are left.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn collect(&mut self, rows: &mut dyn Rows) -> Result<bool, RowsError> {
        let Some(generation) = self.garbage.first().copied() else { return Ok(false) };
        let mut keys = Vec::new();
        rows.scan(Table::Snapshots, &generation.to_be_bytes()..&(generation + 1).to_be_bytes(), &mut |key, _| {
            keys.push(key.to_vec());
            if keys.len() < COLLECT_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        keys.iter().try_for_each(|key| rows.remove(Table::Snapshots, key))?;
        if keys.len() < COLLECT_MAX {
            self.garbage.remove(&generation);
            self.write(rows)?;
        }
        Ok(!self.garbage.is_empty())
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn drop_old(&mut self, old: Option<u64>) {
        self.garbage.extend(old);
    }

    fn serve(&mut self, served: Served, rows: &mut dyn Rows) -> Result<(), RowsError> {
        let old = self.served.replace(served);
        self.drop_old(old.map(|old| old.generation));
        self.write(rows)
    }

    fn write(&self, rows: &mut dyn Rows) -> Result<(), RowsError> {
        rows.put(Table::Meta, SHELF, &self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [self.last, self.incoming.unwrap_or(0), self.building.unwrap_or(0)] {
            put_v(&mut out, number);
        }
        put_v(&mut out, self.garbage.len() as u64);
        self.garbage.iter().for_each(|generation| put_v(&mut out, *generation));
        if let Some(served) = &self.served {
            let Served { generation, id, clock_hash, digest_hash, pins, bytes, applied, made, is_partial } = served;
            out.extend([id, clock_hash, digest_hash].into_iter().flatten());
            for number in [*generation, *pins, *bytes, *applied] {
                put_v(&mut out, number);
            }
            out.extend_from_slice(&made.0.to_le_bytes());
            out.push(u8::from(*is_partial));
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        let mut reader = Reader::new(bytes);
        let some = |number: u64| (number > 0).then_some(number);
        let (last, incoming, building) = (reader.v()?, some(reader.v()?), some(reader.v()?));
        let count = usize::try_from(reader.v()?).unwrap_or(usize::MAX).min(GARBAGE_MAX);
        let garbage = (0..count).map(|_| reader.v()).collect::<Result<_, _>>()?;
        let served = if reader.left() == 0 {
            None
        } else {
            let (id, clock_hash, digest_hash) = (reader.array()?, reader.array()?, reader.array()?);
            let (generation, pins, bytes, applied) = (reader.v()?, reader.v()?, reader.v()?, reader.v()?);
            let made = UnixMillis(reader.u64()?.cast_signed());
            let is_partial = reader.u8()? == 1;
            Some(Served { generation, id, clock_hash, digest_hash, pins, bytes, applied, made, is_partial })
        };
        reader.end()?;
        Ok(Self { last, served, incoming, building, garbage })
    }
}

fn key(generation: u64, what: u8, place: u32) -> Vec<u8> {
    [&generation.to_be_bytes()[..], &[what], &place.to_be_bytes()].concat()
}

fn put_manifest(generation: u64, manifest: &Manifest, rows: &mut dyn Rows) -> Result<(), RowsError> {
    rows.put(Table::Snapshots, &key(generation, MANIFEST, 0), &manifest.encode())
}

/// The bytes of the manifest of a generation; [`None`] when it is gone.
///
/// # Errors
/// [`RowsError`].
pub fn manifest_bytes(generation: u64, rows: &(impl ReadRows + ?Sized)) -> Result<Option<Vec<u8>>, RowsError> {
    rows.get(Table::Snapshots, &key(generation, MANIFEST, 0))
}

/// The manifest of a generation; [`None`] when it is gone.
///
/// # Errors
/// [`RowsError`].
pub fn manifest(generation: u64, rows: &(impl ReadRows + ?Sized)) -> Result<Option<Manifest>, RowsError> {
    let damaged = |_| RowsError::Damaged { table: Table::Snapshots, what: "manifest" };
    let bytes = manifest_bytes(generation, rows)?;
    bytes.map(|bytes| Manifest::decode(&bytes).map_err(damaged)).transpose()
}

/// Keeps a packed frame.
///
/// # Errors
/// [`RowsError`].
pub fn put_frame(generation: u64, place: u32, packed: &[u8], rows: &mut dyn Rows) -> Result<(), RowsError> {
    rows.put(Table::Snapshots, &key(generation, FRAME, place), packed)?;
    rows.put(Table::Snapshots, &key(generation, IS_THERE, place), &[])
}

/// A packed frame; [`None`] when it is not there.
///
/// # Errors
/// [`RowsError`].
pub fn frame(generation: u64, place: u32, rows: &(impl ReadRows + ?Sized)) -> Result<Option<Vec<u8>>, RowsError> {
    rows.get(Table::Snapshots, &key(generation, FRAME, place))
}

/// The places of the frames that are there.
///
/// # Errors
/// [`RowsError`].
pub fn places(generation: u64, rows: &(impl ReadRows + ?Sized)) -> Result<BTreeSet<u32>, RowsError> {
    let mut places = BTreeSet::new();
    let range = key(generation, IS_THERE, 0)..key(generation, IS_THERE + 1, 0);
    rows.scan(Table::Snapshots, &range.start..&range.end, &mut |key, _| {
        places.extend(key.last_chunk().map(|place| u32::from_be_bytes(*place)));
        ControlFlow::Continue(())
    })?;
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crdt::MapRows;

    fn served(generation: u64) -> Served {
        Served {
            generation,
            id: [1; 32],
            clock_hash: [2; 32],
            digest_hash: [3; 32],
            pins: 4,
            bytes: 5,
            applied: 6,
            made: UnixMillis(-7),
            is_partial: true,
        }
    }

    #[test]
    fn what_is_on_disk_reads_back_and_what_was_being_made_is_lost() {
        let (mut rows, mut shelf) = (MapRows::default(), Shelf::default());
        let first = shelf.begin_build(&mut rows).unwrap();
        put_frame(first, 0, b"packed", &mut rows).unwrap();
        shelf.serve_built(served(first), &Manifest::default(), &mut rows).unwrap();
        let incoming = shelf.begin_incoming(&Manifest::default(), &mut rows).unwrap();
        assert_eq!(Shelf::read(&rows).unwrap(), shelf);
        let lost = shelf.begin_build(&mut rows).unwrap();
        put_frame(lost, 0, b"lost", &mut rows).unwrap();

        let mut shelf = Shelf::open(&mut rows).unwrap();
        assert_eq!((shelf.served(), shelf.incoming()), (Some(&served(first)), Some(incoming)));
        while shelf.collect(&mut rows).unwrap() {}
        assert_eq!(frame(lost, 0, &rows).unwrap(), None);
        assert_eq!(frame(first, 0, &rows).unwrap().unwrap(), b"packed");
        assert_eq!(places(first, &rows).unwrap(), [0].into());
    }

    #[test]
    fn a_newer_one_takes_the_place_of_the_older() {
        let (mut rows, mut shelf) = (MapRows::default(), Shelf::default());
        for n in 1..4 {
            let generation = shelf.begin_build(&mut rows).unwrap();
            (0..40).for_each(|place| put_frame(generation, place, &[n], &mut rows).unwrap());
            shelf.serve_built(served(generation), &Manifest::default(), &mut rows).unwrap();
        }
        while shelf.collect(&mut rows).unwrap() {}
        assert_eq!(rows.len(Table::Snapshots), 81, "one manifest and forty frames");
        let generation = shelf.served().unwrap().generation;
        shelf.attest(b"a".to_vec(), |known| known == b"a", &mut rows).unwrap();
        shelf.attest(b"a".to_vec(), |known| known == b"a", &mut rows).unwrap();
        assert_eq!(manifest(generation, &rows).unwrap().unwrap().attestations, [b"a"]);
    }
}
