//! One change: what an author writes, and the Automerge chunk that carries it.
use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::legacy::{Key as LegacyKey, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, Change, ChangeHash, ExpandedChange, ScalarValue};

use super::clock::{ACTOR_MAX, Actor, COUNTER_MAX, Dep, Hash};
use super::codec::{Reader, ensure};
use super::columns::{Columns, all_false, deltas, numbers, texts};
use super::model::{BUCKETS, GENESIS, GENESIS_ACTOR, KEY_MAX, Key};
use crate::crdt::{MAX_RECORD, Refused};

/// Ops a change may have.
pub const OPS_MAX: usize = 500;

/// Predecessors an op may have: what is more takes several changes.
pub const PREDS_MAX: usize = 512;

/// Predecessors that all ops of a change may have: what bounds the work that a run length can ask for.
pub const CHANGE_PREDS_MAX: usize = 4096;

/// Actors other than the author that the predecessors of one change may name: each costs the chunk its bytes.
pub const FOREIGN_ACTORS_MAX: usize = 512;

/// Greatest chunk that an author writes: with header and dependencies it is an envelope that gossip carries, 48 KiB.
pub const CHUNK_WRITE_MAX: usize = 40 * 1024;

/// Greatest chunk of more than one op that an author writes: with header and some dependencies it is a row of 32 KiB. The
/// database's pages double in size, and one byte more would take 64 KiB.
pub const CHUNK_FILL: usize = 32 * 1024;

/// Greatest chunk that is read.
pub const CHUNK_READ_MAX: usize = 64 * 1024;

/// The id of an entry: who wrote it, as which op; ordered by (counter, actor bytes), the greatest wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// Lamport counter.
    pub counter: u32,
    /// Who wrote it.
    pub actor: Actor,
}

/// What a change does to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeOp {
    /// The key.
    pub key: Key,
    /// The record to put; [`None`] removes.
    pub put: Option<Vec<u8>>,
    /// The live entries that it replaces, greatest first.
    pub preds: Vec<Dot>,
}

/// Adds ops up to what one change may hold, so that a writer knows when the next one begins.
#[derive(Debug, Default)]
pub struct Budget {
    ops: usize,
    preds: usize,
    bytes: usize,
    actors: BTreeSet<Actor>,
}

/// Bytes of a chunk without its ops at most: framing, author, 64 dependencies, column table.
const FRONT_BYTES: usize = 2_300;

/// Bytes of an op in the columns of numbers at most.
const OP_BYTES: usize = 16;

/// Bytes of a predecessor in the columns of numbers at most.
const PRED_BYTES: usize = 8;

/// Predecessors that an op may name beside a record of so many bytes, so that it fits into a change.
pub fn preds_room(record: usize) -> usize {
    let taken = FRONT_BYTES + OP_BYTES + KEY_MAX + record;
    PREDS_MAX.min(CHUNK_WRITE_MAX.saturating_sub(taken) / (PRED_BYTES + 1 + ACTOR_MAX))
}

impl Budget {
    /// Returns whether `op` fits beside what was taken before, and takes it; the first one always fits.
    pub fn take(&mut self, op: &ChangeOp) -> bool {
        let new: BTreeSet<&Actor> =
            op.preds.iter().map(|dot| &dot.actor).filter(|actor| !self.actors.contains(actor)).collect();
        let actors: usize = new.iter().map(|actor| 1 + actor.as_bytes().len()).sum();
        let record = op.put.as_ref().map_or(0, Vec::len);
        let bytes = self.bytes + OP_BYTES + PRED_BYTES * op.preds.len() + op.key.as_bytes().len() + record + actors;
        let fits = self.ops < OPS_MAX
            && self.preds + op.preds.len() <= CHANGE_PREDS_MAX
            && self.actors.len() + new.len() <= FOREIGN_ACTORS_MAX
            && FRONT_BYTES + bytes <= CHUNK_FILL;
        if fits || self.ops == 0 {
            let new: Vec<Actor> = new.into_iter().cloned().collect();
            self.actors.extend(new);
            (self.ops, self.preds, self.bytes) = (self.ops + 1, self.preds + op.preds.len(), bytes);
            return true;
        }
        false
    }
}

/// A change before it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The author.
    pub actor: Actor,
    /// Which change of the author, from 1.
    pub seq: u32,
    /// Counter of the first op.
    pub start_op: u32,
    /// Hash and greatest counter of the author's change before; [`None`] with seq 1.
    pub prev: Option<(Hash, u32)>,
    /// What else it has seen, ascending by actor bytes.
    pub deps: Vec<Dep>,
    /// What it does; op n has counter `start_op` + n.
    pub ops: Vec<ChangeOp>,
}

/// A change read from a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The author.
    pub actor: Actor,
    /// Which change of the author.
    pub seq: u32,
    /// Counter of the first op.
    pub start_op: u32,
    /// Hashes of what it has seen, ascending.
    pub deps: Vec<Hash>,
    /// What it does.
    pub ops: Vec<ChangeOp>,
    /// Its hash.
    pub hash: Hash,
}

/// Encodes `draft` as an Automerge chunk, and returns it with its hash.
pub fn encode(draft: &Draft) -> (Vec<u8>, Hash) {
    let hashes = hashes(draft.prev.as_ref().map(|(hash, _)| hash), &draft.deps);
    chunk(&draft.actor, draft.seq, draft.start_op, &hashes, &draft.ops)
}

/// The dependencies of a chunk: those of the change, or the genesis when it has none; ascending.
pub fn hashes<'a>(prev: Option<&'a Hash>, deps: &'a [Dep]) -> Vec<Hash> {
    let seen: BTreeSet<Hash> = prev.into_iter().chain(deps.iter().map(|dep| &dep.hash)).copied().collect();
    if seen.is_empty() { vec![GENESIS] } else { seen.into_iter().collect() }
}

fn chunk(actor: &Actor, seq: u32, start_op: u32, deps: &[Hash], ops: &[ChangeOp]) -> (Vec<u8>, Hash) {
    let change = Change::from(ExpandedChange {
        operations: ops.iter().map(operation).collect(),
        actor_id: ActorId::from(actor.as_bytes()),
        hash: None,
        seq: seq.into(),
        start_op: NonZeroU64::new(start_op.into()).unwrap_or(NonZeroU64::MIN),
        time: 0,
        message: None,
        deps: deps.iter().copied().map(ChangeHash).collect(),
        extra_bytes: Vec::new(),
        author: None,
    });
    (change.raw_bytes().to_vec(), change.hash().0)
}

fn operation(op: &ChangeOp) -> Op {
    let pred = |dot: &Dot| OpId(dot.counter.into(), ActorId::from(dot.actor.as_bytes()));
    Op {
        action: match &op.put {
            Some(record) => OpType::Put(ScalarValue::Bytes(record.clone())),
            None => OpType::Delete,
        },
        obj: ObjectId::Id(OpId(u64::from(op.key.bucket()) + 1, ActorId::from(GENESIS_ACTOR))),
        key: LegacyKey::Map(op.key.as_str().into()),
        pred: op.preds.iter().map(pred).collect(),
        insert: false,
    }
}

/// Reads a chunk that anybody may have sent.
///
/// The library never sees these bytes: what was read is encoded again by it, and has to be the same chunk.
///
/// # Errors
/// [`Refused::Malformed`] for anything that [`encode`] does not write; [`Refused::Panicked`].
pub fn decode(bytes: &[u8]) -> Result<Decoded, Refused> {
    let (front, columns) = Front::read(bytes)?;
    let ops = front.ops(&columns)?;
    let Front { actor, seq, start_op, deps, .. } = front;
    let again = catch_unwind(AssertUnwindSafe(|| chunk(&actor, seq, start_op, &deps, &ops)));
    let (again, hash) = again.map_err(|_| Refused::Panicked)?;
    ensure(again == bytes, "a change is not in its canonical form")?;
    Ok(Decoded { actor, seq, start_op, deps, ops, hash })
}

/// What stands before the columns.
struct Front<'a> {
    actor: Actor,
    seq: u32,
    start_op: u32,
    deps: Vec<Hash>,
    /// The actors that columns name by number: the author, then the others ascending.
    actors: Vec<&'a [u8]>,
}

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
const PLAIN_CHANGE: u8 = 1;

/// Dependencies of a chunk: prev and 63 more.
const CHUNK_DEPS_MAX: usize = 64;

impl<'a> Front<'a> {
    fn read(bytes: &'a [u8]) -> Result<(Self, Columns<'a>), Refused> {
        if bytes.len() > CHUNK_READ_MAX {
            return Err(Refused::Malformed("a change is too large"));
        }
        let mut reader = Reader::new(bytes);
        let (magic, _checksum, kind) = (reader.array()?, reader.array::<4>()?, reader.u8()?);
        if magic != MAGIC || kind != PLAIN_CHANGE || reader.v()? != reader.left() as u64 {
            return Err(Refused::Malformed("not a plain change"));
        }
        let deps = (0..bounded(&mut reader, CHUNK_DEPS_MAX)?).map(|_| reader.array()).collect::<Result<_, _>>()?;
        let author = reader.sized(ACTOR_MAX)?;
        let (seq, start_op) = (reader.v32()?, reader.v32()?);
        if seq == 0 || start_op <= BUCKETS || start_op >= COUNTER_MAX {
            return Err(Refused::Malformed("a change is out of range"));
        }
        if reader.array()? != [0, 0] {
            return Err(Refused::Malformed("a change has a time or a message"));
        }
        let mut actors = vec![author];
        for _ in 0..bounded(&mut reader, FOREIGN_ACTORS_MAX + 1)? {
            actors.push(reader.sized(ACTOR_MAX)?);
        }
        let actor = Actor::from_bytes(author).ok_or(Refused::Malformed("the author is no actor"))?;
        Ok((Self { actor, seq, start_op, deps, actors }, Columns::read(reader)?))
    }

    fn ops(&self, columns: &Columns<'_>) -> Result<Vec<ChangeOp>, Refused> {
        let actions = numbers(columns.action, OPS_MAX)?;
        let count = actions.len();
        let last = u32::try_from(count).ok().and_then(|count| self.start_op.checked_add(count));
        if count == 0 || last.is_none_or(|last| last > COUNTER_MAX) || !all_false(columns.insert, count) {
            return Err(Refused::Malformed("the ops of a change are out of range"));
        }
        let keys = keys(columns, count)?;
        self.check_objects(columns, &keys)?;
        let values = puts(columns, &actions)?.into_iter().zip(self.preds(columns, count)?);
        let ops = keys.into_iter().zip(values).map(|(key, (put, preds))| ChangeOp { key, put, preds });
        let ops: Vec<_> = ops.collect();
        ensure(ops.iter().all(|op| op.put.is_some() || !op.preds.is_empty()), "a removal names nothing")?;
        Ok(ops)
    }

    /// Each op is on the genesis' map of its key's bucket.
    fn check_objects(&self, columns: &Columns<'_>, keys: &[Key]) -> Result<(), Refused> {
        let (actors, counters) = (numbers(columns.object_actor, OPS_MAX)?, numbers(columns.object_counter, OPS_MAX)?);
        let genesis = |actor: &u32| self.actors.get(*actor as usize).is_some_and(|actor| *actor == GENESIS_ACTOR);
        let same_length = actors.len() == keys.len() && counters.len() == keys.len();
        let mut objects = counters.iter().zip(keys);
        let right = actors.iter().all(genesis) && objects.all(|(n, key)| *n == u32::from(key.bucket()) + 1);
        ensure(same_length && right, "an op is on another object")
    }

    /// The predecessors of each op, greatest first.
    fn preds(&self, columns: &Columns<'_>, count: usize) -> Result<Vec<Vec<Dot>>, Refused> {
        const WRONG: Refused = Refused::Malformed("the predecessors of an op are out of range");
        let counts = numbers(columns.pred_count, OPS_MAX)?;
        let total: usize = counts.iter().map(|n| *n as usize).sum();
        if counts.len() != count || counts.iter().any(|n| *n as usize > PREDS_MAX) || total > CHANGE_PREDS_MAX {
            return Err(WRONG);
        }
        let (actors, counters) = (numbers(columns.pred_actor, total)?, deltas(columns.pred_counter, total)?);
        if actors.len() != total || counters.len() != total {
            return Err(WRONG);
        }
        let known: Vec<_> = self.actors.iter().map(|bytes| Actor::from_bytes(bytes)).collect();
        let mut dots = actors.iter().zip(counters).map(|(actor, counter)| {
            let actor = known.get(*actor as usize)?.clone()?;
            (1..COUNTER_MAX).contains(&counter).then_some(Dot { counter, actor })
        });
        let of_one = |n: &u32| {
            let mut preds = dots.by_ref().take(*n as usize).collect::<Option<Vec<_>>>().ok_or(WRONG)?;
            preds.reverse();
            if preds.is_sorted_by(|a, b| a > b) { Ok(preds) } else { Err(WRONG) }
        };
        counts.iter().map(of_one).collect()
    }
}

/// The key of each op; no two ops have one key.
fn keys(columns: &Columns<'_>, count: usize) -> Result<Vec<Key>, Refused> {
    let texts = texts(columns.key, OPS_MAX, KEY_MAX)?;
    let keys: Option<Vec<_>> = texts.into_iter().map(Key::parse).collect();
    let keys = keys.ok_or(Refused::Malformed("a key is no CID in its one spelling"))?;
    ensure(keys.len() == count && keys.iter().collect::<BTreeSet<_>>().len() == count, "two ops on one key")?;
    Ok(keys)
}

/// The record of each op that puts one.
fn puts(columns: &Columns<'_>, actions: &[u32]) -> Result<Vec<Option<Vec<u8>>>, Refused> {
    const PUT: u32 = 1;
    const DELETE: u32 = 3;
    const BYTES: u32 = 7;
    let metas = numbers(columns.value_meta, OPS_MAX)?;
    let mut values = Reader::new(columns.value);
    let mut value = |(action, meta): (&u32, &u32)| match (*action, meta & 0xf, (meta >> 4) as usize) {
        (PUT, BYTES, length) if length <= MAX_RECORD => Ok(Some(values.bytes(length)?.to_vec())),
        (DELETE, 0, 0) => Ok(None),
        _ => Err(Refused::Malformed("an op neither puts a record nor removes")),
    };
    if metas.len() != actions.len() {
        return Err(Refused::Malformed("the values of a change are out of range"));
    }
    let puts = actions.iter().zip(&metas).map(&mut value).collect::<Result<Vec<_>, _>>()?;
    values.end()?;
    Ok(puts)
}

fn bounded(reader: &mut Reader<'_>, max: usize) -> Result<usize, Refused> {
    match reader.v32()? as usize {
        count if count <= max => Ok(count),
        _ => Err(Refused::Malformed("a list is above its limit")),
    }
}

#[cfg(test)]
pub mod tests;
