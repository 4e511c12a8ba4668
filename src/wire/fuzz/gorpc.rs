use std::fmt::Debug;

use super::msgpack::shaped;
use super::recorded;
use crate::fuzz::Target;
use crate::model::{PeerInfo, PinInfo};
use crate::wire::gorpc::{
    Response, ServiceId, decode_cid, decode_filter, decode_peer, decode_peer_info, decode_pin_info, decode_version,
    encode_cid, encode_filter, encode_peer_info, encode_pin_info, encode_version,
};
use crate::wire::msgpack::{DecodeError, Scanner};

const RPC: &str = include_str!("../../../tests/vectors/rpc.txt");

/// The values that stand back to back in each recording.
fn values() -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    for recording in recorded(RPC) {
        let mut rest = &recording[..];
        while let Ok(Some(length)) = Scanner::default().scan(rest) {
            values.push(rest[..length].to_vec());
            rest = &rest[length..];
        }
    }
    values
}

/// Reads `bytes`; what was read is written and read again as the same.
fn again<T: Debug + PartialEq>(
    bytes: &[u8],
    decode: fn(&[u8]) -> Result<T, DecodeError>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> Result<T, DecodeError> {
    let read = decode(bytes);
    match &read {
        Ok(value) => assert_eq!(decode(&encode(value)).as_ref(), Ok(value), "what is written is read as the same"),
        Err(e) => assert!(!e.what.is_empty(), "refused without a reason"),
    }
    read
}

fn peer_shape(info: &PeerInfo) -> String {
    let has = [info.addresses.is_empty(), info.cluster_peers.is_empty(), info.error.is_empty(), info.ipfs.id.is_none()];
    format!("a peer {has:?}")
}

fn pin_shape(info: &PinInfo) -> String {
    let has = [info.created.is_none(), info.metadata.is_empty(), info.origins.is_empty(), info.allocations.is_empty()];
    format!("a status {:?} {has:?} {}", info.short.status, info.short.priority_pin)
}

#[test]
fn fuzz_gorpc() {
    let words = ["Name", "Method", "Service", "Error", "ErrType", "i", "a", "cp", "cpa", "ip", "pn", "st", "ts", "md"];
    Target::new("gorpc").seeds(values()).tokens(words).shaped(shaped).run(|bytes| {
        let pin_info = |bytes: &[u8]| decode_pin_info(bytes)?.ok_or_else(|| DecodeError::at(0, "no cid"));
        let header = again(bytes, ServiceId::decode, ServiceId::encode);
        let response = again(bytes, Response::decode, Response::encode);
        let version = again(bytes, decode_version, |version| encode_version(version));
        let cid = again(bytes, decode_cid, encode_cid);
        let filter = again(bytes, decode_filter, |filter| encode_filter(*filter));
        let others = [version.is_ok(), cid.is_ok(), filter.is_ok(), decode_peer(bytes).is_ok()];
        match (again(bytes, decode_peer_info, encode_peer_info), again(bytes, pin_info, encode_pin_info)) {
            (Ok(peer), _) => Ok(peer_shape(&peer)),
            (_, Ok(pin)) => Ok(pin_shape(&pin)),
            (Err(peer), Err(pin)) => match (header, response) {
                (Ok(header), _) => {
                    Ok(format!("a header {}, {}, {}", header == ServiceId::default(), peer.what, pin.what))
                }
                (_, Ok(response)) => Ok(format!("a response {:?}, {}, {}", response.kind, peer.what, pin.what)),
                (Err(_), Err(e)) if !others.contains(&true) => Err(format!("{e}, {peer}, {pin}")),
                (Err(_), Err(_)) => Ok(format!("{others:?}, {}", peer.what)),
            },
        }
    });
}
