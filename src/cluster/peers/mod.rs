//! Who is in the cluster: what this peer tells of itself, and what it heard of the others.
mod departure;
mod ipfs_id;
mod ping;
mod sharing;

mod alerts;
mod informers;
mod members;

pub use alerts::{Alerts, Courier, CourierArgs, Keeper, Post};
pub use departure::Departure;
pub use informers::{Args as InformersArgs, Disk, spawn as spawn_informers};
pub use ipfs_id::IpfsId;
pub use members::Members;
pub use ping::Names;
pub use sharing::{SHARE, Sharing, Spending, Work, as_share};
