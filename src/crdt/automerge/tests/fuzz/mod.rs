//! (test) Fuzz targets: what strangers send to the engine.
use crate::crdt::Refused;

mod change;
mod envelope;
mod frames;
mod heartbeat;
mod snapshot;

/// Why something was refused; a decoder that panicked did not refuse anything.
fn told(refused: &Refused) -> String {
    assert_ne!(*refused, Refused::Panicked);
    refused.to_string()
}

/// A number as a word, so that verdicts differ by its magnitude.
fn size(n: usize) -> String {
    "x".repeat((usize::BITS - n.leading_zeros()) as usize)
}
