//! The clock: one row an actor, in groups by peer id; its hash says which changes a peer has applied.
use std::fmt;
use std::sync::Arc;

use super::codec::{Reader, ensure, put_sized, put_v};
use crate::crdt::Refused;
use crate::model::PeerId;

/// A BLAKE3-256 hash, or a change's SHA-256.
pub type Hash = [u8; 32];

/// Hash of nothing: the tip of an actor that wrote nothing, or that is forked.
pub const NO_HASH: Hash = [0; 32];

/// First counter value that is not allowed any more: the op space of one epoch.
pub const COUNTER_MAX: u32 = 1 << 31;

/// Greatest length of an actor's bytes: any peer id (34 to 42 bytes) and its 8, with room.
pub const ACTOR_MAX: usize = 64;

/// Bytes that tell the starts of one peer apart.
pub const SUFFIX: usize = 8;

/// One start of one peer: the peer id and 8 random bytes; ordered by its bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor(Arc<[u8]>);

impl Actor {
    /// The actor of the start of `peer` that drew `suffix`.
    pub fn new(peer: PeerId, suffix: [u8; SUFFIX]) -> Self {
        Self([&peer.to_bytes()[..], &suffix].concat().into())
    }

    /// Reads an actor; [`None`] when the bytes are no peer id in its one spelling and 8 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (peer, _) = bytes.split_last_chunk::<SUFFIX>()?;
        (bytes.len() <= ACTOR_MAX && peer_from_bytes(peer).is_some()).then(|| Self(bytes.into()))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whose it is.
    pub fn peer(&self) -> PeerId {
        PeerId::from_bytes(self.peer_bytes()).expect("an actor begins with a peer id")
    }

    /// The bytes of its peer id; actors of one peer follow each other in order.
    pub fn peer_bytes(&self) -> &[u8] {
        &self.0[..self.0.len() - SUFFIX]
    }

    /// The bytes that tell it from other starts of its peer.
    pub fn suffix(&self) -> [u8; SUFFIX] {
        *self.0.last_chunk().expect("an actor ends with its suffix")
    }

    /// Appends it with its length.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_sized(out, &self.0);
    }

    /// Takes an actor and its length.
    ///
    /// # Errors
    /// [`Refused::Malformed`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        Self::from_bytes(reader.sized(ACTOR_MAX)?).ok_or(Refused::Malformed("an actor is no peer id and 8 bytes"))
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.peer(), hex::encode(self.suffix()))
    }
}

/// Appends a peer id with its length.
pub fn put_peer(out: &mut Vec<u8>, peer: &PeerId) {
    put_sized(out, &peer.to_bytes());
}

/// Takes a peer id and its length.
///
/// # Errors
/// [`Refused::Malformed`].
pub fn read_peer(reader: &mut Reader<'_>) -> Result<PeerId, Refused> {
    peer_from_bytes(reader.sized(ACTOR_MAX)?).ok_or(Refused::Malformed("no peer id"))
}

fn peer_from_bytes(bytes: &[u8]) -> Option<PeerId> {
    PeerId::from_bytes(bytes).ok().filter(|peer| peer.as_ref().to_bytes() == bytes)
}

/// What is applied of one actor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Its last change that is applied; 0 when none is.
    pub seq: u32,
    /// The greatest counter of its changes.
    pub max_op: u32,
    /// Hash of its last change; [`NO_HASH`] at a fork point.
    pub tip: Hash,
    /// Whether no applied change has that one as a dependency.
    pub head: bool,
}

impl Row {
    /// The value of its row in the clock's table.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(43);
        put_v(&mut out, self.seq.into());
        put_v(&mut out, self.max_op.into());
        out.push(u8::from(self.head));
        out.extend_from_slice(&self.tip);
        out
    }

    /// Reads what [`Row::encode`] wrote; [`None`] when it is damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (seq, max_op) = (reader.v32().ok()?, reader.v32().ok()?);
        let head = match reader.u8().ok()? {
            flag @ (0 | 1) => flag == 1,
            _ => return None,
        };
        let row = Self { seq, max_op, tip: reader.array().ok()?, head };
        reader.end().ok()?;
        Some(row)
    }
}

/// Where the history of a forked actor ends for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fork {
    /// The first seq that is refused.
    pub s: u32,
    /// The greatest counter before it.
    pub m: u32,
}

/// A change that another one has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dep {
    /// Whose it is.
    pub actor: Actor,
    /// Its seq, from 1.
    pub seq: u32,
    /// The greatest counter in it, as its dependant claims.
    pub max_op: u32,
    /// Its hash.
    pub hash: Hash,
}

impl Dep {
    /// Appends it: actor, seq, `max_op`, hash.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.actor.write(out);
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.max_op.to_le_bytes());
        out.extend_from_slice(&self.hash);
    }

    /// Takes what [`Dep::write`] appended.
    ///
    /// # Errors
    /// [`Refused::Malformed`]; also for seq 0 and a counter out of range.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        let actor = Actor::read(reader)?;
        let dep = Self { actor, seq: reader.u32()?, max_op: reader.u32()?, hash: reader.array()? };
        ensure(dep.seq > 0 && dep.max_op < COUNTER_MAX, "a dependency is out of range")?;
        Ok(dep)
    }
}

/// The clock rows of one peer's starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Whose starts.
    pub peer: PeerId,
    /// One a start, in the order of their suffixes.
    pub rows: Vec<GroupRow>,
}

/// One start in a [`Group`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// The 8 bytes of its actor.
    pub suffix: [u8; SUFFIX],
    /// What is applied of it; seq 0 when a fork at seq 1 left nothing.
    pub row: Row,
    /// Where it forked.
    pub fork: Option<Fork>,
}

/// Bytes of the smallest row of a group: what bounds the count that it claims.
const GROUP_ROW_MIN: usize = 13;

const HEAD: u8 = 1;
const FORKED: u8 = 2;

impl GroupRow {
    /// Appends suffix, seq, `max_op`, flags, then s and m when forked, then the tip where there is one.
    ///
    /// A row at its fork point has no tip: its last change depends on which branch came first.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.suffix);
        put_v(out, self.row.seq.into());
        put_v(out, self.row.max_op.into());
        out.push(if self.row.head { HEAD } else { 0 } | if self.fork.is_some() { FORKED } else { 0 });
        if let Some(fork) = self.fork {
            put_v(out, fork.s.into());
            put_v(out, fork.m.into());
        }
        if has_tip(self.row.seq, self.fork) {
            out.extend_from_slice(&self.row.tip);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        let (suffix, seq, max_op, flags) = (reader.array()?, reader.v32()?, reader.v32()?, reader.u8()?);
        let fork = match flags {
            0 | HEAD => None,
            _ if flags <= HEAD | FORKED => Some(Fork { s: reader.v32()?, m: reader.v32()? }),
            _ => return Err(Refused::Malformed("a clock row has unknown flags")),
        };
        let tip = if has_tip(seq, fork) { reader.array()? } else { NO_HASH };
        let row = Row { seq, max_op, tip, head: flags & HEAD != 0 };
        let in_range = max_op < COUNTER_MAX
            && fork.map_or(seq > 0, |fork| fork.s > seq && max_op <= fork.m && fork.m < COUNTER_MAX);
        ensure(in_range, "a clock row is out of range")?;
        Ok(Self { suffix, row, fork })
    }
}

fn has_tip(seq: u32, fork: Option<Fork>) -> bool {
    seq > 0 && fork.is_none_or(|fork| seq < fork.s.saturating_sub(1))
}

impl Group {
    /// Appends peer id, count and rows.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_peer(out, &self.peer);
        put_v(out, self.rows.len() as u64);
        self.rows.iter().for_each(|row| row.write(out));
    }

    /// Takes what [`Group::write`] appended.
    ///
    /// # Errors
    /// [`Refused::Malformed`]; also when rows are not ascending or out of range.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        let peer = read_peer(reader)?;
        let count = usize::try_from(reader.v()?).unwrap_or(usize::MAX);
        if count > reader.left() / GROUP_ROW_MIN {
            return Err(Refused::Malformed("a group claims more rows than it has"));
        }
        let rows = (0..count).map(|_| GroupRow::read(reader)).collect::<Result<Vec<_>, _>>()?;
        ensure(rows.is_sorted_by(|a, b| a.suffix < b.suffix), "the rows of a group are not in order")?;
        Ok(Self { peer, rows })
    }

    /// The actor of one of its rows.
    pub fn actor(&self, row: &GroupRow) -> Actor {
        Actor::new(self.peer, row.suffix)
    }

    /// Hash of what [`Group::write`] appends.
    pub fn hash(&self) -> Hash {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        blake3::hash(&bytes).into()
    }
}

/// Hash of a clock: over each group's peer id and hash, ascending by the bytes of the peer ids.
pub fn clock_hash<'a>(groups: impl IntoIterator<Item = (&'a PeerId, &'a Hash)>) -> Hash {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = Vec::with_capacity(80);
    for (peer, hash) in groups {
        bytes.clear();
        put_peer(&mut bytes, peer);
        bytes.extend_from_slice(hash);
        hasher.update(&bytes);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests;
