//! What others have and know: Go's `ipfs-cluster-ctl`, the npm client, the words of Go's documentation.
#[path = "../common/mod.rs"]
mod common;
#[path = "../bins/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "this program uses a part of it")]
mod harness;

mod ctl;
mod exceptions;
mod host;
mod judge;
mod mask;
mod mixed;
mod npm;
mod quickstart;
