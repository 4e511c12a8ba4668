//! Our side of IPFS.
mod connector;
mod dial;
mod pace;
mod rpc;

mod kubo;
mod metered;

#[cfg(test)]
mod contract;
#[cfg(test)]
pub(crate) mod fake;

pub use connector::{Connector, Held, IpfsError, PinRequest, Progress, Remedy, RepoStat};
pub use dial::NodeAddressError;
pub use kubo::{Kubo, KuboArgs};
pub use metered::{Metered, Trigger};
