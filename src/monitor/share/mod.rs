//! Which of the pins that are for everybody a follower with a byte budget holds. Pure.
mod circle;
mod control;
mod key;
mod offers;
mod purse;
mod sharer;
#[cfg(test)]
mod sim;
mod terms;

pub use key::Key;
pub use purse::Purse;
pub use sharer::{Offered, Sharer};
pub use terms::Terms;
