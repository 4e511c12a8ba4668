//! What can be called, and by whom.
use bytes::Bytes;
use libp2p::{PeerId, StreamProtocol};

use crate::model::{Cid, Drain, Draining, PeerInfo, PinInfo, RepoGc, StatusFilter};
use crate::wire::gorpc::{self, ServiceId};
use crate::wire::msgpack::DecodeError;

/// The protocol of calls; its number is not the release's.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/ipfscluster/1.0/rpc");

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Every peer.
    Open,
    /// Peers that this one trusts.
    Trusted,
    /// Only this peer itself: refused on the network.
    Local,
    /// There is no such service.
    NoService,
    /// There is no such method.
    NoMethod,
}

/// The name of a service and its methods: open, trusted, local.
type Service = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// Go's methods by service: who may call which by default.
const SERVICES: [Service; 5] = [
    (
        "Cluster",
        &["ID", "IDStream", "PeerAdd", "Version"],
        &["Peers", "PeerRemove", "RecoverAllLocal", "RecoverLocal", "RepoGCLocal"],
        &[
            "PeersWithFilter",
            "ConnectGraph",
            "RepoGC",
            "Alerts",
            "BandwidthByProtocol",
            "Status",
            "StatusAll",
            "StatusLocal",
            "StatusAllLocal",
            "Recover",
            "RecoverAll",
            "Pin",
            "Unpin",
            "PinPath",
            "UnpinPath",
            "PinGet",
            "Pins",
            "BlockAllocate",
            "Join",
            "SendInformerMetrics",
            "SendInformersMetrics",
            "IPFSID",
        ],
    ),
    ("PinTracker", &[], &["Status", "StatusAll", "Recover"], &["Track", "Untrack", "RecoverAll", "PinQueueSize"]),
    (
        "IPFSConnector",
        &[],
        &["BlockStream", "RepoStat", "SwarmPeers"],
        &["Pin", "Unpin", "PinLsCid", "PinLs", "ConfigKey", "BlockGet", "Resolve"],
    ),
    ("Consensus", &[], &["AddPeer", "RmPeer", "LogPin", "LogUnpin"], &["Peers"]),
    ("PeerMonitor", &[], &[], &["LatestMetrics", "MetricNames"]),
];

/// What Go's peers do not have: services of their own, which they refuse as unknown. Those of `Ordered` are Go's that
/// answer in the order of the pinset's keys.
const OURS: [Service; 2] =
    [("Departure", &[], &["Drain"], &[]), ("Ordered", &[], &["StatusAll", "RecoverAllLocal"], &[])];

/// Returns who may call a method: by Go's default policy, where the method is Go's.
#[must_use]
pub fn access(service: &ServiceId) -> Access {
    let mut services = SERVICES.iter().chain(&OURS);
    let Some((_, open, trusted, local)) = services.find(|(name, ..)| *name == service.name) else {
        return Access::NoService;
    };
    let names = |methods: &[&str]| methods.contains(&service.method.as_str());
    match () {
        () if names(open) => Access::Open,
        () if names(trusted) => Access::Trusted,
        () if names(local) => Access::Local,
        () => Access::NoMethod,
    }
}

/// A method that this program serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Id,
    IdStream,
    Version,
    PeerAdd,
    Status,
    StatusAll,
    Recover,
    RecoverLocal,
    RecoverAllLocal,
    Peers,
    SwarmPeers,
    RepoGc,
    Drain,
}

impl Method {
    /// Returns the method of that name; what Go serves and this program does not is `None`.
    pub fn find(service: &ServiceId) -> Option<Self> {
        Some(match (service.name.as_str(), service.method.as_str()) {
            ("Cluster", "ID") => Self::Id,
            ("Cluster", "IDStream") => Self::IdStream,
            ("Cluster", "Version") => Self::Version,
            ("Cluster", "PeerAdd") => Self::PeerAdd,
            ("PinTracker", "Status") => Self::Status,
            ("PinTracker" | "Ordered", "StatusAll") => Self::StatusAll,
            ("PinTracker", "Recover") => Self::Recover,
            ("Cluster", "RecoverLocal") => Self::RecoverLocal,
            ("Cluster" | "Ordered", "RecoverAllLocal") => Self::RecoverAllLocal,
            ("Cluster", "Peers") => Self::Peers,
            ("Cluster", "RepoGCLocal") => Self::RepoGc,
            ("IPFSConnector", "SwarmPeers") => Self::SwarmPeers,
            ("Departure", "Drain") => Self::Drain,
            _ => return None,
        })
    }

    /// Whether arguments end with the caller's half of the stream, and any number of replies follows.
    pub const fn is_streaming(self) -> bool {
        matches!(self, Self::IdStream | Self::StatusAll | Self::RecoverAllLocal | Self::Peers)
    }

    /// Reads the argument; a streaming call may have none.
    pub fn call(self, argument: Option<&Bytes>) -> Result<Call, DecodeError> {
        let bytes = argument.map_or(&[0xc0][..], Bytes::as_ref);
        Ok(match self {
            Self::Id => Call::Id,
            Self::IdStream => Call::IdStream,
            Self::Version => Call::Version,
            Self::PeerAdd => Call::PeerAdd(gorpc::decode_peer(bytes)?),
            Self::Status => Call::Status(gorpc::decode_cid(bytes)?),
            Self::StatusAll => Call::StatusAll(gorpc::decode_filter(bytes)?),
            Self::Recover => Call::Recover(gorpc::decode_cid(bytes)?),
            Self::RecoverLocal => Call::RecoverLocal(gorpc::decode_cid(bytes)?),
            Self::RecoverAllLocal => Call::RecoverAllLocal,
            Self::Peers => Call::Peers,
            Self::SwarmPeers => Call::SwarmPeers,
            Self::RepoGc => Call::RepoGc,
            Self::Drain => Call::Drain(gorpc::decode_draining(bytes)?),
        })
    }
}

/// A call with its argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Who are you: one [`Reply::Id`].
    Id,
    /// The same, as a stream of one.
    IdStream,
    /// Your version: one [`Reply::Version`].
    Version,
    /// Go's join, which changes nothing here: one [`Reply::Id`] of the peer that is named.
    PeerAdd(PeerId),
    /// The status of a pin: one [`Reply::Status`].
    Status(Cid),
    /// The status of all pins: a [`Reply::Status`] each.
    StatusAll(StatusFilter),
    /// Try a failed pin again: one [`Reply::Status`].
    Recover(Cid),
    /// The same.
    RecoverLocal(Cid),
    /// Try all failed pins again: a [`Reply::Status`] of each.
    RecoverAllLocal,
    /// Who the members are: a [`Reply::Id`] of each.
    Peers,
    /// The neighbours of your daemon: one [`Reply::Peers`].
    SwarmPeers,
    /// Let your daemon collect: one [`Reply::Gc`].
    RepoGc,
    /// Be drained, or not any more: one [`Reply::Drain`].
    Drain(Draining),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Who a peer is.
    Id(Box<PeerInfo>),
    /// A version.
    Version(String),
    /// The status of a pin on one peer.
    Status(Box<PinInfo>),
    /// Peers.
    Peers(Vec<PeerId>),
    /// Collected blocks.
    Gc(Box<RepoGc>),
    /// How far the peer is with being drained.
    Drain(Drain),
}

impl Reply {
    /// The bytes of the answer.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Id(info) => gorpc::encode_peer_info(info),
            Self::Version(version) => gorpc::encode_version(version),
            Self::Status(info) => gorpc::encode_pin_info(info),
            Self::Peers(peers) => gorpc::encode_peers(peers),
            Self::Gc(gc) => gorpc::encode_gc(gc),
            Self::Drain(drain) => gorpc::encode_drain(drain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_gos_55_methods_of_which_19_are_reachable() {
        let count = |of: fn(&Service) -> usize| SERVICES.iter().map(of).sum::<usize>();
        assert_eq!(count(|(_, open, ..)| open.len()), 4);
        assert_eq!(count(|(_, _, trusted, _)| trusted.len()), 15);
        assert_eq!(count(|(_, open, trusted, local)| open.len() + trusted.len() + local.len()), 55);
    }

    #[test]
    fn what_is_unknown_is_told_apart() {
        assert_eq!(access(&ServiceId::new("Nope", "ID")), Access::NoService);
        assert_eq!(access(&ServiceId::new("Cluster", "Nope")), Access::NoMethod);
        assert_eq!(access(&ServiceId::new("Cluster", "Pins")), Access::Local);
        assert_eq!(access(&ServiceId::new("PinTracker", "Status")), Access::Trusted);
        assert_eq!(access(&ServiceId::new("Cluster", "IDStream")), Access::Open);
        assert_eq!(access(&ServiceId::new("Departure", "Drain")), Access::Trusted);
        assert_eq!(access(&ServiceId::new("Ordered", "StatusAll")), Access::Trusted);
    }
}
