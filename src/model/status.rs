//! Where keeping IPFS in step with the pinset stands, in Go's words.
use std::collections::BTreeMap;

use super::{Cid, Multiaddr, PeerId, UnixMillis};

/// The status of one pin on one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrackerStatus {
    /// Nothing is known.
    Undefined,
    /// The peer could not be asked.
    ClusterError,
    /// The last pin operation failed.
    PinError,
    /// The last unpin operation failed.
    UnpinError,
    /// IPFS holds it.
    Pinned,
    /// IPFS is fetching it.
    Pinning,
    /// IPFS is letting go of it.
    Unpinning,
    /// Not in the pinset.
    Unpinned,
    /// Held by others.
    Remote,
    /// Waiting to be pinned.
    PinQueued,
    /// Waiting to be unpinned.
    UnpinQueued,
    /// A meta pin, which is never pinned itself.
    Sharded,
    /// Should be pinned, and IPFS says that it is not.
    UnexpectedlyUnpinned,
}

impl TrackerStatus {
    /// Every status, in the order of its bits.
    pub const ALL: [Self; 13] = [
        Self::Undefined,
        Self::ClusterError,
        Self::PinError,
        Self::UnpinError,
        Self::Pinned,
        Self::Pinning,
        Self::Unpinning,
        Self::Unpinned,
        Self::Remote,
        Self::PinQueued,
        Self::UnpinQueued,
        Self::Sharded,
        Self::UnexpectedlyUnpinned,
    ];

    /// Where a pin can stand that the peer holds, is to hold or lets go of.
    pub const TRACKED: [Self; 8] = [
        Self::Pinned,
        Self::Pinning,
        Self::PinQueued,
        Self::PinError,
        Self::UnexpectedlyUnpinned,
        Self::UnpinQueued,
        Self::Unpinning,
        Self::UnpinError,
    ];

    /// Returns whether the peer lets go of what stands here.
    #[must_use]
    pub const fn is_leaving(self) -> bool {
        matches!(self, Self::UnpinQueued | Self::Unpinning | Self::UnpinError)
    }

    /// The bit that Go's calls and filters carry.
    #[must_use]
    pub const fn bit(self) -> u16 {
        match self {
            Self::Undefined => 0,
            Self::ClusterError => 2,
            Self::PinError => 4,
            Self::UnpinError => 8,
            Self::Pinned => 16,
            Self::Pinning => 32,
            Self::Unpinning => 64,
            Self::Unpinned => 128,
            Self::Remote => 256,
            Self::PinQueued => 512,
            Self::UnpinQueued => 1024,
            Self::Sharded => 2048,
            Self::UnexpectedlyUnpinned => 4096,
        }
    }

    /// Go's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::ClusterError => "cluster_error",
            Self::PinError => "pin_error",
            Self::UnpinError => "unpin_error",
            Self::Pinned => "pinned",
            Self::Pinning => "pinning",
            Self::Unpinning => "unpinning",
            Self::Unpinned => "unpinned",
            Self::Remote => "remote",
            Self::PinQueued => "pin_queued",
            Self::UnpinQueued => "unpin_queued",
            Self::Sharded => "sharded",
            Self::UnexpectedlyUnpinned => "unexpectedly_unpinned",
        }
    }

    /// The status of a bit; unknown bits are [`Self::Undefined`].
    #[must_use]
    pub fn from_bit(bit: u64) -> Self {
        Self::ALL.into_iter().find(|s| u64::from(s.bit()) == bit).unwrap_or(Self::Undefined)
    }
}

/// A set of statuses; empty means everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusFilter(pub u16);

impl StatusFilter {
    /// Matches everything.
    pub const ALL: Self = Self(0);

    /// Reads Go's comma list; spaces and unknown names are passed over.
    ///
    /// Returns `None` when the text is not empty and nothing in it is known.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|c| *c != ' ').collect();
        let bits = text.split(',').fold(0, |bits, name| bits | Self::bits_of(name));
        (text.is_empty() || bits != 0).then_some(Self(bits))
    }

    fn bits_of(name: &str) -> u16 {
        match name {
            "error" => 14,
            "queued" => 1536,
            name => TrackerStatus::ALL.into_iter().find(|s| s.name() == name).map_or(0, TrackerStatus::bit),
        }
    }

    /// The statuses of it that pins in the pinset can have; `None` when there are none.
    #[must_use]
    pub fn staying(self) -> Option<Self> {
        let leaving = TrackerStatus::ALL.into_iter().filter(|status| status.is_leaving());
        let rest = leaving.fold(self.0, |bits, status| bits & !status.bit());
        (self == Self::ALL || rest != 0).then_some(Self(rest))
    }

    /// Returns whether `status` is in the set.
    #[must_use]
    pub const fn matches(self, status: TrackerStatus) -> bool {
        self.0 == 0 || status.bit() == 0 || self.0 & status.bit() != 0
    }
}

/// The status of one pin on one peer, with the pin's own fields: Go's `PinInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinInfo {
    /// The pin.
    pub cid: Cid,
    /// Its label.
    pub name: String,
    /// Whose status it is.
    pub peer: PeerId,
    /// Who holds the pin.
    pub allocations: Vec<PeerId>,
    /// Who has the content.
    pub origins: Vec<Multiaddr>,
    /// When it was pinned.
    pub created: Option<UnixMillis>,
    /// The user's keys and values.
    pub metadata: BTreeMap<String, String>,
    /// The status.
    pub short: PinInfoShort,
}

/// The part of a status that differs from peer to peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinInfoShort {
    /// The peer's label.
    pub peername: String,
    /// Its IPFS daemon.
    pub ipfs_peer_id: Option<PeerId>,
    /// Addresses of that daemon.
    pub ipfs_peer_addresses: Vec<Multiaddr>,
    /// Where it stands.
    pub status: TrackerStatus,
    /// Since when.
    pub timestamp: UnixMillis,
    /// What went wrong; empty when nothing did.
    pub error: String,
    /// How often it was tried.
    pub attempt_count: u32,
    /// Bytes of the pin that the daemon has, as far as it is known: all of them when it is pinned.
    pub bytes: u64,
    /// When it is tried again by itself, if it waits for that.
    pub next_try: Option<UnixMillis>,
    /// Whether it is served before others.
    pub priority_pin: bool,
}

impl PinInfoShort {
    /// What is known of a peer that nothing else is known of.
    #[must_use]
    pub const fn new(status: TrackerStatus, timestamp: UnixMillis) -> Self {
        Self {
            peername: String::new(),
            ipfs_peer_id: None,
            ipfs_peer_addresses: Vec::new(),
            status,
            timestamp,
            error: String::new(),
            attempt_count: 0,
            bytes: 0,
            next_try: None,
            priority_pin: false,
        }
    }
}

/// The status of one pin on all peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalPinInfo {
    /// The pin.
    pub cid: Cid,
    /// Its label.
    pub name: String,
    /// Who holds it.
    pub allocations: Vec<PeerId>,
    /// Who has the content.
    pub origins: Vec<Multiaddr>,
    /// When it was pinned.
    pub created: Option<UnixMillis>,
    /// The user's keys and values.
    pub metadata: BTreeMap<String, String>,
    /// Each peer's part.
    pub peer_map: BTreeMap<PeerId, PinInfoShort>,
}

impl From<PinInfo> for GlobalPinInfo {
    fn from(info: PinInfo) -> Self {
        Self {
            cid: info.cid,
            name: info.name,
            allocations: info.allocations,
            origins: info.origins,
            created: info.created,
            metadata: info.metadata,
            peer_map: BTreeMap::from([(info.peer, info.short)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_of_unknown_names_alone_is_refused() {
        assert_eq!(StatusFilter::parse("nothing"), None);
        assert_eq!(StatusFilter::parse("nothing, pinned"), Some(StatusFilter(16)));
        assert_eq!(StatusFilter::parse("undefined"), None);
        assert_eq!(StatusFilter::parse(""), Some(StatusFilter::ALL));
        assert_eq!(StatusFilter::parse("error,queued"), Some(StatusFilter(0x60e)));
    }
}
