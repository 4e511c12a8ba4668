//! What is wrong with a peer, and what to do about it: facts in, findings out; who gathers the facts is the programs' business.
mod finding;

mod api;
mod peer;

pub use api::{ApiFacts, examine_api};
pub use finding::{Finding, Report, Severity};
pub use peer::{Facts, KuboAnswer, Port, examine};

#[cfg(test)]
mod tests;
