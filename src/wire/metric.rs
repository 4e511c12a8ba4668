//! A metric as peers publish it: Go's `Metric` in msgpack.
use super::msgpack::{DecodeError, Fields, Value, Writer, decode as decode_value};
use crate::model::{Metric, PeerId};

/// The topic that metrics are published on, the same in every cluster.
pub const TOPIC: &str = "monitor.metrics";

/// A payload's greatest size in bytes: a ping with a hundred addresses has 10 KiB.
pub const METRIC_MAX: usize = 64 << 10;

/// What peers before 0.14 wrote in front; read, never written.
const LEGACY_PREFIX: &[u8] = b"\x09/msgpack\n";

/// Why bytes are no metric.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// More than [`METRIC_MAX`] bytes.
    #[error("metric of {0} bytes is too large")]
    TooLarge(usize),
    /// No msgpack.
    #[error(transparent)]
    Garbled(#[from] DecodeError),
    /// It names no peer.
    #[error("metric names no peer")]
    NoPeer,
}

/// Encodes a metric.
#[must_use]
pub fn encode(metric: &Metric) -> Vec<u8> {
    let mut fields = Fields::default();
    fields.text("n", &metric.name);
    fields.raw("p", &metric.peer.to_bytes());
    fields.text("v", &metric.value);
    fields.int("e", metric.expire_nanos);
    fields.flag("d", metric.valid);
    fields.int("w", metric.weight);
    fields.flag("o", metric.partitionable);
    fields.int("t", metric.received_nanos);
    let mut writer = Writer::default();
    fields.finish(&mut writer);
    writer.into_bytes()
}

/// Decodes a metric; the caller compares its peer with who signed the message.
///
/// # Errors
/// See [`MetricError`].
pub fn decode(payload: &[u8]) -> Result<Metric, MetricError> {
    if payload.len() > METRIC_MAX {
        return Err(MetricError::TooLarge(payload.len()));
    }
    let (value, _) = decode_value(payload.strip_prefix(LEGACY_PREFIX).unwrap_or(payload))?;
    let text = |key| value.field(key).and_then(Value::text).unwrap_or_default();
    let int = |key| value.field(key).and_then(Value::int).unwrap_or_default();
    let flag = |key| value.field(key) == Some(&Value::Bool(true));
    let peer = value.field("p").and_then(Value::raw).ok_or(MetricError::NoPeer)?;
    Ok(Metric {
        name: text("n"),
        peer: PeerId::from_bytes(peer).map_err(|_| MetricError::NoPeer)?,
        value: text("v"),
        expire_nanos: int("e"),
        valid: flag("d"),
        weight: int("w"),
        partitionable: flag("o"),
        received_nanos: int("t"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = include_str!("../../tests/vectors/metrics.txt");

    fn recorded() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
        let lines = METRICS.lines().filter_map(|line| line.strip_prefix("payload-")?.split_once(' '));
        lines.map(|(name, bytes)| (name, hex::decode(bytes).unwrap()))
    }

    #[test]
    fn recorded_metrics_are_read_and_written_again_byte_for_byte() {
        let mut count = 0;
        for (name, payload) in recorded() {
            let metric = decode(&payload).unwrap();
            assert!(name.ends_with(&metric.name.replace(':', "-")), "{name}");
            assert!(metric.valid);
            assert_eq!(hex::encode(encode(&metric)), hex::encode(payload), "{name}");
            count += 1;
        }
        assert!(count >= 12);
    }

    #[test]
    fn freespace_has_its_fields() {
        let (_, payload) = recorded().find(|(name, _)| *name == "go1-freespace").unwrap();
        let metric = decode(&payload).unwrap();
        assert_eq!(metric.value, "9999976385");
        assert_eq!(metric.weight, 9_999_976_385);
        assert!(!metric.partitionable);
    }

    #[test]
    fn the_prefix_of_old_peers_is_read() {
        let (_, payload) = recorded().next().unwrap();
        let old = [LEGACY_PREFIX, &payload].concat();
        assert_eq!(decode(&old), decode(&payload));
    }

    proptest::proptest! {
        #[test]
        fn hostile_bytes_are_an_error_and_never_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn a_metric_survives_the_wire(name in ".{0,40}", value in ".{0,400}", expire: i64, weight: i64, valid: bool) {
            let peer = PeerId::random();
            let metric = Metric { name, peer, value, expire_nanos: expire, valid, weight, partitionable: !valid, received_nanos: 0 };
            proptest::prop_assert_eq!(decode(&encode(&metric)).unwrap(), metric);
        }
    }
}
