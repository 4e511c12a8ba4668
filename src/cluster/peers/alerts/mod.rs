//! Alerts: in memory for who asks, on disk for the next start.
mod keeper;
mod latest;

#[cfg(test)]
mod tests;

pub use keeper::Keeper;
pub use latest::Alerts;
