//! Peers, moments and metrics for the tests of this folder.
use crate::model::{Cid, Metric, PeerId, UnixMillis};

/// The same peer for the same number.
pub fn peer(n: u8) -> PeerId {
    let key = libp2p::identity::Keypair::ed25519_from_bytes([n; 32]).expect("32 bytes are a key");
    key.public().to_peer_id()
}

/// A CID of its own for each number.
pub fn cid(n: u64) -> Cid {
    let digest = blake3::hash(&n.to_be_bytes());
    let hash = multihash::Multihash::wrap(0x12, digest.as_bytes()).expect("32 bytes fit");
    Cid::new_v1(0x55, hash)
}

/// The moment `seconds` after the start.
pub fn at(seconds: i64) -> UnixMillis {
    UnixMillis::from_seconds(1_800_000_000 + seconds)
}

/// A valid metric that expires at `at(expires)`.
pub fn metric(name: &str, peer: PeerId, value: &str, expires: i64) -> Metric {
    Metric {
        name: name.into(),
        peer,
        value: value.into(),
        expire_nanos: at(expires).nanos(),
        valid: true,
        weight: 0,
        partitionable: false,
        received_nanos: 0,
    }
}
