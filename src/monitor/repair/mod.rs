//! Which pins have too few holders left, when to look for them, and how fast they are given new ones.
mod census;
mod rounds;
mod sieve;

pub use census::{Census, LEAVING, Standing};
pub use rounds::{Brake, Listening, Rounds};
pub use sieve::Sieve;

#[cfg(test)]
mod tests;
