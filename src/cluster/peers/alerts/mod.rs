//! Alerts: in memory for who asks, on disk for the next start, and from there to a webhook.
mod latest;

mod keeper;

mod courier;
mod post;

#[cfg(test)]
mod tests;

pub use courier::{Args as CourierArgs, Courier};
pub use keeper::Keeper;
pub use latest::Alerts;
pub use post::Post;
