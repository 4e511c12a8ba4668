//! The heartbeat: a peer's signature under (clock, digest); of a trusted peer it is an attestation.
use libp2p::identity::Keypair;

use super::clock::{Dep, Hash, put_peer, read_peer};
use super::codec::{Reader, ensure, put_sized};
use super::signature::{Domain, KEY_MAX, SIGNATURE_MAX, key_to_send};
use crate::crdt::Refused;
use crate::model::{PeerId, UnixMillis};

/// Heads that a heartbeat names.
pub const HEADS_MAX: usize = 16;

/// The version of the format.
const VERSION: u8 = 1;

/// Greatest heartbeat that is read.
pub const HEARTBEAT_MAX: usize = 4 * 1024;

/// What a peer says of its state, at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The epoch.
    pub epoch: u32,
    /// Who says it.
    pub peer: PeerId,
    /// When its process started, in its milliseconds since the epoch; with `count` it tells the newer of two.
    pub start: u64,
    /// Grows with each heartbeat of a start.
    pub count: u64,
    /// Hash of its clock.
    pub clock_hash: Hash,
    /// Hash of its digest.
    pub digest_hash: Hash,
    /// Its pins; shown, never believed.
    pub entries: u64,
    /// Time of the newest change it applied; shown, never believed.
    pub newest: UnixMillis,
    /// Its heads, greatest `max_op` first.
    pub heads: Vec<Dep>,
    /// Its public key where the peer id does not hold it; else empty.
    pub key: Vec<u8>,
    /// The signature; empty until [`Heartbeat::sign`].
    pub signature: Vec<u8>,
}

impl Heartbeat {
    /// Signs it as the peer of `keypair`: sets `peer`, `key` and `signature`.
    pub fn sign(&mut self, keypair: &Keypair, cluster_name: &str) {
        self.peer = keypair.public().to_peer_id();
        self.key = key_to_send(keypair);
        self.signature = domain(cluster_name).sign(keypair, &self.fields());
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.fields();
        put_sized(&mut out, &self.signature);
        out
    }

    /// Reads a heartbeat and checks limits, epoch and signature.
    ///
    /// # Errors
    /// [`Refused::Foreign`] for another version or epoch, [`Refused::Malformed`] for the rest.
    pub fn verify(bytes: &[u8], epoch: u32, cluster_name: &str) -> Result<Self, Refused> {
        let heartbeat = Self::decode(bytes)?;
        if heartbeat.epoch != epoch {
            return Err(Refused::Foreign("a heartbeat of another epoch"));
        }
        let Self { peer, key, signature, .. } = &heartbeat;
        domain(cluster_name).verify(peer, key, &heartbeat.fields(), signature)?;
        Ok(heartbeat)
    }

    /// Reads a heartbeat without a look at epoch and signature.
    ///
    /// # Errors
    /// As [`Heartbeat::verify`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        let mut reader = Reader::new(bytes);
        if bytes.len() > HEARTBEAT_MAX {
            return Err(Refused::Malformed("a heartbeat is too large"));
        }
        if reader.u8()? != VERSION {
            return Err(Refused::Foreign("a heartbeat of another version"));
        }
        let heartbeat = Self {
            epoch: reader.u32()?,
            peer: read_peer(&mut reader)?,
            start: reader.u64()?,
            count: reader.u64()?,
            clock_hash: reader.array()?,
            digest_hash: reader.array()?,
            entries: reader.u64()?,
            newest: UnixMillis(reader.u64()?.cast_signed()),
            heads: heads(&mut reader)?,
            key: reader.sized(KEY_MAX)?.to_vec(),
            signature: reader.sized(SIGNATURE_MAX)?.to_vec(),
        };
        reader.end()?;
        Ok(heartbeat)
    }

    /// What the signature is over.
    fn fields(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + 96 * self.heads.len());
        out.push(VERSION);
        out.extend_from_slice(&self.epoch.to_le_bytes());
        put_peer(&mut out, &self.peer);
        out.extend_from_slice(&self.start.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.clock_hash);
        out.extend_from_slice(&self.digest_hash);
        out.extend_from_slice(&self.entries.to_le_bytes());
        out.extend_from_slice(&self.newest.0.to_le_bytes());
        out.push(u8::try_from(self.heads.len()).unwrap_or(u8::MAX));
        self.heads.iter().for_each(|head| head.write(&mut out));
        put_sized(&mut out, &self.key);
        out
    }
}

fn heads(reader: &mut Reader<'_>) -> Result<Vec<Dep>, Refused> {
    let count = usize::from(reader.u8()?);
    if count > HEADS_MAX {
        return Err(Refused::Malformed("a heartbeat names too many heads"));
    }
    let heads = (0..count).map(|_| Dep::read(reader)).collect::<Result<Vec<_>, _>>()?;
    ensure(heads.is_sorted_by(|a, b| a.max_op >= b.max_op), "the heads of a heartbeat are not in order")?;
    Ok(heads)
}

const fn domain(cluster: &str) -> Domain<'_> {
    Domain { purpose: "ipfs-cluster/attest/1", cluster }
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crdt::automerge::tests::testing::{CLUSTER, EPOCH, dep, keypair, peer};

    /// A heartbeat of peer 1 that names so many heads.
    pub fn heartbeat(heads: u8) -> Heartbeat {
        let mut heartbeat = Heartbeat {
            epoch: EPOCH,
            peer: peer(9),
            start: 1_700_000_000_000,
            count: 3,
            clock_hash: [1; 32],
            digest_hash: [2; 32],
            entries: 5,
            newest: UnixMillis(-1),
            heads: (0..heads).rev().map(|n| dep(n + 1, 2, 5_000 + u32::from(n))).collect(),
            key: Vec::new(),
            signature: Vec::new(),
        };
        heartbeat.sign(&keypair(1), CLUSTER);
        heartbeat
    }

    fn verify(heartbeat: &Heartbeat) -> Result<Heartbeat, Refused> {
        Heartbeat::verify(&heartbeat.encode(), EPOCH, CLUSTER)
    }

    #[test]
    fn a_heartbeat_is_its_signers() {
        let heartbeat = heartbeat(2);
        assert_eq!(heartbeat.peer, peer(1));
        assert_eq!(verify(&heartbeat), Ok(heartbeat.clone()));
        assert!(verify(&Heartbeat { peer: peer(2), ..heartbeat.clone() }).is_err());
        assert!(verify(&Heartbeat { digest_hash: [3; 32], ..heartbeat.clone() }).is_err());
        assert!(verify(&Heartbeat { count: 4, ..heartbeat.clone() }).is_err());
        assert!(Heartbeat::verify(&heartbeat.encode(), EPOCH, "another").is_err());
    }

    #[test]
    fn another_epoch_or_version_is_foreign() {
        let bytes = heartbeat(0).encode();
        assert!(matches!(Heartbeat::verify(&bytes, EPOCH + 1, CLUSTER), Err(Refused::Foreign(_))));
        let newer = [&[VERSION + 1], &bytes[1..]].concat();
        assert!(matches!(Heartbeat::verify(&newer, EPOCH, CLUSTER), Err(Refused::Foreign(_))));
    }

    #[test]
    fn limits_hold() {
        assert!(verify(&heartbeat(16)).is_ok());
        assert!(verify(&heartbeat(17)).is_err());
        let mut unordered = heartbeat(2);
        unordered.heads.reverse();
        unordered.sign(&keypair(1), CLUSTER);
        assert!(verify(&unordered).is_err());
        assert!(heartbeat(16).encode().len() < HEARTBEAT_MAX);
        assert!(Heartbeat::decode(&vec![VERSION; HEARTBEAT_MAX + 1]).is_err());
    }

    proptest! {
        #[test]
        fn hostile_heartbeats_never_panic(bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = Heartbeat::decode(&bytes);
            let mut changed = heartbeat(2).encode();
            let at = at % changed.len();
            changed[at] = byte;
            if let Ok(read) = Heartbeat::decode(&changed) {
                prop_assert_eq!(read.encode(), changed, "one spelling");
            }
        }
    }
}
