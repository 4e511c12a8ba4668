//! What is hashed of pins and peers, and the number that a pair draws.
use crate::model::{Cid, PeerId};

/// A pin or a peer, hashed once so that each pair costs a few instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(u64);

impl Key {
    /// The key of a pin. Hashes of content are not taken as they are: some CIDs hold their content in place of one.
    #[must_use]
    pub fn of_pin(cid: &Cid) -> Self {
        Self::of(&cid.to_bytes())
    }

    /// The key of a peer.
    #[must_use]
    pub fn of_peer(peer: &PeerId) -> Self {
        Self::of(&peer.to_bytes())
    }

    pub(super) fn of(bytes: &[u8]) -> Self {
        let hash = blake3::hash(bytes);
        let (first, _) = hash.as_bytes().split_first_chunk::<8>().expect("a hash has 32 bytes");
        Self(u64::from_be_bytes(*first))
    }

    /// The part by which a pin is named among those refused: two that share it are one in some hundred million.
    #[must_use]
    pub(super) const fn short(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The number that a peer draws for a pin, the same wherever it is drawn: small is near (the mix of `SplitMix64`).
pub(super) fn draw(peer: Key, pin: Key) -> u64 {
    let mut z = (peer.0 ^ pin.0.rotate_left(32)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_evenly_over_pins_and_over_peers() {
        let key = |n: u64| Key::of(&n.to_be_bytes());
        for across in [false, true] {
            let mut parts = [0_u32; 16];
            for n in 0..16_000 {
                let (peer, pin) = if across { (key(n), key(1)) } else { (key(1), key(n)) };
                parts[usize::try_from(draw(peer, pin) >> 60).unwrap()] += 1;
            }
            assert!(parts.iter().all(|count| (850..1_150).contains(count)), "{parts:?}");
        }
    }

    const DRAWS: [u64; 3] = [0xc485_8308_e594_9c49, 0xb370_3ad8_9450_7022, 0xe4d9_7177_1b65_2c20];

    #[test]
    fn what_a_pair_draws_never_changes() {
        let draws = [(1, 2), (2, 1), (0, u64::MAX)].map(|(peer, pin)| draw(Key(peer), Key(pin)));
        assert_eq!(draws, DRAWS, "peers of other versions draw this");
    }
}
