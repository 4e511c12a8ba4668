//! The document model: genesis, the key of a CID and its bucket, the record of a pin.
pub mod genesis;

use std::fmt;

use data_encoding::BASE64URL_NOPAD;

use super::clock::Hash;
use crate::model::{Cid, Pin};
use crate::wire::pin::{self, PinError};

/// Hash of the genesis change, from which every history descends: 4,096 empty maps.
pub const GENESIS: Hash = [
    0x5f, 0x87, 0x65, 0x2f, 0x65, 0xec, 0x83, 0x6d, 0x2c, 0xbd, 0xaf, 0xcf, 0x59, 0xa6, 0xe0, 0x8d, 0x43, 0x86, 0xad,
    0xcb, 0x0a, 0x30, 0x5a, 0xae, 0x47, 0xfb, 0x1d, 0x02, 0xd9, 0x0a, 0xb0, 0xc0,
];

/// The genesis' actor: one byte, because every change names it.
pub const GENESIS_ACTOR: &[u8] = b"\0";

/// Maps that keys are spread over, and the greatest counter of the genesis change.
pub const BUCKETS: u32 = 4096;

/// Greatest length of a key: `x` and a CID with two long codes and a digest of 64 bytes.
pub const KEY_MAX: usize = 120;

const RAW: u64 = 0x55;
const DAG_PB: u64 = 0x70;
const SHA2_256: u64 = 0x12;
const SHA2_256_BYTES: usize = 32;

/// The canonical text of a CID in the document: `r` or `p` and the digest of a raw or dag-pb `CIDv1` with SHA2-256,
/// `q` and the digest of a `CIDv0`, `x` and the whole CID of any other, in base64url.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    text: Box<str>,
    bucket: u16,
}

impl Key {
    /// The key of `cid`.
    pub fn of(cid: &Cid) -> Self {
        let hash = cid.hash();
        let sha2 = hash.code() == SHA2_256 && hash.digest().len() == SHA2_256_BYTES;
        let kind = match (cid.version(), cid.codec()) {
            (cid::Version::V0, _) => "q",
            (cid::Version::V1, RAW) if sha2 => "r",
            (cid::Version::V1, DAG_PB) if sha2 => "p",
            (cid::Version::V1, _) => "x",
        };
        let rest =
            if kind == "x" { BASE64URL_NOPAD.encode(&cid.to_bytes()) } else { BASE64URL_NOPAD.encode(hash.digest()) };
        let byte = |n: usize| u16::from(hash.digest().get(n).copied().unwrap_or(0));
        Self { text: [kind, &rest].concat().into(), bucket: byte(0) << 4 | byte(1) >> 4 }
    }

    /// Reads a key; [`None`] for anything but the one spelling of a CID.
    pub fn parse(text: &str) -> Option<Self> {
        let cid = (text.len() <= KEY_MAX).then(|| cid_of(text))??;
        Some(Self::of(&cid)).filter(|key| &*key.text == text)
    }

    /// The CID.
    pub fn cid(&self) -> Cid {
        cid_of(&self.text).expect("a key spells a CID")
    }

    /// The map it lives in: the first 12 bits of the digest, padded with zeros.
    pub const fn bucket(&self) -> u16 {
        self.bucket
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The bytes of its text.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn cid_of(text: &str) -> Option<Cid> {
    let (kind, rest) = text.split_at_checked(1)?;
    let bytes = BASE64URL_NOPAD.decode(rest.as_bytes()).ok()?;
    let hash = || {
        let digest = <[u8; SHA2_256_BYTES]>::try_from(&bytes[..]).ok()?;
        cid::multihash::Multihash::wrap(SHA2_256, &digest).ok()
    };
    match kind {
        "q" => Cid::new_v0(hash()?).ok(),
        "r" => Some(Cid::new_v1(RAW, hash()?)),
        "p" => Some(Cid::new_v1(DAG_PB, hash()?)),
        "x" => Cid::try_from(&bytes[..]).ok(),
        _ => None,
    }
}

/// The record of `pin` as entries hold it: Go's protobuf without the CID, which the key has.
pub fn record(pin: &Pin) -> Vec<u8> {
    pin::encode_without_cid(pin)
}

/// The pin that `record` under `key` means.
///
/// # Errors
/// [`PinError`]: nobody checks records before they are kept, so that all keep the same.
pub fn pin(key: &Key, record: &[u8]) -> Result<Pin, PinError> {
    pin::decode_with_cid(key.cid(), record)
}

#[cfg(test)]
mod tests;
