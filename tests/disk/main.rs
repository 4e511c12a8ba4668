//! What was acknowledged is on disk, and reaches IPFS: power cuts, kills and full disks under the real engine, store,
//! writer thread and tracker.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers too")]

use ipfs_cluster as lib;

mod rig;

mod neighbour;
mod platter;
mod power;

mod child;
mod daemon;

mod failpoint;
mod full;
mod kill;
mod stores;
