//! The manifest of a snapshot: which state it is, its frames, and who says so.
use crate::crdt::Refused;
use crate::crdt::automerge::formats::clock::{Actor, Fork, Group, Hash, clock_hash};
use crate::crdt::automerge::formats::codec::{Reader, ensure, put_sized, put_v};
use crate::crdt::automerge::formats::envelope::Header;
use crate::crdt::automerge::formats::heartbeat::HEARTBEAT_MAX;
use crate::crdt::automerge::formats::model::KEY_MAX;
use crate::crdt::automerge::formats::snapshot::frame::PLAIN_MAX;

/// Frames of one snapshot at most: some 130 million pins.
pub const FRAMES_MAX: usize = 65_536;

/// Greatest manifest: that many frames, and a clock of a hundred thousand starts.
pub const MANIFEST_MAX: usize = 24 * 1024 * 1024;

/// Groups, tips and proofs of one manifest at most, each: one a peer that ever wrote.
const PARTS_MAX: usize = 100_000;

/// Attestations of one manifest at most.
pub const ATTESTATIONS_MAX: usize = 16;

const VERSION: u8 = 1;

/// What a snapshot is: a function of the state alone, so that two peers at one clock have the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Core {
    /// The epoch.
    pub epoch: u32,
    /// The clock; its rows, counted from 0, are the numbers of actors in the frames.
    pub groups: Vec<Group>,
    /// Keys with a live entry.
    pub pins: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// The frames, in key order; those of tombstones last.
    pub frames: Vec<FrameInfo>,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameInfo {
    /// Hash of the plain frame.
    pub hash: Hash,
    /// Bytes of the plain frame.
    pub plain: u32,
    /// Its first key; empty for a frame of tombstones.
    pub first: Vec<u8>,
}

/// A manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// What the snapshot is.
    pub core: Core,
    /// Signed headers of last changes, as far as the sender has them: they prove later forks.
    pub tips: Vec<Header>,
    /// Proofs of the forks in the clock.
    pub proofs: Vec<[Header; 2]>,
    /// Heartbeats with this clock and digest.
    pub attestations: Vec<Vec<u8>>,
}

impl Core {
    /// Its name: the hash of its bytes.
    pub fn id(&self) -> Hash {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        blake3::hash(&bytes).into()
    }

    /// Hash of the clock, as heartbeats say it.
    pub fn clock_hash(&self) -> Hash {
        let groups: Vec<_> = self.groups.iter().map(|group| (group.peer, group.hash())).collect();
        clock_hash(groups.iter().map(|(peer, hash)| (peer, hash)))
    }

    /// The actors, by their numbers in the frames.
    pub fn actors(&self) -> Vec<Actor> {
        self.groups.iter().flat_map(|group| group.rows.iter().map(|row| group.actor(row))).collect()
    }

    /// The forked actors.
    pub fn forks(&self) -> impl Iterator<Item = (Actor, Fork)> {
        self.groups.iter().flat_map(|group| group.rows.iter().filter_map(|row| Some((group.actor(row), row.fork?))))
    }

    /// Bytes of all plain frames.
    pub fn bytes(&self) -> u64 {
        self.frames.iter().map(|frame| u64::from(frame.plain)).sum()
    }

    /// Frames of live entries; those of tombstones come after them.
    pub fn entry_frames(&self) -> &[FrameInfo] {
        let end = self.frames.partition_point(|frame| !frame.first.is_empty());
        &self.frames[..end]
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend_from_slice(&self.epoch.to_le_bytes());
        put_v(out, self.groups.len() as u64);
        self.groups.iter().for_each(|group| group.write(out));
        out.extend_from_slice(&self.pins.to_le_bytes());
        out.extend_from_slice(&self.tombstones.to_le_bytes());
        put_v(out, self.frames.len() as u64);
        for frame in &self.frames {
            out.extend_from_slice(&frame.hash);
            put_v(out, frame.plain.into());
            put_sized(out, &frame.first);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        if reader.u8()? != VERSION {
            return Err(Refused::Foreign("a snapshot of another version"));
        }
        let epoch = reader.u32()?;
        let groups = list(reader, PARTS_MAX, Group::read)?;
        let ascending = groups.is_sorted_by(|a, b| a.peer.to_bytes() < b.peer.to_bytes());
        ensure(
            ascending && groups.iter().all(|group| !group.rows.is_empty()),
            "the groups of a clock are not in order",
        )?;
        let (pins, tombstones) = (reader.u64()?, reader.u64()?);
        let frames = list(reader, FRAMES_MAX, |reader| {
            let (hash, plain) = (reader.array()?, reader.v32()?);
            ensure((1..=PLAIN_MAX).contains(&(plain as usize)), "a frame is too large")?;
            Ok(FrameInfo { hash, plain, first: reader.sized(KEY_MAX)?.to_vec() })
        })?;
        let core = Self { epoch, groups, pins, tombstones, frames };
        let entries = core.entry_frames();
        let ordered = entries.is_sorted_by(|a, b| a.first < b.first)
            && core.frames[entries.len()..].iter().all(|frame| frame.first.is_empty());
        ensure(ordered, "the frames of a snapshot are not in order")?;
        Ok(core)
    }
}

impl Manifest {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.core.write(&mut out);
        put_v(&mut out, self.tips.len() as u64);
        self.tips.iter().for_each(|tip| out.extend_from_slice(&tip.encode()));
        put_v(&mut out, self.proofs.len() as u64);
        self.proofs.iter().flatten().for_each(|header| out.extend_from_slice(&header.encode()));
        put_v(&mut out, self.attestations.len() as u64);
        self.attestations.iter().for_each(|attestation| put_sized(&mut out, attestation));
        out
    }

    /// Reads a manifest; signatures are looked at by who believes it.
    ///
    /// # Errors
    /// [`Refused::Foreign`] for another version, [`Refused::Malformed`] for the rest.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        ensure(bytes.len() <= MANIFEST_MAX, "a manifest is too large")?;
        let mut reader = Reader::new(bytes);
        let core = Core::read(&mut reader)?;
        let tips = list(&mut reader, PARTS_MAX, Header::read)?;
        let proofs = list(&mut reader, PARTS_MAX, |reader| Ok([Header::read(reader)?, Header::read(reader)?]))?;
        let attestations = list(&mut reader, ATTESTATIONS_MAX, |reader| Ok(reader.sized(HEARTBEAT_MAX)?.to_vec()))?;
        reader.end()?;
        Ok(Self { core, tips, proofs, attestations })
    }
}

fn list<T>(
    reader: &mut Reader<'_>,
    max: usize,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, Refused>,
) -> Result<Vec<T>, Refused> {
    let count = reader.v32()? as usize;
    // Each item is at least a byte: a count alone allocates nothing.
    ensure(count <= max && count <= reader.left(), "a list is above its limit")?;
    (0..count).map(|_| read(reader)).collect()
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crdt::automerge::formats::clock::{GroupRow, Row};
    use crate::crdt::automerge::tests::testing::{key, peer};

    /// One of three peers, two frames of entries and one of tombstones.
    pub fn manifest() -> Manifest {
        let row = Row { seq: 2, max_op: 5_000, tip: [1; 32], head: true };
        let mut groups: Vec<Group> =
            (1..4).map(|n| Group { peer: peer(n), rows: vec![GroupRow { suffix: [n; 8], row, fork: None }] }).collect();
        groups.sort_by_key(|group| group.peer.to_bytes());
        let mut keys = [key(1), key(2)].map(|key| key.as_bytes().to_vec());
        keys.sort();
        let frames = [keys[0].clone(), keys[1].clone(), Vec::new()];
        let frames = frames.map(|first| FrameInfo { hash: [3; 32], plain: 77, first }).to_vec();
        let core = Core { epoch: 1, groups, pins: 2, tombstones: 1, frames };
        Manifest { core, attestations: vec![vec![1, 2, 3]], ..Manifest::default() }
    }

    #[test]
    fn a_manifest_reads_back_and_its_name_is_that_of_its_state() {
        let whole = manifest();
        assert_eq!(Manifest::decode(&whole.encode()), Ok(whole.clone()));
        assert_eq!(whole.core.entry_frames().len(), 2);
        let other = Manifest { attestations: Vec::new(), ..whole.clone() };
        assert_eq!(other.core.id(), whole.core.id());
        let core = Core { pins: 3, ..whole.core.clone() };
        assert_ne!(core.id(), whole.core.id());
        assert_eq!(whole.core.actors().len(), 3);
    }

    #[test]
    fn what_is_out_of_order_is_refused() {
        let change = |change: fn(&mut Core)| {
            let mut manifest = manifest();
            change(&mut manifest.core);
            Manifest::decode(&manifest.encode())
        };
        assert!(change(|core| core.groups.reverse()).is_err());
        assert!(change(|core| core.frames.reverse()).is_err());
        assert!(change(|core| core.frames.swap(0, 1)).is_err());
        assert!(change(|core| core.frames[0].plain = 0).is_err());
        assert!(change(|core| core.groups[0].rows.clear()).is_err());
    }

    proptest! {
        #[test]
        fn hostile_manifests_never_panic(bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = Manifest::decode(&bytes);
            let mut changed = manifest().encode();
            let at = at % changed.len();
            changed[at] = byte;
            if let Ok(read) = Manifest::decode(&changed) {
                prop_assert_eq!(read.encode(), changed, "one spelling");
            }
        }
    }
}
