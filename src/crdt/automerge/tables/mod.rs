//! What is kept: clock, op set, log and waiting rooms, and the memory of them.
pub mod entries;
pub mod fork;
pub mod join;
pub mod joining;
pub mod log;
pub mod opset;
pub mod pending;
pub mod shelf;
pub mod stage;
pub mod state;
pub mod view;
