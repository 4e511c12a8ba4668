//! Calls between peers, in the bytes of Go's peers: msgpack values back to back on one stream a call.
mod drain;
mod header;
mod health;
mod types;

pub use drain::{decode_drain, decode_draining, encode_drain, encode_draining};
pub use header::{ErrorKind, Response, ServiceId};
pub use health::{decode_gc, decode_peers, encode_gc, encode_peers};
pub use types::{
    decode_cid, decode_filter, decode_peer, decode_peer_info, decode_pin_info, decode_version, encode_cid,
    encode_filter, encode_nothing, encode_peer_info, encode_pin_info, encode_version,
};

#[cfg(test)]
mod tests;
