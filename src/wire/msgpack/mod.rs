//! The msgpack dialect of Go's peers: the old specification, whose one byte string type ("raw") carries texts as well.
mod decode;
mod encode;
mod head;
mod scan;
#[cfg(test)]
pub mod testing;

pub use decode::{Value, decode};
pub use encode::{Fields, Writer};
pub use head::DecodeError;
pub use scan::Scanner;
