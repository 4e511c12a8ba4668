//! Go's protobuf `Pin`: what the pinset keeps of a pin, in both engines.
use std::collections::BTreeMap;

use prost::Message;

use crate::model::{Cid, MaxDepth, Multiaddr, PeerId, Pin, PinType, Replication, UnixMillis};

/// Why bytes are no pin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// Not the protobuf of a pin.
    #[error("pin is no protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// A field holds no CID.
    #[error("the pin's {0} is no CID")]
    Cid(&'static str),
    /// An allocation is no peer id.
    #[error("an allocation of the pin is no peer id")]
    Allocation,
    /// An origin is no multiaddress.
    #[error("an origin of the pin is no multiaddress")]
    Origin,
}

/// Encodes `pin` as Go does, byte for byte.
#[must_use]
pub fn encode(pin: &Pin) -> Vec<u8> {
    PinRow { cid: pin.cid.to_bytes(), ..row(pin) }.encode_to_vec()
}

/// Encodes `pin` without its CID, for tables whose key has it.
#[must_use]
pub fn encode_without_cid(pin: &Pin) -> Vec<u8> {
    row(pin).encode_to_vec()
}

/// Reads what [`encode`] or Go wrote; unknown fields are passed over.
///
/// # Errors
/// [`PinError`]: one bad field refuses the pin, as in Go.
pub fn decode(bytes: &[u8]) -> Result<Pin, PinError> {
    let row = PinRow::decode(bytes)?;
    let cid = Cid::try_from(&row.cid[..]).map_err(|_| PinError::Cid("CID"))?;
    pin(cid, row)
}

/// Reads what [`encode_without_cid`] wrote for `cid`.
///
/// # Errors
/// [`PinError`].
pub fn decode_with_cid(cid: Cid, bytes: &[u8]) -> Result<Pin, PinError> {
    pin(cid, PinRow::decode(bytes)?)
}

#[derive(Clone, PartialEq, Message)]
struct PinRow {
    #[prost(bytes = "vec", tag = "1")]
    cid: Vec<u8>,
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(bytes = "vec", repeated, tag = "3")]
    allocations: Vec<Vec<u8>>,
    #[prost(sint32, tag = "4")]
    max_depth: i32,
    #[prost(bytes = "vec", tag = "5")]
    reference: Vec<u8>,
    #[prost(message, optional, tag = "6")]
    options: Option<OptionsRow>,
    #[prost(uint64, tag = "7")]
    timestamp: u64,
}

#[derive(Clone, PartialEq, Message)]
struct OptionsRow {
    #[prost(sint32, tag = "1")]
    replication_min: i32,
    #[prost(sint32, tag = "2")]
    replication_max: i32,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(uint64, tag = "4")]
    shard_size: u64,
    /// What old peers wrote; it is read, and never written.
    #[prost(btree_map = "string, string", tag = "6")]
    metadata: BTreeMap<String, String>,
    #[prost(bytes = "vec", tag = "7")]
    pin_update: Vec<u8>,
    #[prost(uint64, tag = "8")]
    expire_at: u64,
    #[prost(bytes = "vec", repeated, tag = "9")]
    origins: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "10")]
    sorted_metadata: Vec<MetadataRow>,
}

#[derive(Clone, PartialEq, Message)]
struct MetadataRow {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

fn row(pin: &Pin) -> PinRow {
    PinRow {
        cid: Vec::new(),
        kind: kind_number(pin.kind),
        allocations: pin.allocations.iter().map(|peer| peer.to_bytes()).collect(),
        max_depth: pin.max_depth.number(),
        reference: pin.reference.map(|cid| cid.to_bytes()).unwrap_or_default(),
        options: Some(options(pin)),
        timestamp: seconds(pin.timestamp),
    }
}

fn options(pin: &Pin) -> OptionsRow {
    let (replication_min, replication_max) = pin.replication.factors();
    let metadata = pin.metadata.iter();
    OptionsRow {
        replication_min,
        replication_max,
        name: pin.name.clone(),
        shard_size: pin.shard_size,
        metadata: BTreeMap::new(),
        pin_update: pin.pin_update.map(|cid| cid.to_bytes()).unwrap_or_default(),
        expire_at: seconds(pin.expire_at),
        origins: pin.origins.iter().map(Multiaddr::to_vec).collect(),
        sorted_metadata: metadata.map(|(key, value)| MetadataRow { key: key.clone(), value: value.clone() }).collect(),
    }
}

fn pin(cid: Cid, row: PinRow) -> Result<Pin, PinError> {
    let options = row.options.unwrap_or_default();
    let mut metadata = options.metadata;
    metadata.extend(options.sorted_metadata.into_iter().map(|row| (row.key, row.value)));
    let origin = |bytes| Multiaddr::try_from(bytes).map_err(|_| PinError::Origin);
    let allocation = |bytes: Vec<u8>| PeerId::from_bytes(&bytes).map_err(|_| PinError::Allocation);
    Ok(Pin {
        cid,
        kind: kind_of(row.kind),
        replication: replication(options.replication_min, options.replication_max),
        name: options.name,
        shard_size: options.shard_size,
        user_allocations: Vec::new(),
        expire_at: moment(options.expire_at),
        metadata,
        pin_update: cid_of(&options.pin_update, "pin update")?,
        origins: options.origins.into_iter().map(origin).collect::<Result<_, _>>()?,
        allocations: row.allocations.into_iter().map(allocation).collect::<Result<_, _>>()?,
        max_depth: MaxDepth::from_number(row.max_depth),
        reference: cid_of(&row.reference, "reference")?,
        timestamp: moment(row.timestamp),
    })
}

const KINDS: [PinType; 5] = PinType::ALL;

fn kind_number(kind: PinType) -> i32 {
    KINDS.iter().zip(0..).find(|(known, _)| **known == kind).map_or(0, |(_, number)| number)
}

fn kind_of(number: i32) -> PinType {
    usize::try_from(number).ok().and_then(|n| KINDS.get(n)).copied().unwrap_or(PinType::Bad)
}

/// What Go takes a pair of factors for: any negative one means everywhere; 0 is nothing that it writes.
pub(super) fn replication(min: i32, max: i32) -> Replication {
    match (u32::try_from(min), u32::try_from(max)) {
        (Ok(min), Ok(max)) => Replication::Between { min: min.max(1), max: max.max(min).max(1) },
        (Err(_), _) | (_, Err(_)) => Replication::Everywhere,
    }
}

fn cid_of(bytes: &[u8], field: &'static str) -> Result<Option<Cid>, PinError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    Cid::try_from(bytes).map(Some).map_err(|_| PinError::Cid(field))
}

/// Whole seconds since the epoch; 0, which is absent, for none and for moments before it.
fn seconds(moment: Option<UnixMillis>) -> u64 {
    moment.map_or(0, |moment| u64::try_from(moment.seconds()).unwrap_or(0))
}

/// Go's zero time, as very old peers wrote it, is a number far above any time; so is all that milliseconds cannot count.
fn moment(seconds: u64) -> Option<UnixMillis> {
    const SECONDS_MAX: i64 = i64::MAX / 1000;
    i64::try_from(seconds).ok().filter(|seconds| (1..=SECONDS_MAX).contains(seconds)).map(UnixMillis::from_seconds)
}

#[cfg(test)]
#[path = "pin_tests.rs"]
pub(crate) mod tests;
