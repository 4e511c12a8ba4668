//! The digest of a state: `LtHash16` over live entries and tombstones, the same in whatever order they came.
use super::change::Dot;
use super::clock::Hash;
use super::codec::put_sized;
use super::model::Key;

const LANES: usize = 1024;

/// Bytes of an encoded [`Digest`].
pub const DIGEST_BYTES: usize = 2 * LANES;

/// 1,024 sums modulo 2^16: adding and removing an item cost the same whatever else is in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest(Box<[u16; LANES]>);

impl Default for Digest {
    fn default() -> Self {
        Self(Box::new([0; LANES]))
    }
}

impl Digest {
    /// Adds a live entry of `key`.
    pub fn add_entry(&mut self, key: &Key, dot: &Dot, record: &[u8]) {
        self.mix(&entry(key, dot, record), u16::wrapping_add);
    }

    /// Removes what [`Digest::add_entry`] added.
    pub fn remove_entry(&mut self, key: &Key, dot: &Dot, record: &[u8]) {
        self.mix(&entry(key, dot, record), u16::wrapping_sub);
    }

    /// Adds a tombstone; tombstones are never removed.
    pub fn add_tombstone(&mut self, key: &Key, dot: &Dot) {
        self.mix(&item(0, key, dot), u16::wrapping_add);
    }

    /// Its 2,048 bytes.
    pub fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|lane| lane.to_le_bytes()).collect()
    }

    /// Reads what [`Digest::encode`] wrote; [`None`] when the length is another one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut digest = Self::default();
        let (pairs, rest) = bytes.as_chunks::<2>();
        if pairs.len() != LANES || !rest.is_empty() {
            return None;
        }
        digest.0.iter_mut().zip(pairs).for_each(|(lane, pair)| *lane = u16::from_le_bytes(*pair));
        Some(digest)
    }

    /// Hash of its bytes, which heartbeats carry.
    pub fn hash(&self) -> Hash {
        blake3::hash(&self.encode()).into()
    }

    fn mix(&mut self, item: &[u8], op: impl Fn(u16, u16) -> u16) {
        let mut bytes = [0; DIGEST_BYTES];
        blake3::Hasher::new().update(item).finalize_xof().fill(&mut bytes);
        let (pairs, _) = bytes.as_chunks::<2>();
        self.0.iter_mut().zip(pairs).for_each(|(lane, pair)| *lane = op(*lane, u16::from_le_bytes(*pair)));
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({})", hex::encode(&self.hash()[..4]))
    }
}

fn entry(key: &Key, dot: &Dot, record: &[u8]) -> Vec<u8> {
    let mut bytes = item(1, key, dot);
    bytes.extend_from_slice(blake3::hash(record).as_bytes());
    bytes
}

fn item(kind: u8, key: &Key, dot: &Dot) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(160);
    bytes.push(kind);
    put_sized(&mut bytes, key.as_bytes());
    bytes.extend_from_slice(&dot.counter.to_le_bytes());
    dot.actor.write(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crdt::automerge::tests::testing::{actor, key};

    fn dot(n: u32) -> Dot {
        Dot { counter: 4097 + n, actor: actor(u8::try_from(n % 3).unwrap() + 1, 1) }
    }

    #[test]
    fn an_item_is_told_by_every_part_of_it() {
        let of = |n, dot: &Dot, record: &[u8]| {
            let mut digest = Digest::default();
            digest.add_entry(&key(n), dot, record);
            digest.hash()
        };
        let mut tombstone = Digest::default();
        tombstone.add_tombstone(&key(1), &dot(1));
        let hashes = [of(1, &dot(1), b"a"), of(2, &dot(1), b"a"), of(1, &dot(2), b"a"), of(1, &dot(1), b"b")];
        let all: std::collections::BTreeSet<_> = hashes.into_iter().chain([tombstone.hash()]).collect();
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn only_its_own_length_is_a_digest() {
        assert_eq!(Digest::decode(&[0; DIGEST_BYTES]), Some(Digest::default()));
        assert_eq!(Digest::decode(&[0; DIGEST_BYTES - 1]), None);
        assert_eq!(Digest::decode(&[0; DIGEST_BYTES + 2]), None);
    }

    proptest! {
        #[test]
        fn the_order_leaves_no_trace(items in Just((0..12u32).collect::<Vec<_>>()).prop_shuffle(), gone in 0..12u32) {
            let mut there = Digest::default();
            for n in items {
                there.add_entry(&key(n), &dot(n), &n.to_le_bytes());
            }
            there.remove_entry(&key(gone), &dot(gone), &gone.to_le_bytes());
            let mut here = Digest::default();
            (0..12).filter(|n| *n != gone).for_each(|n| here.add_entry(&key(n), &dot(n), &n.to_le_bytes()));
            prop_assert_eq!(&there, &here);
            prop_assert_eq!(Digest::decode(&here.encode()), Some(here));
        }
    }
}
