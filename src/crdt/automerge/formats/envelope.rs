//! The signed header of a change, the envelope that carries it, and the check that needs nothing else.
use bytes::Bytes;
use libp2p::identity::Keypair;

use super::change::{self, CHUNK_READ_MAX, ChangeOp, Decoded, Dot, Draft, OPS_MAX};
use super::clock::{Actor, COUNTER_MAX, Dep, Hash, NO_HASH};
use super::codec::{Reader, ensure, put_sized};
use super::model::BUCKETS;
use super::signature::{Domain, KEY_MAX, SIGNATURE_MAX, key_to_send};
use crate::crdt::Refused;

/// The version of header and envelope.
const VERSION: u8 = 1;

/// Greatest number of dependencies beside the author's own previous change.
pub const DEPS_MAX: usize = 63;

/// Greatest envelope that is read: header, dependencies and [`super::change::CHUNK_READ_MAX`].
pub const ENVELOPE_MAX: usize = 80 * 1024;

/// What the author signs of a change; two of one (actor, seq) prove a fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The epoch.
    pub epoch: u32,
    /// The author.
    pub actor: Actor,
    /// Which change of the author, from 1.
    pub seq: u32,
    /// Counter of its first op.
    pub start_op: u32,
    /// Counter of its last op.
    pub max_op: u32,
    /// `max_op` of the author's change before; 0 with seq 1.
    pub prev_max_op: u32,
    /// Hash of the author's change before; zero with seq 1.
    pub prev_hash: Hash,
    /// Hash of the change.
    pub change_hash: Hash,
    /// Hash of the dependencies as sent.
    pub deps_hash: Hash,
    /// The author's public key where the peer id does not hold it; else empty.
    pub key: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

impl Header {
    /// Its bytes: a row of TIPS, a half of a proof.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.fields();
        put_sized(&mut out, &self.signature);
        out
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`Refused::Malformed`], and [`Refused::Foreign`] for another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        let mut reader = Reader::new(bytes);
        let header = Self::read(&mut reader)?;
        reader.end()?;
        Ok(header)
    }

    /// Takes a header from the front of more.
    ///
    /// # Errors
    /// As [`Header::decode`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        if reader.u8()? != VERSION {
            return Err(Refused::Foreign("a change of another version"));
        }
        Ok(Self {
            epoch: reader.u32()?,
            actor: Actor::read(reader)?,
            seq: reader.u32()?,
            start_op: reader.u32()?,
            max_op: reader.u32()?,
            prev_max_op: reader.u32()?,
            prev_hash: reader.array()?,
            change_hash: reader.array()?,
            deps_hash: reader.array()?,
            key: reader.sized(KEY_MAX)?.to_vec(),
            signature: reader.sized(SIGNATURE_MAX)?.to_vec(),
        })
    }

    /// Checks what it says of itself, the epoch and the signature.
    ///
    /// # Errors
    /// [`Refused::Foreign`] for another epoch, [`Refused::Malformed`] for the rest.
    pub fn verify(&self, epoch: u32, cluster_name: &str) -> Result<(), Refused> {
        if self.epoch != epoch {
            return Err(Refused::Foreign("a change of another epoch"));
        }
        self.check()?;
        domain(cluster_name).verify(&self.actor.peer(), &self.key, &self.fields(), &self.signature)
    }

    /// Ops that it announces.
    pub const fn ops(&self) -> usize {
        self.max_op.saturating_sub(self.start_op) as usize + 1
    }

    /// What can be said of a header alone.
    fn check(&self) -> Result<(), Refused> {
        let first = self.seq == 1 && self.prev_hash == NO_HASH && self.prev_max_op == 0;
        let in_range = self.start_op > self.prev_max_op.max(BUCKETS)
            && (self.start_op..COUNTER_MAX).contains(&self.max_op)
            && self.ops() <= OPS_MAX;
        ensure((first || self.seq > 1) && in_range, "a header is out of range")
    }

    /// What the signature is over.
    fn fields(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(320);
        out.push(VERSION);
        out.extend_from_slice(&self.epoch.to_le_bytes());
        self.actor.write(&mut out);
        for number in [self.seq, self.start_op, self.max_op, self.prev_max_op] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for hash in [&self.prev_hash, &self.change_hash, &self.deps_hash] {
            out.extend_from_slice(hash);
        }
        put_sized(&mut out, &self.key);
        out
    }
}

const fn domain(cluster: &str) -> Domain<'_> {
    Domain { purpose: "ipfs-cluster/automerge/1", cluster }
}

/// A change on its way: header, dependencies, chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// What is signed.
    pub header: Header,
    /// What it has seen beside the author's change before, ascending by actor bytes.
    pub deps: Vec<Dep>,
    /// The change.
    pub chunk: Vec<u8>,
}

/// An envelope that passed [`verify`]: what the engine works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What is signed.
    pub header: Header,
    /// What it has seen beside the author's change before, ascending by actor bytes.
    pub deps: Vec<Dep>,
    /// What it does; op n has counter `header.start_op` + n.
    pub ops: Vec<ChangeOp>,
    /// The envelope as sent.
    pub bytes: Bytes,
}

impl Signed {
    /// Bytes that it takes in memory: a run length makes many predecessors of a few bytes.
    pub fn weight(&self) -> usize {
        let preds: usize = self.ops.iter().map(|op| op.preds.len()).sum();
        self.bytes.len() + preds * size_of::<Dot>()
    }
}

impl Envelope {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.header.encode();
        put_deps(&mut out, &self.deps);
        put_sized(&mut out, &self.chunk);
        out
    }

    /// Reads an envelope, without a look into the chunk.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        let mut reader = reader(bytes)?;
        let header = Header::read(&mut reader)?;
        let deps = read_deps(&mut reader)?;
        let chunk = reader.sized(CHUNK_READ_MAX)?.to_vec();
        reader.end()?;
        Ok(Self { header, deps, chunk })
    }
}

/// Encodes and signs `draft`, whose author is the peer of `keypair`.
pub fn seal(draft: &Draft, keypair: &Keypair, epoch: u32, cluster_name: &str) -> Envelope {
    let (chunk, change_hash) = change::encode(draft);
    let (prev_hash, prev_max_op) = draft.prev.unwrap_or((NO_HASH, 0));
    let ops = u32::try_from(draft.ops.len()).unwrap_or(u32::MAX);
    let mut header = Header {
        epoch,
        actor: draft.actor.clone(),
        seq: draft.seq,
        start_op: draft.start_op,
        max_op: draft.start_op.saturating_add(ops).saturating_sub(1),
        prev_max_op,
        prev_hash,
        change_hash,
        deps_hash: hash_of(&draft.deps),
        key: key_to_send(keypair),
        signature: Vec::new(),
    };
    header.signature = domain(cluster_name).sign(keypair, &header.fields());
    Envelope { header, deps: draft.deps.clone(), chunk }
}

/// The stateless check of an envelope: limits, epoch, signature and rule 5, the same verdict at every peer.
///
/// # Errors
/// [`Refused::Foreign`] for another version or epoch, [`Refused::Malformed`] for the rest.
pub fn verify(bytes: Bytes, epoch: u32, cluster_name: &str) -> Result<Signed, Refused> {
    let mut reader = reader(&bytes)?;
    let header = Header::read(&mut reader)?;
    header.verify(epoch, cluster_name)?;
    let (deps, ops) = content(&header, reader)?;
    Ok(Signed { header, deps, ops, bytes })
}

/// Reads an envelope that [`verify`] admitted once, from our own rows: as `verify`, without the signature.
///
/// # Errors
/// [`Refused`] when the row is damaged.
pub fn reload(bytes: Bytes) -> Result<Signed, Refused> {
    let mut reader = reader(&bytes)?;
    let header = Header::read(&mut reader)?;
    header.check()?;
    let (deps, ops) = content(&header, reader)?;
    Ok(Signed { header, deps, ops, bytes })
}

fn reader(bytes: &[u8]) -> Result<Reader<'_>, Refused> {
    if bytes.len() <= ENVELOPE_MAX {
        Ok(Reader::new(bytes))
    } else {
        Err(Refused::Malformed("an envelope is too large"))
    }
}

/// What stands below a header: its dependencies and ops, when both are what was signed.
fn content(header: &Header, mut reader: Reader<'_>) -> Result<(Vec<Dep>, Vec<ChangeOp>), Refused> {
    let deps = read_deps(&mut reader)?;
    if hash_of(&deps) != header.deps_hash {
        return Err(Refused::Malformed("the dependencies are not those that were signed"));
    }
    check_deps(header, &deps)?;
    let chunk = reader.sized(CHUNK_READ_MAX)?;
    reader.end()?;
    let decoded = change::decode(chunk)?;
    check_change(header, &deps, &decoded)?;
    Ok((deps, decoded.ops))
}

/// Rules 3 and 4: order and origin of the dependencies, and the counter that follows from them.
fn check_deps(header: &Header, deps: &[Dep]) -> Result<(), Refused> {
    if !deps.is_sorted_by(|a, b| a.actor < b.actor) || deps.iter().any(|dep| dep.actor == header.actor) {
        return Err(Refused::Malformed("the dependencies are not in order, or the author's own"));
    }
    let seen = deps.iter().map(|dep| dep.max_op).fold(header.prev_max_op.max(BUCKETS), u32::max);
    ensure(header.start_op == seen + 1, "a change does not begin above what it has seen")
}

/// Rule 5: header equals chunk, and no op names an op of the author's that is yet to come.
fn check_change(header: &Header, deps: &[Dep], change: &Decoded) -> Result<(), Refused> {
    let prev = (header.seq > 1).then_some(&header.prev_hash);
    let same = change.hash == header.change_hash
        && change.actor == header.actor
        && (change.seq, change.start_op, change.ops.len()) == (header.seq, header.start_op, header.ops())
        && change.deps == change::hashes(prev, deps);
    let mut preds = change.ops.iter().flat_map(|op| &op.preds);
    let own_past = preds.all(|dot| dot.actor != header.actor || dot.counter <= header.prev_max_op);
    ensure(same, "a change is not what its header says")?;
    ensure(own_past, "a change replaces what its author has yet to write")
}

fn put_deps(out: &mut Vec<u8>, deps: &[Dep]) {
    out.push(u8::try_from(deps.len()).unwrap_or(u8::MAX));
    for dep in deps {
        dep.write(out);
    }
}

fn read_deps(reader: &mut Reader<'_>) -> Result<Vec<Dep>, Refused> {
    match reader.u8()? as usize {
        count if count <= DEPS_MAX => (0..count).map(|_| Dep::read(reader)).collect(),
        _ => Err(Refused::Malformed("too many dependencies")),
    }
}

fn hash_of(deps: &[Dep]) -> Hash {
    let mut bytes = Vec::with_capacity(1 + 90 * deps.len());
    put_deps(&mut bytes, deps);
    blake3::hash(&bytes).into()
}

#[cfg(test)]
pub mod tests;
