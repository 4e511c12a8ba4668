//! The nouns: pure data, no IO.
mod event;
mod health;
mod metric;
mod peer;
mod pin;
mod rebalance;
mod replication;
mod status;
mod time;

pub use event::{Event, Happening, Told};
pub use health::{ConnectGraph, Drain, Draining, GcKey, PinCounts, Probe, RepoGc};
pub use metric::{Alert, Metric};
pub use peer::{IpfsInfo, Multiaddr, PeerId, PeerInfo, Trust};
pub use pin::{Cid, MaxDepth, Pin, PinMode, PinOptions, PinType, PinTypes};
pub use rebalance::{Balance, Rebalance, Rebalanced, Share, Shift};
pub use replication::{Replication, ReplicationError};
pub use status::{GlobalPinInfo, PinInfo, PinInfoShort, StatusFilter, TrackerStatus};
pub use time::UnixMillis;
