use automerge::Change;
use automerge::legacy::OpType;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedMutRandom;

use super::{size, told};
use crate::crdt::MAX_RECORD;
use crate::crdt::automerge::formats::change::tests::{encoded_again, samples};
use crate::crdt::automerge::formats::change::{
    CHANGE_PREDS_MAX, CHUNK_READ_MAX, Decoded, OPS_MAX, PREDS_MAX, decode, encode,
};
use crate::crdt::automerge::formats::codec::{Reader, put_sized, put_v};
use crate::fuzz::{Target, boundary, mutated_alone};

/// The columns of a chunk: what stands before them, and each with its specification.
struct Parts {
    front: Vec<u8>,
    columns: Vec<(u64, Vec<u8>)>,
}

/// Columns that changes have, and two that ours never have.
const COLUMNS: [u64; 12] = [0x01, 0x02, 0x15, 0x34, 0x42, 0x56, 0x57, 0x70, 0x71, 0x73, 0x61, 0x1d];

/// Where magic, checksum and kind end.
const BODY: usize = 9;

impl Parts {
    fn read(chunk: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(chunk.get(BODY..)?);
        let body = reader.sized(CHUNK_READ_MAX).ok()?;
        let mut reader = Reader::new(body);
        for _ in 0..reader.v32().ok()? {
            reader.bytes(32).ok()?;
        }
        reader.sized(64).ok()?;
        let _seq_and_start = (reader.v().ok()?, reader.v().ok()?, reader.bytes(2).ok()?);
        for _ in 0..reader.v32().ok()? {
            reader.sized(64).ok()?;
        }
        let front = body[..body.len() - reader.left()].to_vec();
        let count = reader.v32().ok()?;
        let table: Option<Vec<_>> = (0..count).map(|_| Some((reader.v().ok()?, reader.v32().ok()?))).collect();
        let column = |(id, length): (u64, u32)| Some((id, reader.bytes(length as usize).ok()?.to_vec()));
        Some(Self { front, columns: table?.into_iter().map(column).collect::<Option<_>>()? })
    }

    fn write(&self, chunk: &[u8]) -> Vec<u8> {
        let mut body = self.front.clone();
        put_v(&mut body, self.columns.len() as u64);
        for (id, data) in &self.columns {
            put_v(&mut body, *id);
            put_v(&mut body, data.len() as u64);
        }
        self.columns.iter().for_each(|(_, data)| body.extend_from_slice(data));
        let mut out = chunk[..BODY].to_vec();
        put_sized(&mut out, &body);
        out
    }
}

/// Changes columns, or the fields before them, in a chunk that still holds together.
pub fn shaped(rng: &mut StdRng, chunk: &[u8]) -> Option<Vec<u8>> {
    let mut parts = Parts::read(chunk)?;
    for _ in 0..rng.random_range(1..4) {
        let run = boundary(rng);
        let (id, column) = parts.columns.choose_mut(&mut *rng)?;
        match rng.random_range(0..7) {
            0 => put_v(column, run),
            1 => column.clear(),
            2 => column.extend_from_within(..),
            3 => *id = COLUMNS[rng.random_range(0..COLUMNS.len())],
            4 => drop(parts.columns.pop()),
            5 => parts.front = mutated_alone(rng, parts.front),
            _ => *column = mutated_alone(rng, std::mem::take(column)),
        }
        parts.columns.sort_by_key(|(id, _)| *id);
    }
    Some(parts.write(chunk))
}

/// What [`decode`] promises of what it reads.
fn hold(bytes: &[u8], decoded: &Decoded) -> String {
    let ops = &decoded.ops;
    let preds: usize = ops.iter().map(|op| op.preds.len()).sum();
    assert!((1..=OPS_MAX).contains(&ops.len()) && preds <= CHANGE_PREDS_MAX);
    assert!(ops.iter().all(|op| op.preds.len() <= PREDS_MAX && op.preds.is_sorted_by(|a, b| a > b)));
    assert!(ops.iter().all(|op| op.put.as_ref().is_none_or(|record| record.len() <= MAX_RECORD)));
    let library = Change::from_bytes(bytes.to_vec()).expect("the library reads what we read");
    assert_eq!(
        (library.hash().0, library.seq(), library.start_op().get()),
        (decoded.hash, u64::from(decoded.seq), u64::from(decoded.start_op))
    );
    assert_eq!(library.actor_id().to_bytes(), decoded.actor.as_bytes());
    let expanded = library.decode();
    assert_eq!(expanded.operations.len(), ops.len());
    for (theirs, ours) in expanded.operations.iter().zip(ops) {
        let record = if let OpType::Put(value) = &theirs.action { value.as_bytes() } else { None };
        assert_eq!(theirs.action == OpType::Delete, ours.put.is_none());
        assert_eq!((record, theirs.pred.len()), (ours.put.as_deref(), ours.preds.len()));
    }
    let removals = ops.iter().filter(|op| op.put.is_none()).count();
    format!(
        "{} ops, {} removals, {} preds, {} deps",
        size(ops.len()),
        size(removals),
        size(preds),
        size(decoded.deps.len())
    )
}

#[test]
fn fuzz_change() {
    let seeds = samples().into_iter().map(|draft| encode(&draft).0);
    Target::new("change").seeds(seeds).shaped(shaped).up_to(CHUNK_READ_MAX + 9).run(|bytes| {
        match decode(bytes) {
            Ok(decoded) => Ok(hold(bytes, &decoded)),
            Err(refused) => {
                let why = told(&refused);
                // No change of bytes keeps the checksum: what the library makes of the same ops does.
                let Some((again, _)) = encoded_again(bytes) else { return Err(why) };
                let decoded = decode(&again).map_err(|refused| format!("again {}", told(&refused)))?;
                Ok(format!("again {}", hold(&again, &decoded)))
            }
        }
    });
}
