//! A follower: a peer that trusts, keeps, and never writes.
mod cache;

mod profile;

pub use profile::{Profile, ProfileError, gateway_source, source_of};
