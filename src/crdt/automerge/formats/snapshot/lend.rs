//! The frames of the stream on which a snapshot is lent: the asker names what it wants, the lender says it in pieces.
use bytes::Bytes;

use crate::crdt::Refused;
use crate::crdt::automerge::formats::clock::Hash;
use crate::crdt::automerge::formats::codec::{Reader, ensure, put_sized};
use crate::crdt::automerge::formats::snapshot::frame::PLAIN_MAX;
use crate::crdt::automerge::formats::snapshot::manifest::{FRAMES_MAX, MANIFEST_MAX};

/// Greatest piece of a frame or manifest; with its head it fits into a frame of the stream.
pub const PIECE_MAX: usize = 512 * 1024;

/// Frames that an asker may name at once: what is on its way while the next ones are asked for.
pub const WINDOW: usize = 32;

const VERSION: u8 = 1;

/// What an asker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The manifest of the newest snapshot; of one not older than a minute, when `fresh`.
    Manifest {
        /// The asker's epoch.
        epoch: u32,
        /// Whether an older one is of no use.
        fresh: bool,
    },
    /// Frames of the snapshot of this name, by their places.
    Frames {
        /// Its name.
        id: Hash,
        /// Which.
        places: Vec<u32>,
    },
}

/// What a lender says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lent {
    /// A part of the manifest.
    Manifest(Piece),
    /// A part of a frame, packed.
    Frame {
        /// Its place.
        place: u32,
        /// The part.
        piece: Piece,
    },
    /// Not now: ask again after so many milliseconds.
    Later {
        /// How long to wait.
        millis: u32,
    },
    /// There is none, or none of that name any more.
    Nothing,
}

/// A part of something longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it stands.
    pub offset: u32,
    /// Bytes of the whole.
    pub total: u32,
    /// The part.
    pub bytes: Bytes,
}

const ASK_MANIFEST: u8 = 1;
const ASK_FRAMES: u8 = 2;
const MANIFEST: u8 = 3;
const FRAME: u8 = 4;
const LATER: u8 = 5;
const NOTHING: u8 = 6;

impl Ask {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Manifest { epoch, fresh } => {
                [&[ASK_MANIFEST, VERSION][..], &epoch.to_le_bytes(), &[u8::from(*fresh)]].concat()
            }
            Self::Frames { id, places } => {
                let mut out = vec![ASK_FRAMES];
                out.extend_from_slice(id);
                out.extend(places.iter().flat_map(|place| place.to_le_bytes()));
                out
            }
        }
    }

    /// Reads what an asker says.
    ///
    /// # Errors
    /// [`Refused::Foreign`] for another version, [`Refused::Malformed`] for the rest.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        let mut reader = Reader::new(bytes);
        let ask = match reader.u8()? {
            ASK_MANIFEST if reader.u8()? != VERSION => return Err(Refused::Foreign("a snapshot of another version")),
            ASK_MANIFEST => {
                let (epoch, flag) = (reader.u32()?, reader.u8()?);
                ensure(flag <= 1, "an unknown flag")?;
                Self::Manifest { epoch, fresh: flag == 1 }
            }
            ASK_FRAMES => {
                let id = reader.array()?;
                let mut places = Vec::new();
                while reader.left() > 0 {
                    ensure(places.len() < WINDOW, "too many frames are asked for at once")?;
                    places.push(reader.u32()?);
                }
                ensure(!places.is_empty(), "no frame is asked for")?;
                Self::Frames { id, places }
            }
            _ => return Err(Refused::Malformed("an unknown frame")),
        };
        reader.end()?;
        Ok(ask)
    }
}

impl Lent {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Manifest(piece) => {
                out.push(MANIFEST);
                piece.write(&mut out);
            }
            Self::Frame { place, piece } => {
                out.push(FRAME);
                out.extend_from_slice(&place.to_le_bytes());
                piece.write(&mut out);
            }
            Self::Later { millis } => {
                out.push(LATER);
                out.extend_from_slice(&millis.to_le_bytes());
            }
            Self::Nothing => out.push(NOTHING),
        }
        out
    }

    /// Reads what a lender says.
    ///
    /// # Errors
    /// [`Refused::Malformed`].
    pub fn decode(bytes: &Bytes) -> Result<Self, Refused> {
        let mut reader = Reader::new(bytes);
        let lent = match reader.u8()? {
            MANIFEST => Self::Manifest(Piece::read(&mut reader, bytes, MANIFEST_MAX)?),
            FRAME => {
                let place = reader.u32()?;
                ensure((place as usize) < FRAMES_MAX, "a frame without a place")?;
                // What does not pack grows a little.
                Self::Frame { place, piece: Piece::read(&mut reader, bytes, PLAIN_MAX + PLAIN_MAX / 128)? }
            }
            LATER => Self::Later { millis: reader.u32()? },
            NOTHING => Self::Nothing,
            _ => return Err(Refused::Malformed("an unknown frame")),
        };
        reader.end()?;
        Ok(lent)
    }
}

impl Piece {
    /// The piece of `whole` at `offset`.
    pub fn of(whole: &[u8], offset: usize) -> Self {
        let end = whole.len().min(offset + PIECE_MAX);
        let number = |n: usize| u32::try_from(n).expect("a whole is far below 4 GiB");
        Self { offset: number(offset), total: number(whole.len()), bytes: Bytes::copy_from_slice(&whole[offset..end]) }
    }

    /// Returns whether nothing follows it.
    pub fn is_last(&self) -> bool {
        self.offset as usize + self.bytes.len() == self.total as usize
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.total.to_le_bytes());
        put_sized(out, &self.bytes);
    }

    fn read(reader: &mut Reader<'_>, whole: &Bytes, max: usize) -> Result<Self, Refused> {
        let (offset, total) = (reader.u32()?, reader.u32()?);
        let bytes = whole.slice_ref(reader.sized(PIECE_MAX)?);
        let end = u64::from(offset) + bytes.len() as u64;
        ensure(!bytes.is_empty() && total as usize <= max && end <= u64::from(total), "a piece is out of range")?;
        Ok(Self { offset, total, bytes })
    }
}

/// Something that comes in pieces.
#[derive(Debug, Default)]
pub struct Gathering(Vec<u8>);

impl Gathering {
    /// Adds a piece; returns the whole when it was the last one.
    ///
    /// # Errors
    /// [`Refused::Malformed`] when it does not follow the one before.
    pub fn add(&mut self, piece: &Piece) -> Result<Option<Vec<u8>>, Refused> {
        ensure(piece.offset as usize == self.0.len(), "a piece does not follow the one before")?;
        self.0.extend_from_slice(&piece.bytes);
        Ok(piece.is_last().then(|| std::mem::take(&mut self.0)))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// What is asked.
    pub fn asks() -> Vec<Ask> {
        vec![
            Ask::Manifest { epoch: 7, fresh: true },
            Ask::Frames { id: [4; 32], places: (0..32).collect() },
            Ask::Frames { id: [4; 32], places: vec![65_000] },
        ]
    }

    /// What is answered.
    pub fn lents() -> Vec<Lent> {
        let piece = Piece::of(b"whole", 2);
        vec![
            Lent::Manifest(piece.clone()),
            Lent::Frame { place: 3, piece },
            Lent::Later { millis: 5_000 },
            Lent::Nothing,
        ]
    }

    #[test]
    fn what_is_said_reads_back() {
        for ask in asks() {
            assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
        }
        for lent in lents() {
            assert_eq!(Lent::decode(&lent.encode().into()), Ok(lent));
        }
    }

    #[test]
    fn pieces_make_the_whole_in_their_order_only() {
        let whole: Vec<u8> = (0..PIECE_MAX * 2 + 5).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let pieces: Vec<Piece> = (0..3).map(|n| Piece::of(&whole, n * PIECE_MAX)).collect();
        let mut gathering = Gathering::default();
        assert_eq!(gathering.add(&pieces[0]), Ok(None));
        assert!(gathering.add(&pieces[2]).is_err());
        assert_eq!(gathering.add(&pieces[1]), Ok(None));
        assert_eq!(gathering.add(&pieces[2]), Ok(Some(whole)));
    }

    #[test]
    fn limits_hold() {
        let many = Ask::Frames { id: [4; 32], places: (0..33).collect() };
        assert!(Ask::decode(&many.encode()).is_err());
        assert!(Ask::decode(&Ask::Frames { id: [4; 32], places: Vec::new() }.encode()).is_err());
        let long = Piece { offset: 0, total: u32::MAX, bytes: Bytes::from_static(b"x") };
        assert!(Lent::decode(&Lent::Manifest(long).encode().into()).is_err());
        let beyond = Piece { offset: 5, total: 5, bytes: Bytes::from_static(b"x") };
        assert!(Lent::decode(&Lent::Manifest(beyond).encode().into()).is_err());
        let foreign = [&[1, 9][..], &[0; 5]].concat();
        assert!(matches!(Ask::decode(&foreign), Err(Refused::Foreign(_))));
    }
}
