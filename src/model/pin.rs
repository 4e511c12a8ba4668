//! A pin: the wish that a CID be kept.
use std::collections::BTreeMap;

pub use cid::Cid;

use super::{Multiaddr, PeerId, Replication, UnixMillis};

/// One element of the pinset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// What is pinned; `CIDv0` and `CIDv1` of one content are two pins.
    pub cid: Cid,
    /// What kind of pin it is.
    pub kind: PinType,
    /// How many peers hold it.
    pub replication: Replication,
    /// A human label.
    pub name: String,
    /// Bytes a shard; 0 when not sharded.
    pub shard_size: u64,
    /// The peers that the user asked for; never kept in the pinset.
    pub user_allocations: Vec<PeerId>,
    /// When the pin ends; `None` is never.
    pub expire_at: Option<UnixMillis>,
    /// The user's keys and values.
    pub metadata: BTreeMap<String, String>,
    /// The pin that this one replaces.
    pub pin_update: Option<Cid>,
    /// Peers that have the content.
    pub origins: Vec<Multiaddr>,
    /// The peers that hold it; empty with [`Replication::Everywhere`].
    pub allocations: Vec<PeerId>,
    /// How deep the DAG is pinned.
    pub max_depth: MaxDepth,
    /// Another pin that this one belongs to.
    pub reference: Option<Cid>,
    /// When it was pinned; `None` in pins of very old peers.
    pub timestamp: Option<UnixMillis>,
}

impl Pin {
    /// A recursive pin of `cid` that every peer holds, with nothing else set.
    #[must_use]
    pub fn recursive(cid: Cid) -> Self {
        Self {
            cid,
            kind: PinType::Data,
            replication: Replication::Everywhere,
            name: String::new(),
            shard_size: 0,
            user_allocations: Vec::new(),
            expire_at: None,
            metadata: BTreeMap::new(),
            pin_update: None,
            origins: Vec::new(),
            allocations: Vec::new(),
            max_depth: MaxDepth::Recursive,
            reference: None,
            timestamp: None,
        }
    }

    /// This pin with another replication factor.
    #[must_use]
    pub fn replicated(mut self, replication: Replication) -> Self {
        self.replication = replication;
        self
    }

    /// Returns whether `peer` is not to hold this pin: Go's `IsRemotePin`.
    #[must_use]
    pub fn is_remote(&self, peer: &PeerId) -> bool {
        self.replication != Replication::Everywhere && !self.allocations.contains(peer)
    }

    /// How the content is pinned, which the depth says.
    #[must_use]
    pub fn mode(&self) -> PinMode {
        match self.max_depth {
            MaxDepth::Direct => PinMode::Direct,
            MaxDepth::Recursive | MaxDepth::Levels(_) => PinMode::Recursive,
        }
    }
}

/// What a user may ask for; factors of 0 mean the peer's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinOptions {
    /// Go's `replication_factor_min`: -1 everywhere, 0 the default.
    pub replication_min: i32,
    /// Go's `replication_factor_max`.
    pub replication_max: i32,
    /// A human label.
    pub name: String,
    /// Recursive or direct.
    pub mode: PinMode,
    /// Bytes a shard.
    pub shard_size: u64,
    /// Peers to prefer.
    pub user_allocations: Vec<PeerId>,
    /// When the pin ends.
    pub expire_at: Option<UnixMillis>,
    /// Keys and values to keep.
    pub metadata: BTreeMap<String, String>,
    /// The pin to copy and replace.
    pub pin_update: Option<Cid>,
    /// Peers that have the content.
    pub origins: Vec<Multiaddr>,
}

/// The kinds of pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PinType {
    /// An unknown kind in a record; never made.
    Bad,
    /// Content: what users pin.
    Data,
    /// The root of sharded content.
    Meta,
    /// The list of shards of sharded content.
    ClusterDag,
    /// One shard.
    Shard,
}

impl PinType {
    /// All kinds, in the order of their bits.
    pub const ALL: [Self; 5] = [Self::Bad, Self::Data, Self::Meta, Self::ClusterDag, Self::Shard];

    /// Go's name of the kind.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bad => "bad-type",
            Self::Data => "pin",
            Self::Meta => "meta-pin",
            Self::ClusterDag => "clusterdag-pin",
            Self::Shard => "shard-pin",
        }
    }

    /// The bit that Go's calls carry.
    #[must_use]
    pub const fn bit(self) -> u64 {
        match self {
            Self::Bad => 1,
            Self::Data => 2,
            Self::Meta => 4,
            Self::ClusterDag => 8,
            Self::Shard => 16,
        }
    }
}

/// A set of kinds, as a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinTypes(u64);

impl PinTypes {
    /// Every kind.
    pub const ALL: Self = Self(u64::MAX);

    /// Reads Go's comma list; an empty text is every kind, unknown names are passed over.
    ///
    /// Returns `None` when no name is known.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bit = |name: &str| match name.trim() {
            "all" => u64::MAX,
            name => PinType::ALL.iter().find(|t| t.name() == name).map_or(0, |t| t.bit()),
        };
        let bits = text.split(',').fold(0, |bits, name| bits | bit(name));
        match (text.is_empty(), bits) {
            (true, _) => Some(Self::ALL),
            (false, 0) => None,
            (false, bits) => Some(Self(bits)),
        }
    }

    /// Returns whether `kind` is in the set.
    #[must_use]
    pub const fn contains(self, kind: PinType) -> bool {
        self.0 & kind.bit() != 0
    }
}

/// Whether a DAG or only its root is pinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PinMode {
    /// The whole DAG.
    #[default]
    Recursive,
    /// The root block alone.
    Direct,
}

/// How deep a DAG is pinned: -1, 0, or a number of levels (shards).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxDepth {
    /// -1.
    Recursive,
    /// 0.
    Direct,
    /// 1 or more; a negative number other than -1 is kept as it came.
    Levels(i32),
}

impl MaxDepth {
    /// Go's integer.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Recursive => -1,
            Self::Direct => 0,
            Self::Levels(n) => n,
        }
    }

    /// The depth that Go's integer means.
    #[must_use]
    pub const fn from_number(n: i32) -> Self {
        match n {
            -1 => Self::Recursive,
            0 => Self::Direct,
            n => Self::Levels(n),
        }
    }
}
