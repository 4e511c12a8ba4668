//! The REST API of real peers with real Kubo, beside recordings of what Go's peers answered.
#[path = "../common/mod.rs"]
mod common;
#[path = "../bins/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "this program uses a part of it")]
mod harness;

mod broken;
mod compare;
mod exceptions;
mod exchange;
mod names;
mod protected;
mod recorded;
mod recording;
mod schema;
mod stage;
