//! Reads a document: what [`super::write_document`] wrote in the memory of one change, any other one whole.
use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{Automerge, ObjId, ROOT, ReadDoc, ScalarValue, Value};

use crate::crdt::Refused;
use crate::crdt::automerge::formats::change::{self, CHUNK_READ_MAX};
use crate::crdt::automerge::formats::clock::Hash;
use crate::crdt::automerge::formats::model::genesis;
use crate::crdt::automerge::formats::model::{self, BUCKETS, GENESIS, Key};
use crate::model::Pin;
use crate::wire::pin::PinError;

/// The longest document that is read whole, in bytes; it takes some times as much memory.
const WHOLE_MAX: u64 = 4 << 30;

/// Pins with their records.
type Entries = Vec<(Pin, Vec<u8>)>;

/// Bytes before the length of a chunk: magic, checksum, kind.
const FRONT: usize = 9;

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The stream fails.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Automerge does not load it.
    #[error("this is no Automerge document: {0}")]
    NoDocument(String),
    /// It is longer than what is read whole.
    #[error(
        "the document is longer than {WHOLE_MAX} bytes, and only what `state export` writes is read piece by piece"
    )]
    TooLong,
    /// A change is not what an export holds.
    #[error(
        "change {n} is not one that `state export` writes ({cause}): if somebody added to the file, load it with Automerge \
         and save it whole, and import that"
    )]
    Change {
        /// Which, from 1.
        n: u64,
        /// Why not.
        cause: Refused,
    },
    /// The root has something else than the maps of a pinset.
    #[error("the document has {0:?} where a pinset has maps of pins")]
    NoPinset(String),
    /// A key that spells no CID, or a value that is no pin.
    #[error("the document's entry {key:?} is no pin: {cause}")]
    NoPin {
        /// Its key.
        key: String,
        /// Why not.
        cause: String,
    },
}

/// Reads the pins of a document.
pub struct Reader<R> {
    input: R,
    mode: Mode,
}

enum Mode {
    /// Nothing is read yet.
    Begin,
    /// Changes that an export wrote, one after the other.
    Changes { n: u64, last: Hash },
    /// The maps of a document that are not read yet.
    Maps { document: Box<Automerge>, maps: VecDeque<ObjId> },
}

impl<R: BufRead> Reader<R> {
    /// The document that `input` holds.
    pub const fn new(input: R) -> Self {
        Self { input, mode: Mode::Begin }
    }

    /// Returns the next pins, at least one, each with its record; [`None`] at the end.
    ///
    /// # Errors
    /// [`DocumentError`]; nothing can be read afterwards.
    pub fn entries(&mut self) -> Result<Option<Entries>, DocumentError> {
        if matches!(self.mode, Mode::Begin) {
            self.mode = self.begin()?;
        }
        let Self { input, mode } = self;
        match mode {
            Mode::Begin => Ok(None),
            Mode::Changes { n, last } => next_change(input, n, last),
            Mode::Maps { document, maps } => next_map(document, maps),
        }
    }

    /// An export begins with the genesis to the byte.
    fn begin(&mut self) -> Result<Mode, DocumentError> {
        let genesis = genesis::chunk();
        let mut head = Vec::with_capacity(genesis.len());
        self.input.by_ref().take(genesis.len() as u64).read_to_end(&mut head)?;
        if head == genesis {
            return Ok(Mode::Changes { n: 0, last: GENESIS });
        }
        if head.is_empty() {
            return Err(DocumentError::NoDocument("it is empty".into()));
        }
        self.input.by_ref().take(WHOLE_MAX).read_to_end(&mut head)?;
        if head.len() as u64 >= WHOLE_MAX {
            return Err(DocumentError::TooLong);
        }
        let loaded = catch_unwind(AssertUnwindSafe(|| Automerge::load(&head)));
        let loaded = loaded.map_err(|_| DocumentError::NoDocument("its decoder panicked".into()))?;
        let document = loaded.map_err(|error| DocumentError::NoDocument(error.to_string()))?;
        let maps = maps(&document)?;
        Ok(Mode::Maps { document: Box::new(document), maps })
    }
}

fn maps(document: &Automerge) -> Result<VecDeque<ObjId>, DocumentError> {
    let mut maps = VecDeque::new();
    for item in document.map_range(&ROOT, ..) {
        let (key, id) = (item.key.to_string(), item.id());
        let is_bucket = u32::from_str_radix(&key, 16).is_ok_and(|n| n < BUCKETS && genesis::bucket_name(n) == key);
        if !is_bucket || document.object_type(&id).ok() != Some(automerge::ObjType::Map) {
            return Err(DocumentError::NoPinset(key));
        }
        maps.push_back(id);
    }
    Ok(maps)
}

fn next_map(document: &Automerge, maps: &mut VecDeque<ObjId>) -> Result<Option<Entries>, DocumentError> {
    while let Some(map) = maps.pop_front() {
        let mut pins = Vec::new();
        for key in document.keys(&map) {
            let no_pin = |cause: &str| DocumentError::NoPin { key: key.clone(), cause: cause.into() };
            let value = document.get(&map, key.as_str()).map_err(|error| no_pin(&error.to_string()))?;
            let Some((Value::Scalar(scalar), _)) = value else { return Err(no_pin("it is an object")) };
            let ScalarValue::Bytes(record) = scalar.as_ref() else { return Err(no_pin("it is not bytes")) };
            let key = Key::parse(&key).ok_or_else(|| no_pin("the key spells no CID"))?;
            pins.push(pin(&key, record.clone())?);
        }
        if !pins.is_empty() {
            return Ok(Some(pins));
        }
    }
    Ok(None)
}

fn pin(key: &Key, record: Vec<u8>) -> Result<(Pin, Vec<u8>), DocumentError> {
    let no_pin = |error: PinError| DocumentError::NoPin { key: key.as_str().into(), cause: error.to_string() };
    Ok((model::pin(key, &record).map_err(no_pin)?, record))
}

fn next_change(input: &mut impl BufRead, n: &mut u64, last: &mut Hash) -> Result<Option<Entries>, DocumentError> {
    let refused = |n: u64, cause| DocumentError::Change { n, cause };
    *n += 1;
    let Some(chunk) = chunk(input).map_err(|error| match error {
        ChunkError::Io(error) => error.into(),
        ChunkError::Refused(cause) => refused(*n, cause),
    })?
    else {
        return Ok(None);
    };
    let change = change::decode(&chunk).map_err(|cause| refused(*n, cause))?;
    if change.deps != [*last] {
        return Err(refused(*n, Refused::Malformed("it does not follow the one before")));
    }
    *last = change.hash;
    let puts = change.ops.into_iter().map(|op| match op.put {
        Some(record) if op.preds.is_empty() => pin(&op.key, record),
        Some(_) | None => Err(refused(*n, Refused::Malformed("it replaces or removes pins"))),
    });
    puts.collect::<Result<_, _>>().map(Some)
}

enum ChunkError {
    Io(io::Error),
    Refused(Refused),
}

impl From<io::Error> for ChunkError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Refused(Refused::Malformed("it is cut short"));
        }
        Self::Io(error)
    }
}

/// Reads one chunk to the end that its length names.
fn chunk(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, ChunkError> {
    if input.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut chunk = vec![0; FRONT];
    input.read_exact(&mut chunk)?;
    let mut length = 0_usize;
    for shift in (0..21).step_by(7) {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        chunk.push(byte[0]);
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    if chunk.len() + length > CHUNK_READ_MAX {
        return Err(ChunkError::Refused(Refused::Malformed("it is too large")));
    }
    let front = chunk.len();
    chunk.resize(front + length, 0);
    input.read_exact(&mut chunk[front..])?;
    Ok(Some(chunk))
}
