//! Go's `ipfs-cluster-ctl` and ours, with the same words against the same peers of ours.
#[path = "../common/mod.rs"]
mod common;
#[path = "../bins/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "this program uses a part of it")]
mod harness;

mod access;
mod exceptions;
mod mask;
mod one;
mod pair;
mod streams;
mod two;
mod wire;
