//! What an import reads: pins of either format, with the bytes that they were read from.
use std::collections::VecDeque;
use std::io::BufRead;

use ipfs_cluster::crdt::automerge::inspect::DocumentReader;
use ipfs_cluster::model::{PeerId, Pin, Replication};
use ipfs_cluster::task::Fatal;
use ipfs_cluster::wire::rest;

use super::format::Format;
use super::objects::Objects;

/// What an import puts in the place of each pin's own.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// When above 0.
    pub replication_min: i32,
    /// When above 0.
    pub replication_max: i32,
    /// When not empty.
    pub allocations: Vec<PeerId>,
}

impl Overrides {
    fn put_over(&self, pin: &mut Pin) -> Result<(), Fatal> {
        let (min, max) = pin.replication.factors();
        let or = |factor: i32, own: i32| if factor > 0 { factor } else { own };
        let (new_min, new_max) = (or(self.replication_min, min), or(self.replication_max, max));
        if (new_min, new_max) != (min, max) {
            pin.replication = Replication::from_factors(new_min, new_max)?;
        }
        if !self.allocations.is_empty() {
            pin.allocations.clone_from(&self.allocations);
        }
        Ok(())
    }
}

/// The pins of an input, in its order.
pub struct Input<R> {
    objects: Read<R>,
    overrides: Overrides,
    /// Over the bytes of all pins read so far, and over what is put over them.
    hash: blake3::Hasher,
    count: u64,
}

enum Read<R> {
    Json(Objects<R>),
    Document { reader: Box<DocumentReader<R>>, read: VecDeque<(Pin, Vec<u8>)> },
}

impl<R: BufRead> Input<R> {
    /// The pins that `input` holds.
    pub fn new(format: Format, input: R, overrides: Overrides) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(format!("{format:?} {overrides:?}").as_bytes());
        let objects = match format {
            Format::Json | Format::Snapshot => Read::Json(Objects::new(input)),
            Format::Automerge => Read::Document { reader: Box::new(DocumentReader::new(input)), read: VecDeque::new() },
        };
        Self { objects, overrides, hash, count: 0 }
    }

    /// Returns the next pin; [`None`] at the end.
    pub fn pin(&mut self) -> Result<Option<Pin>, Fatal> {
        let pin = match &mut self.objects {
            Read::Json(objects) => {
                let Some(object) = objects.next()? else { return Ok(None) };
                self.count += 1;
                self.hash.update(&object);
                parse(&object)
            }
            Read::Document { reader, read } => {
                if read.is_empty() {
                    let Some(pins) = reader.entries()? else { return Ok(None) };
                    read.extend(pins);
                }
                let Some((pin, record)) = read.pop_front() else { return Ok(None) };
                self.count += 1;
                self.hash.update(&pin.cid.to_bytes()).update(&record);
                Ok(pin)
            }
        };
        let pin = pin.and_then(|mut pin| self.overrides.put_over(&mut pin).map(|()| pin));
        Ok(Some(pin.map_err(|error| format!("pin {} of the import: {error}", self.count))?))
    }

    /// Reads `count` pins to no purpose, unless the input ends before.
    pub fn skip(&mut self, count: u64) -> Result<(), Fatal> {
        while self.count < count && self.pin()?.is_some() {}
        Ok(())
    }

    /// How many pins are read, and a hash over them.
    pub fn read(&self) -> (u64, blake3::Hash) {
        (self.count, self.hash.finalize())
    }
}

fn parse(object: &[u8]) -> Result<Pin, Fatal> {
    Ok(Pin::try_from(serde_json::from_slice::<rest::Pin>(object)?)?)
}
