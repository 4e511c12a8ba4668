//! Which peer acts where one is enough.
use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};

use crate::model::{Cid, PeerId};

/// Tells whether this peer is the one closest to a CID.
///
/// Peers that see different peersets may each find themselves closest, or none may: what is decided by it must be harmless twice, and tried again.
#[derive(Clone, Debug)]
pub struct Distance {
    own: [u8; 32],
    others: Vec<[u8; 32]>,
}

impl Distance {
    /// Measures for `own` against `others`: the trusted members of the peerset, without a peer that is known to be gone.
    #[must_use]
    pub fn new<'a>(own: &PeerId, others: impl IntoIterator<Item = &'a PeerId>) -> Self {
        let others = others.into_iter().filter(|other| *other != own);
        Self { own: position(&own.to_bytes()), others: others.map(|other| position(&other.to_bytes())).collect() }
    }

    /// Returns whether no other peer is closer to `cid`.
    #[must_use]
    pub fn is_closest(&self, cid: &Cid) -> bool {
        self.rank(cid) == 0
    }

    /// Returns how many peers are closer to `cid`.
    #[must_use]
    pub fn rank(&self, cid: &Cid) -> usize {
        let target = position(&cid.to_bytes());
        let own = xor(&target, &self.own);
        self.others.iter().filter(|other| xor(&target, other) < own).count()
    }
}

fn position(bytes: &[u8]) -> [u8; 32] {
    Blake2b::<U32>::digest(bytes).into()
}

fn xor(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|n| a[n] ^ b[n])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::testing::{cid, peer};

    #[test]
    fn positions_are_blake2b_256() {
        // The digest of the empty string, as published with the algorithm.
        let expected = "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8";
        assert_eq!(hex::encode(position(b"")), expected);
    }

    #[test]
    fn exactly_one_peer_of_an_agreed_peerset_acts() {
        let peers: Vec<PeerId> = (1..=5).map(peer).collect();
        let views: Vec<Distance> = peers.iter().map(|own| Distance::new(own, &peers)).collect();
        let mut acted = [0; 5];
        for n in 0..500 {
            let closest: Vec<usize> = (0..5).filter(|i| views[*i].is_closest(&cid(n))).collect();
            assert_eq!(closest.len(), 1);
            acted[closest[0]] += 1;
        }
        assert!(acted.iter().all(|n| *n > 20), "the work is spread: {acted:?}");
    }

    #[test]
    fn a_lone_peer_does_everything() {
        assert!(Distance::new(&peer(1), &[peer(1)]).is_closest(&cid(1)));
    }
}
