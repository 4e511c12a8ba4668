//! The REST API's bytes: JSON shapes, query parameters, identifiers as text.
mod address;
mod health;
mod id;
mod metric;
mod pin;
mod query;
mod status;
mod text;
mod time;
pub use address::{io_words, tcp_target};
pub use health::{Bandwidth, ConnectGraph, Drain, GcKey, GlobalRepoGc, PinCounts, RepoGc, Traffic};
pub use id::{AddPeer, Error, IpfsId, PeerInfo, Token, Version};
pub use metric::{Alert, Clock, Metric, Notice, ReplicationHealth};
pub use pin::{Pin, PinOutcome};
pub use query::{Query, options_to_query};
pub use status::{Event, GlobalPinInfo, PinInfoShort};
pub use text::{CidError, ContentPath, PathError, parse_cid, parse_peer};
pub use time::Time;
