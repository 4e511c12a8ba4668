//! Whether a manifest is believed: a peer that we trust attests its clock, and proofs its forks.
use std::collections::BTreeMap;

use crate::crdt::Refused;
use crate::crdt::automerge::formats::clock::{Actor, Hash, NO_HASH, Row};
use crate::crdt::automerge::formats::codec::ensure;
use crate::crdt::automerge::formats::envelope::Header;
use crate::crdt::automerge::formats::heartbeat::Heartbeat;
use crate::crdt::automerge::formats::snapshot::manifest::Manifest;
use crate::crdt::automerge::tables::fork;
use crate::model::PeerId;

/// Signed headers of a manifest that are looked at: each costs a signature's check.
const TIPS_MAX: usize = 4096;

/// Proofs that are looked at, likewise.
const PROOFS_MAX: usize = 4096;

/// Bytes of frames that a snapshot may have beside those of its pins.
const BYTES_FREE: u64 = 64 * 1024 * 1024;

/// Bytes of frames that one attested pin may stand for: a record and a key, twice.
const BYTES_PIN: u64 = 33 * 1024;

/// What is believed of a snapshot before its frames are read.
#[derive(Clone, Debug)]
pub struct Belief {
    /// Who attests it.
    pub by: PeerId,
    /// What the digest of all its frames has to be.
    pub digest_hash: Hash,
    /// Signed headers of rows of its clock.
    pub tips: BTreeMap<Actor, Header>,
    /// A proof of each fork in its clock.
    pub proofs: Vec<[Header; 2]>,
}

/// Looks at what a manifest says of itself.
///
/// # Errors
/// [`Refused`]: why it is not believed.
pub fn believe(
    manifest: &Manifest,
    epoch: u32,
    cluster_name: &str,
    trusts: impl Fn(&PeerId) -> bool,
) -> Result<Belief, Refused> {
    let core = &manifest.core;
    if core.epoch != epoch {
        return Err(Refused::Foreign("a snapshot of another epoch"));
    }
    let clock_hash = core.clock_hash();
    let attests = |bytes: &Vec<u8>| {
        let heartbeat = Heartbeat::verify(bytes, epoch, cluster_name).ok()?;
        let is_of_it = heartbeat.clock_hash == clock_hash && heartbeat.digest_hash != NO_HASH;
        (is_of_it && trusts(&heartbeat.peer)).then_some(heartbeat)
    };
    let attested = manifest.attestations.iter().find_map(attests);
    let attested = attested.ok_or(Refused::Malformed("no peer that we trust attests the snapshot"))?;
    let most = BYTES_FREE.saturating_add(attested.entries.saturating_mul(BYTES_PIN));
    ensure(core.bytes() <= most, "a snapshot is larger than its pins")?;
    let proofs = proofs(manifest, epoch, cluster_name)?;
    Ok(Belief {
        by: attested.peer,
        digest_hash: attested.digest_hash,
        tips: tips(manifest, epoch, cluster_name),
        proofs,
    })
}

/// A proof of each fork; a fork without one is refused.
fn proofs(manifest: &Manifest, epoch: u32, cluster_name: &str) -> Result<Vec<[Header; 2]>, Refused> {
    let mut proofs = Vec::new();
    let proven: BTreeMap<Actor, (_, &[Header; 2])> = manifest
        .proofs
        .iter()
        .take(PROOFS_MAX)
        .filter_map(|proof| Some((proof[0].actor.clone(), (fork::proven(&proof[0], &proof[1])?, proof))))
        .collect();
    for (actor, point) in manifest.core.forks() {
        let proof = proven.get(&actor).filter(|(proven, _)| *proven == point).map(|(_, proof)| *proof);
        let proof = proof.ok_or(Refused::Malformed("a fork in a snapshot is not proven"))?;
        proof.iter().try_for_each(|header| header.verify(epoch, cluster_name))?;
        proofs.push(proof.clone());
    }
    Ok(proofs)
}

fn tips(manifest: &Manifest, epoch: u32, cluster_name: &str) -> BTreeMap<Actor, Header> {
    let core = &manifest.core;
    let rows: BTreeMap<Actor, Row> =
        core.groups.iter().flat_map(|group| group.rows.iter().map(|row| (group.actor(row), row.row))).collect();
    let is_of_row = |tip: &&Header| {
        rows.get(&tip.actor).is_some_and(|row| (row.seq, row.max_op, row.tip) == (tip.seq, tip.max_op, tip.change_hash))
    };
    let signed = manifest.tips.iter().take(TIPS_MAX).filter(is_of_row);
    let signed = signed.filter(|tip| tip.verify(epoch, cluster_name).is_ok());
    signed.map(|tip| (tip.actor.clone(), tip.clone())).collect()
}
