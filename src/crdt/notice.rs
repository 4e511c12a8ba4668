//! What an operator should hear of.
use crate::model::PeerId;

/// Something that an operator should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Two signed histories of one actor.
    Fork {
        /// Whose key signed both.
        peer: PeerId,
        /// The first seq that is refused.
        seq: u32,
    },
    /// A peer speaks another epoch.
    OtherEpoch {
        /// Which.
        peer: PeerId,
        /// Its epoch.
        epoch: u32,
        /// Ours.
        ours: u32,
    },
    /// A trusted peer has our clock and another digest, though ours is that of our rows; the two states are joined.
    Divergence {
        /// Which.
        peer: PeerId,
    },
    /// Our digest is not that of our rows: our store is damaged, and mends itself by a join.
    Damaged,
    /// A peer lent us a snapshot that is not what it was said to be.
    BadSnapshot {
        /// Which.
        peer: PeerId,
    },
    /// Somebody has written as this start of ours: a copy of this peer runs, or a trusted peer lies.
    OwnActor {
        /// Who says so.
        peer: PeerId,
    },
    /// Changes came that another start of this peer has made, which its rows did not know: a copy of its folder runs, or a backup was put
    /// back. Both are harmless.
    OtherStart,
    /// A whole state was joined.
    Joined {
        /// Who lent it.
        peer: PeerId,
        /// Its pins.
        pins: u64,
    },
    /// The clock has grown a row for each of so many starts.
    ManyStarts {
        /// How many.
        rows: usize,
    },
    /// An author's changes are not forwarded or not kept any more.
    OverRate {
        /// Which.
        peer: PeerId,
    },
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fork { peer, seq } => write!(
                f,
                "{peer} signed two histories, which part at change {seq}; what follows is refused: was its folder copied, \
                 or its disk restored?"
            ),
            Self::OtherEpoch { peer, epoch, ours } => write!(
                f,
                "peer {peer} speaks epoch {epoch}, we speak {ours}, so nothing passes between us: one of the two needs \
                 `ipfs-cluster-service state new-epoch`, or another consensus.crdt.epoch in its configuration"
            ),
            Self::Divergence { peer } => write!(
                f,
                "{peer} has our clock and another digest, though ours is that of our rows; the two states are joined"
            ),
            Self::Damaged => f.write_str(
                "the digest is not that of the rows: the store is damaged, and mends itself from a trusted peer's state",
            ),
            Self::BadSnapshot { peer } => {
                write!(f, "{peer} lent a snapshot that is not what it was said to be; it is not asked for a day")
            }
            Self::OwnActor { peer } => write!(
                f,
                "{peer} knows changes of this peer that it did not write: does a copy of it run? It goes on as another writer"
            ),
            Self::OtherStart => f.write_str(
                "this peer's identity has written what its folder did not have: a backup was put back, or a copy of the folder runs; \
                 nothing is lost, but two peers must not run with one identity",
            ),
            Self::Joined { peer, pins } => write!(f, "joined the state of {peer} with {pins} pins"),
            Self::ManyStarts { rows } => write!(
                f,
                "{rows} starts of peers have written to this pinset, and each is remembered for ever: does a peer restart all \
                 the time? `ipfs-cluster-service state new-epoch` begins anew without them"
            ),
            Self::OverRate { peer } => write!(f, "{peer} writes faster than its rate; the rest comes by sync"),
        }
    }
}
