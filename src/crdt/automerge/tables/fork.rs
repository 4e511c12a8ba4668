//! Two signed histories of one actor: the proof, and its row.
//!
//! A row of FORKED: flag (1: in force, 0: a proof that waits for the end of a join), s and m (4 bytes each, little endian), and the
//! two headers, each after its length.
use crate::crdt::automerge::formats::clock::Fork;
use crate::crdt::automerge::formats::codec::{Reader, put_sized};
use crate::crdt::automerge::formats::envelope::Header;

const SEEN: u8 = 0;
const IN_FORCE: u8 = 1;

/// Greatest header in a row: a key and a signature of 4,096 bits with room.
const HEADER_MAX: usize = 2048;

/// Where two signed headers of one actor part; [`None`] when they prove nothing.
pub fn proven(a: &Header, b: &Header) -> Option<Fork> {
    let (first, second) = if a.seq <= b.seq { (a, b) } else { (b, a) };
    if first.actor != second.actor {
        return None;
    }
    let twins = first.seq == second.seq && first.change_hash != second.change_hash;
    let orphan = first.seq.checked_add(1) == Some(second.seq) && second.prev_hash != first.change_hash;
    match (twins, orphan) {
        (true, _) => Some(Fork { s: first.seq, m: first.prev_max_op.min(second.prev_max_op) }),
        (false, true) => Some(Fork { s: first.seq, m: first.prev_max_op }),
        (false, false) => None,
    }
}

/// The row of a proof, in force or waiting.
pub fn row(fork: Fork, is_in_force: bool, proof: &[Header; 2]) -> Vec<u8> {
    let mut out = vec![if is_in_force { IN_FORCE } else { SEEN }];
    out.extend_from_slice(&fork.s.to_le_bytes());
    out.extend_from_slice(&fork.m.to_le_bytes());
    for header in proof {
        put_sized(&mut out, &header.encode());
    }
    out
}

fn parse(row: &[u8]) -> Option<(u8, Fork, Reader<'_>)> {
    let mut reader = Reader::new(row);
    let flag = reader.u8().ok().filter(|flag| [SEEN, IN_FORCE].contains(flag))?;
    let fork = Fork { s: reader.u32().ok()?, m: reader.u32().ok()? };
    Some((flag, fork, reader))
}

/// Returns whether a row puts its fork point in force.
pub fn is_in_force(row: &[u8]) -> bool {
    parse(row).is_some_and(|(flag, _, _)| flag == IN_FORCE)
}

/// The fork point of a row, in force or not; [`None`] when the row is damaged.
pub fn point(row: &[u8]) -> Option<Fork> {
    parse(row).map(|(_, fork, _)| fork)
}

/// The two headers of a row; [`None`] when it has none or is damaged.
pub fn proof(row: &[u8]) -> Option<[Header; 2]> {
    let (_, _, mut reader) = parse(row)?;
    let mut next = || Header::decode(reader.sized(HEADER_MAX).ok()?).ok();
    Some([next()?, next()?])
}
