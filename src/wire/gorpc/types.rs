//! Arguments and replies of the calls.
use std::collections::BTreeMap;

use crate::model::{
    Cid, IpfsInfo, Multiaddr, PeerId, PeerInfo, PinInfo, PinInfoShort, StatusFilter, TrackerStatus, UnixMillis,
};
use crate::wire::msgpack::{DecodeError, Fields, Value, Writer, decode};

/// Encodes `struct{}`, the argument of calls that have none.
#[must_use]
pub fn encode_nothing() -> Vec<u8> {
    vec![0x80]
}

/// Encodes a CID.
#[must_use]
pub fn encode_cid(cid: &Cid) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.raw(&cid.to_bytes());
    writer.into_bytes()
}

/// Decodes a CID.
///
/// # Errors
/// Bytes that are no CID, an undefined one included.
pub fn decode_cid(bytes: &[u8]) -> Result<Cid, DecodeError> {
    cid(Some(&decode(bytes)?.0))?.ok_or_else(|| DecodeError::at(0, "invalid cid: undefined"))
}

/// Decodes a peer ID.
///
/// # Errors
/// Bytes that are no peer ID.
pub fn decode_peer(bytes: &[u8]) -> Result<PeerId, DecodeError> {
    peer(Some(&decode(bytes)?.0))?.ok_or_else(|| DecodeError::at(0, "no peer id"))
}

/// Encodes a set of statuses.
#[must_use]
pub fn encode_filter(filter: StatusFilter) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.int(filter.0.into());
    writer.into_bytes()
}

/// Decodes a set of statuses; bits past the known ones are passed over, nil is everything.
///
/// # Errors
/// Bytes that are no number.
pub fn decode_filter(bytes: &[u8]) -> Result<StatusFilter, DecodeError> {
    let (value, _) = decode(bytes)?;
    let bits = if value == Value::Nil { Some(0) } else { value.int() };
    let bits = bits.ok_or_else(|| DecodeError::at(0, "no status"))?;
    Ok(StatusFilter(u16::try_from(bits & 0xffff).unwrap_or_default()))
}

/// Encodes a version.
#[must_use]
pub fn encode_version(version: &str) -> Vec<u8> {
    finish(|f| f.text("v", version))
}

/// Decodes a version.
///
/// # Errors
/// Bytes that are no value.
pub fn decode_version(bytes: &[u8]) -> Result<String, DecodeError> {
    Ok(text(&decode(bytes)?.0, "v"))
}

/// Encodes what a peer says of itself.
#[must_use]
pub fn encode_peer_info(info: &PeerInfo) -> Vec<u8> {
    finish(|f| {
        f.raw("i", &info.id.to_bytes());
        f.raws("a", &addresses_raw(&info.addresses));
        f.raws("cp", &peers_raw(&info.cluster_peers));
        f.raws("cpa", &addresses_raw(&info.cluster_peers_addresses));
        f.text("v", &info.version);
        f.text("c", &info.commit);
        f.text("rv", &info.rpc_protocol_version);
        f.text("e", &info.error);
        if info.ipfs != IpfsInfo::default() {
            f.field("ip", |w| ipfs_fields(&info.ipfs).finish(w));
        }
        f.text("pn", &info.peername);
    })
}

fn ipfs_fields(info: &IpfsInfo) -> Fields {
    let mut f = Fields::default();
    f.raw("i", &info.id.map(PeerId::to_bytes).unwrap_or_default());
    f.raws("a", &addresses_raw(&info.addresses));
    f.text("e", &info.error);
    f
}

/// Decodes what a peer says of itself.
///
/// # Errors
/// Bytes that are no value, and IDs that are none; addresses of unknown kinds are passed over.
pub fn decode_peer_info(bytes: &[u8]) -> Result<PeerInfo, DecodeError> {
    let (value, _) = decode(bytes)?;
    let ipfs = value.field("ip").unwrap_or(&Value::Nil);
    Ok(PeerInfo {
        id: peer(value.field("i"))?.ok_or_else(|| DecodeError::at(0, "no peer id"))?,
        addresses: addresses(&value, "a"),
        cluster_peers: peers(&value, "cp")?,
        cluster_peers_addresses: addresses(&value, "cpa"),
        version: text(&value, "v"),
        commit: text(&value, "c"),
        rpc_protocol_version: text(&value, "rv"),
        error: text(&value, "e"),
        ipfs: IpfsInfo { id: peer(ipfs.field("i"))?, addresses: addresses(ipfs, "a"), error: text(ipfs, "e") },
        peername: text(&value, "pn"),
    })
}

/// Encodes the status of one pin on one peer.
#[must_use]
pub fn encode_pin_info(info: &PinInfo) -> Vec<u8> {
    let short = &info.short;
    finish(|f| {
        f.raw("c", &info.cid.to_bytes());
        f.text("m", &info.name);
        f.raw("p", &info.peer.to_bytes());
        f.raws("o", &peers_raw(&info.allocations));
        f.raws("g", &addresses_raw(&info.origins));
        f.time("t", info.created);
        metadata_field(f, &info.metadata);
        f.text("pn", &short.peername);
        f.raw("i", &short.ipfs_peer_id.map(PeerId::to_bytes).unwrap_or_default());
        f.raws("ia", &addresses_raw(&short.ipfs_peer_addresses));
        f.int("st", short.status.bit().into());
        f.time("ts", Some(short.timestamp).filter(|t| *t != UnixMillis::default()));
        f.text("e", &short.error);
        f.int("a", short.attempt_count.into());
        f.int("b", i64::try_from(short.bytes).unwrap_or(i64::MAX));
        f.time("nt", short.next_try);
        f.flag("y", short.priority_pin);
    })
}

fn metadata_field(fields: &mut Fields, metadata: &BTreeMap<String, String>) {
    if metadata.is_empty() {
        return;
    }
    fields.field("md", |w| {
        w.map(metadata.len());
        for (key, value) in metadata {
            w.text(key);
            w.text(value);
        }
    });
}

/// Decodes the status of one pin on one peer; `None` when it names no CID, which Go's peers drop likewise.
///
/// # Errors
/// Bytes that are no value, and IDs that are none; addresses of unknown kinds are passed over.
pub fn decode_pin_info(bytes: &[u8]) -> Result<Option<PinInfo>, DecodeError> {
    let (value, _) = decode(bytes)?;
    let Some(cid) = cid(value.field("c"))? else { return Ok(None) };
    let int = |key| value.field(key).and_then(Value::int).unwrap_or_default();
    let short = PinInfoShort {
        peername: text(&value, "pn"),
        ipfs_peer_id: peer(value.field("i"))?,
        ipfs_peer_addresses: addresses(&value, "ia"),
        status: TrackerStatus::from_bit(u64::try_from(int("st")).unwrap_or_default()),
        timestamp: time(value.field("ts"))?.unwrap_or_default(),
        error: text(&value, "e"),
        attempt_count: u32::try_from(int("a")).unwrap_or_default(),
        bytes: u64::try_from(int("b")).unwrap_or_default(),
        next_try: time(value.field("nt"))?,
        priority_pin: value.field("y") == Some(&Value::Bool(true)),
    };
    Ok(Some(PinInfo {
        cid,
        name: text(&value, "m"),
        peer: peer(value.field("p"))?.ok_or_else(|| DecodeError::at(0, "no peer id"))?,
        allocations: peers(&value, "o")?,
        origins: addresses(&value, "g"),
        created: time(value.field("t"))?,
        metadata: metadata(&value),
        short,
    }))
}

pub(super) fn finish(fill: impl FnOnce(&mut Fields)) -> Vec<u8> {
    let mut fields = Fields::default();
    fill(&mut fields);
    let mut writer = Writer::default();
    fields.finish(&mut writer);
    writer.into_bytes()
}

pub(super) fn peers_raw(peers: &[PeerId]) -> Vec<Vec<u8>> {
    peers.iter().map(|peer| peer.to_bytes()).collect()
}

fn addresses_raw(addresses: &[Multiaddr]) -> Vec<Vec<u8>> {
    addresses.iter().map(Multiaddr::to_vec).collect()
}

pub(super) fn text(value: &Value<'_>, key: &str) -> String {
    value.field(key).and_then(Value::text).unwrap_or_default()
}

/// Nil, an empty raw and nothing at all are no peer.
pub(super) fn peer(value: Option<&Value<'_>>) -> Result<Option<PeerId>, DecodeError> {
    match value.and_then(Value::raw) {
        None | Some([]) => Ok(None),
        Some(raw) => PeerId::from_bytes(raw).map(Some).map_err(|e| DecodeError::at(0, format!("peer: {e}"))),
    }
}

pub(super) fn cid(value: Option<&Value<'_>>) -> Result<Option<Cid>, DecodeError> {
    match value {
        None | Some(Value::Nil | Value::Raw([])) => Ok(None),
        Some(value) => {
            let raw = value.raw().ok_or_else(|| DecodeError::at(0, "invalid cid: no bytes"))?;
            Cid::try_from(raw).map(Some).map_err(|e| DecodeError::at(0, format!("invalid cid: {e}")))
        }
    }
}

pub(super) fn items<'v, 'a>(value: &'v Value<'a>, key: &str) -> &'v [Value<'a>] {
    match value.field(key) {
        Some(Value::Array(items)) => items,
        _ => &[],
    }
}

fn peers(value: &Value<'_>, key: &str) -> Result<Vec<PeerId>, DecodeError> {
    items(value, key).iter().filter_map(|item| peer(Some(item)).transpose()).collect()
}

/// An address of a kind that we do not know is passed over: it must not hide the peer.
fn addresses(value: &Value<'_>, key: &str) -> Vec<Multiaddr> {
    let address = |item: &Value<'_>| item.raw().and_then(|raw| Multiaddr::try_from(raw.to_vec()).ok());
    items(value, key).iter().filter_map(address).collect()
}

fn metadata(value: &Value<'_>) -> BTreeMap<String, String> {
    match value.field("md") {
        Some(Value::Map(pairs)) => pairs.iter().filter_map(|(k, v)| Some((k.text()?, v.text()?))).collect(),
        _ => BTreeMap::new(),
    }
}

/// A raw of 4, 8 or 12 bytes, or the extension -1 of the new specification.
fn time(value: Option<&Value<'_>>) -> Result<Option<UnixMillis>, DecodeError> {
    let raw = match value {
        Some(Value::Raw(raw) | Value::Ext(-1, raw)) => *raw,
        _ => return Ok(None),
    };
    let number = |bytes: &[u8]| bytes.iter().fold(0u64, |n, b| (n << 8) | u64::from(*b));
    let (seconds, nanos) = match raw.len() {
        4 => (number(raw), 0),
        8 => (number(raw) & ((1 << 34) - 1), number(raw) >> 34),
        12 => (number(&raw[4..]), number(&raw[..4])),
        len => return Err(DecodeError::at(0, format!("time of {len} bytes"))),
    };
    let millis = i64::try_from(nanos / 1_000_000).unwrap_or_default();
    let seconds = i64::from_be_bytes(seconds.to_be_bytes());
    Ok(Some(UnixMillis(seconds.saturating_mul(1000).saturating_add(millis))))
}
