//! Replies about neighbours and collected blocks.
use super::types::{cid, finish, items, peer, peers_raw, text};
use crate::model::{GcKey, PeerId, RepoGc};
use crate::wire::msgpack::{DecodeError, Fields, Value, Writer, decode};

/// Encodes a list of peers.
#[must_use]
pub fn encode_peers(peers: &[PeerId]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.array(peers.len());
    for raw in peers_raw(peers) {
        writer.raw(&raw);
    }
    writer.into_bytes()
}

/// Decodes a list of peers.
///
/// # Errors
/// Bytes that are no list, or have something else in it.
pub fn decode_peers(bytes: &[u8]) -> Result<Vec<PeerId>, DecodeError> {
    match decode(bytes)?.0 {
        Value::Array(items) => items.iter().filter_map(|item| peer(Some(item)).transpose()).collect(),
        Value::Nil => Ok(Vec::new()),
        Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Float(_)
        | Value::Raw(_)
        | Value::Map(_)
        | Value::Ext(..) => Err(DecodeError::at(0, "no list of peers")),
    }
}

/// Encodes what a daemon collected.
#[must_use]
pub fn encode_gc(gc: &RepoGc) -> Vec<u8> {
    finish(|f| {
        f.raw("p", &gc.peer.to_bytes());
        f.text("pn", &gc.peername);
        f.field("k", |w| {
            w.array(gc.keys.len());
            for key in &gc.keys {
                let mut fields = Fields::default();
                // Go writes a CID that is none, too.
                match key.cid {
                    Some(cid) => fields.raw("k", &cid.to_bytes()),
                    None => fields.field("k", Writer::nil),
                }
                fields.text("e", &key.error);
                fields.finish(w);
            }
        });
        f.text("e", &gc.error);
    })
}

/// Decodes what the daemon of `of` collected.
///
/// # Errors
/// Bytes that are no value, or CIDs that are none.
pub fn decode_gc(bytes: &[u8], of: PeerId) -> Result<RepoGc, DecodeError> {
    let (value, _) = decode(bytes)?;
    let key = |item: &Value<'_>| Ok(GcKey { cid: cid(item.field("k"))?, error: text(item, "e") });
    Ok(RepoGc {
        peer: of,
        peername: text(&value, "pn"),
        keys: items(&value, "k").iter().map(key).collect::<Result<_, DecodeError>>()?,
        error: text(&value, "e"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_collection_is_read_and_written_again() {
        let rpc = include_str!("../../../tests/vectors/rpc.txt");
        let line = rpc.lines().find_map(|line| line.strip_prefix("out-repogclocal-response ")).unwrap();
        let body = line.split_once("5265706f47434c6f63616c").unwrap().1;
        let body = hex::decode(body).unwrap();
        let (value, _) = decode(&body).unwrap();
        let gc = decode_gc(&body, peer(value.field("p")).unwrap().unwrap()).unwrap();
        assert_eq!((gc.peername.as_str(), gc.keys.len()), ("go1", 2));
        assert_eq!(gc.keys[0].cid.unwrap().to_string(), "bafkreiayfpxzfchzztx76d2fjy7tqtttl3xft2wmq5hbyg7ouscpg4embi");
        assert_eq!(hex::encode(encode_gc(&gc)), hex::encode(body));
    }

    #[test]
    fn a_block_that_stays_says_why() {
        let keys = vec![GcKey { cid: None, error: "no link by that name".into() }];
        let gc = RepoGc { peer: PeerId::random(), peername: String::new(), keys, error: "half done".into() };
        assert_eq!(decode_gc(&encode_gc(&gc), gc.peer).unwrap(), gc);
    }

    #[test]
    fn neighbours_are_read_back() {
        let peers = vec![PeerId::random(), PeerId::random()];
        assert_eq!(decode_peers(&encode_peers(&peers)).unwrap(), peers);
        assert_eq!(decode_peers(&[0xc0]).unwrap(), []);
        assert!(decode_peers(&[5]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn hostile_bytes_are_an_error_and_never_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = (decode_peers(&bytes), decode_gc(&bytes, PeerId::random()));
        }
    }
}
