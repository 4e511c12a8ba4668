//! Who is alive and who holds what. Pure: time is an argument, effects are returned.
mod absent;
mod allocate;
mod balance;
mod checker;
mod clocks;
mod distance;
pub mod rebalance;
mod repair;
pub mod share;
#[cfg(test)]
mod testing;
mod window;

pub use self::{absent::Absent, clocks::Clocks, distance::Distance};
pub use allocate::{AllocateError, Candidate, Request, Unfit, allocate};
pub use balance::Score;
pub use checker::Checker;
pub use repair::{Brake, Census, LEAVING, Listening, Rounds, Sieve, Standing};
pub use window::Window;
