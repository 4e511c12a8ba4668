//! Hundreds of followers with budgets, whose news of each other are late or lost, and who come and go.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "sizes are made up here, and parts of them are compared in percent"
)]
mod node;
mod tests;
mod world;
