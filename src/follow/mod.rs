//! A follower: a peer that trusts, keeps, and never writes.
mod cache;
mod signed;

mod profile;

pub use profile::{Profile, ProfileError, gateway_source, source_of};
pub use signed::{SignatureError, sign, template_key};
