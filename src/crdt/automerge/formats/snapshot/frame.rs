//! The frames of a snapshot: rows in key order, cut where the content says so, packed with zstd.
//!
//! A plain frame: kind (1), then rows. Kind 0, live entries: key length (LEB128), key, count (LEB128), entries {counter (4
//! bytes, little endian), number of the actor in the manifest's clock (LEB128), length (LEB128), record}, greatest (counter,
//! actor) first. Kind 1, tombstones: key length, key, counter, number of the actor.
//!
//! A frame ends after a row whose key's hash says so, one in 2,048, and at the latest after [`ENTRIES_MAX`] rows or
//! [`BYTES_MAX`]. So two peers at one clock cut alike, and two that differ by some keys share all frames but some: a frame
//! that the asker has already is not sent.
use crate::crdt::automerge::formats::clock::Hash;
use crate::crdt::automerge::formats::codec::{Reader, ensure, put_sized, put_v};
use crate::crdt::automerge::formats::model::{KEY_MAX, Key};
use crate::crdt::{MAX_RECORD, Refused};

/// Rows of one frame at most.
pub const ENTRIES_MAX: usize = 8192;

/// Bytes of a plain frame after which it ends; one row may reach above it.
pub const BYTES_MAX: usize = 512 * 1024;

/// Greatest plain frame that is read: a key that a thousand writers put at once, each with its greatest record.
pub const PLAIN_MAX: usize = 16 * 1024 * 1024;

/// One frame in so many rows is cut by content: some 160 KiB.
const CUT: u16 = 2048;

/// Speed before size: most of a row is a hash, which does not pack.
const LEVEL: i32 = 1;

const ENTRIES: u8 = 0;
const TOMBSTONES: u8 = 1;

/// A live entry in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Lamport counter.
    pub counter: u32,
    /// Row of its actor in the manifest's clock.
    pub number: u32,
    /// The pin record.
    pub record: Vec<u8>,
}

/// What a frame holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Keys in order, each with its live entries, the winner first.
    Entries(Vec<(Key, Vec<Entry>)>),
    /// Removed entries above fork points: key, counter, actor.
    Tombstones(Vec<(Key, u32, u32)>),
}

/// A frame that is being filled.
#[derive(Debug)]
pub struct Filling {
    rows_max: usize,
    plain: Vec<u8>,
    rows: usize,
    first: Vec<u8>,
    is_cut: bool,
}

/// A frame that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Its bytes.
    pub plain: Vec<u8>,
    /// Its first key; empty for tombstones.
    pub first: Vec<u8>,
}

impl Filling {
    /// An empty frame of at most so many rows.
    pub const fn of(rows_max: usize) -> Self {
        Self { rows_max, plain: Vec::new(), rows: 0, first: Vec::new(), is_cut: false }
    }

    /// Adds the entries of a key.
    pub fn entries(&mut self, key: &[u8], entries: &[Entry]) {
        if self.rows == 0 {
            self.plain.push(ENTRIES);
            self.first = key.to_vec();
        }
        put_sized(&mut self.plain, key);
        put_v(&mut self.plain, entries.len() as u64);
        for entry in entries {
            self.plain.extend_from_slice(&entry.counter.to_le_bytes());
            put_v(&mut self.plain, entry.number.into());
            put_sized(&mut self.plain, &entry.record);
        }
        self.rows += 1;
        self.is_cut = is_cut(key);
    }

    /// Adds a tombstone.
    pub fn tombstone(&mut self, key: &[u8], counter: u32, number: u32) {
        if self.rows == 0 {
            self.plain.push(TOMBSTONES);
        }
        put_sized(&mut self.plain, key);
        self.plain.extend_from_slice(&counter.to_le_bytes());
        put_v(&mut self.plain, number.into());
        self.rows += 1;
    }

    /// Returns whether it ends here.
    pub fn is_full(&self) -> bool {
        self.is_cut || self.rows >= self.rows_max || self.plain.len() >= BYTES_MAX
    }

    /// Takes it, when there is anything in it.
    pub fn take(&mut self) -> Option<Filled> {
        let Self { plain, rows, first, .. } = std::mem::replace(self, Self::of(self.rows_max));
        (rows > 0).then_some(Filled { plain, first })
    }
}

/// Returns whether a frame ends after the row of `key`.
fn is_cut(key: &[u8]) -> bool {
    let hash = blake3::hash(key);
    let first: [u8; 2] = *hash.as_bytes().first_chunk().expect("a hash is longer than two bytes");
    u16::from_le_bytes(first).is_multiple_of(CUT)
}

/// Hash of a plain frame.
pub fn hash(plain: &[u8]) -> Hash {
    blake3::hash(plain).into()
}

/// Packs a plain frame.
pub fn pack(plain: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(plain, LEVEL).expect("memory is written to without an error")
}

/// Unpacks a frame.
///
/// # Errors
/// [`Refused::Malformed`] when it is none, or more than [`PLAIN_MAX`] bytes.
pub fn unpack(packed: &[u8]) -> Result<Vec<u8>, Refused> {
    let room = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
    let room = room.and_then(|room| usize::try_from(room).ok()).filter(|room| *room <= PLAIN_MAX);
    let room = room.ok_or(Refused::Malformed("a packed frame does not say its size, or is too large"))?;
    zstd::bulk::decompress(packed, room).map_err(|_| Refused::Malformed("a frame does not unpack"))
}

impl Content {
    /// Reads a plain frame; `actors` is the number of rows of the manifest's clock.
    ///
    /// # Errors
    /// [`Refused::Malformed`].
    pub fn decode(plain: &[u8], actors: usize) -> Result<Self, Refused> {
        let mut reader = Reader::new(plain);
        let content = match reader.u8()? {
            ENTRIES => Self::Entries(rows(&mut reader, |reader| entries(reader, actors))?),
            TOMBSTONES => {
                let row = |reader: &mut Reader<'_>| Ok((key(reader)?, reader.u32()?, number(reader, actors)?));
                Self::Tombstones(rows(&mut reader, row)?)
            }
            _ => return Err(Refused::Malformed("an unknown kind of frame")),
        };
        let ordered = match &content {
            Self::Entries(rows) => rows.is_sorted_by(|a, b| a.0 < b.0),
            Self::Tombstones(rows) => rows.is_sorted_by(|a, b| a < b),
        };
        ensure(ordered, "the rows of a frame are not in order")?;
        Ok(content)
    }
}

fn rows<T>(
    reader: &mut Reader<'_>,
    mut row: impl FnMut(&mut Reader<'_>) -> Result<T, Refused>,
) -> Result<Vec<T>, Refused> {
    let mut rows = Vec::new();
    while reader.left() > 0 {
        ensure(rows.len() < ENTRIES_MAX, "a frame has too many rows")?;
        rows.push(row(reader)?);
    }
    ensure(!rows.is_empty(), "a frame is empty")?;
    Ok(rows)
}

fn key(reader: &mut Reader<'_>) -> Result<Key, Refused> {
    let key = std::str::from_utf8(reader.sized(KEY_MAX)?).ok().and_then(Key::parse);
    key.ok_or(Refused::Malformed("a frame has a key that is none"))
}

fn number(reader: &mut Reader<'_>, actors: usize) -> Result<u32, Refused> {
    let number = reader.v32()?;
    ensure((number as usize) < actors, "a frame names an actor that the clock lacks")?;
    Ok(number)
}

/// Bytes of the smallest entry: what bounds the count that a row claims.
const ENTRY_MIN: usize = 6;

fn entries(reader: &mut Reader<'_>, actors: usize) -> Result<(Key, Vec<Entry>), Refused> {
    let key = key(reader)?;
    let count = reader.v32()? as usize;
    ensure(count > 0 && count <= reader.left() / ENTRY_MIN, "a key claims entries that it does not have")?;
    let entry = |reader: &mut Reader<'_>| -> Result<Entry, Refused> {
        let (counter, number) = (reader.u32()?, number(reader, actors)?);
        Ok(Entry { counter, number, record: reader.sized(MAX_RECORD)?.to_vec() })
    };
    let entries = (0..count).map(|_| entry(reader)).collect::<Result<Vec<_>, _>>()?;
    let ordered = entries.is_sorted_by(|a, b| (a.counter, a.number) > (b.counter, b.number));
    ensure(ordered, "the entries of a key are not in order")?;
    Ok((key, entries))
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crdt::automerge::tests::testing::key as key_of;

    fn entry(counter: u32, number: u32) -> Entry {
        Entry { counter, number, record: vec![7; number as usize] }
    }

    /// So many keys in their order.
    pub fn sorted(count: u32) -> Vec<Key> {
        let mut keys: Vec<Key> = (0..count).map(key_of).collect();
        keys.sort();
        keys
    }

    /// The frames of these keys, with two entries each.
    pub fn frames(keys: &[Key]) -> Vec<Filled> {
        let (mut filling, mut frames) = (Filling::of(ENTRIES_MAX), Vec::new());
        for key in keys {
            filling.entries(key.as_bytes(), &[entry(9, 1), entry(9, 0)]);
            if filling.is_full() {
                frames.extend(filling.take());
            }
        }
        frames.extend(filling.take());
        frames
    }

    #[test]
    fn a_frame_reads_back_packed_or_plain() {
        let mut filling = Filling::of(ENTRIES_MAX);
        assert_eq!(filling.take(), None);
        filling.entries(key_of(1).as_bytes(), &[entry(9, 1), entry(9, 0)]);
        let frame = filling.take().unwrap();
        assert_eq!(frame.first, key_of(1).as_bytes());
        assert_eq!(unpack(&pack(&frame.plain)).unwrap(), frame.plain);
        let content = Content::Entries(vec![(key_of(1), vec![entry(9, 1), entry(9, 0)])]);
        assert_eq!(Content::decode(&frame.plain, 2), Ok(content));
        assert!(Content::decode(&frame.plain, 1).is_err(), "an actor that the clock lacks");
        let mut filling = Filling::of(ENTRIES_MAX);
        filling.tombstone(key_of(1).as_bytes(), 5, 1);
        let frame = filling.take().unwrap();
        assert_eq!(frame.first, b"");
        assert_eq!(Content::decode(&frame.plain, 2), Ok(Content::Tombstones(vec![(key_of(1), 5, 1)])));
    }

    #[test]
    fn what_is_out_of_order_or_too_large_is_refused() {
        let mut filling = Filling::of(ENTRIES_MAX);
        filling.entries(key_of(1).as_bytes(), &[entry(9, 0), entry(9, 1)]);
        assert!(Content::decode(&filling.take().unwrap().plain, 2).is_err(), "entries");
        let mut keys = sorted(2);
        keys.reverse();
        for key in keys {
            filling.entries(key.as_bytes(), &[entry(9, 0)]);
        }
        assert!(Content::decode(&filling.take().unwrap().plain, 2).is_err(), "keys");
        assert!(Content::decode(&[ENTRIES], 2).is_err(), "nothing");
        assert!(unpack(&pack(&vec![0; PLAIN_MAX + 1])).is_err(), "a bomb");
        assert!(unpack(b"rubbish").is_err());
    }

    #[test]
    fn states_that_differ_by_a_key_share_all_frames_but_one() {
        let keys = sorted(40_000);
        let all = frames(&keys);
        assert!((10..40).contains(&all.len()), "{}", all.len());
        let without: Vec<Key> = keys.iter().filter(|key| **key != keys[20_001]).cloned().collect();
        let shared = frames(&without).into_iter().filter(|frame| all.contains(frame)).count();
        assert!(shared >= all.len() - 2, "{shared} of {}", all.len());
    }

    proptest! {
        #[test]
        fn hostile_frames_never_panic(bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = (unpack(&bytes), Content::decode(&bytes, 3));
            let mut plain = frames(&sorted(3)).remove(0).plain;
            let at = at % plain.len();
            plain[at] = byte;
            let _ = Content::decode(&plain, 2);
        }
    }
}
