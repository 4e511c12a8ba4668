//! Events, alerts and metrics as the ledger keeps them.
use super::bytes::{Reader, Writer};
use super::row::{status_at, status_index};
use crate::model::{Alert, Cid, Metric, PeerId, TrackerStatus, UnixMillis};

/// Version of the formats below.
const VERSION: u8 = 1;
/// Bytes of an event's error that are kept.
const ERROR_MAX: usize = 1024;
/// Bytes of a metric's name and value that are kept; Go's are below 1 KiB.
const TEXT_MAX: usize = 8 * 1024;

/// A pin came to an end of some kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: UnixMillis,
    /// Of what.
    pub cid: Cid,
    /// Pinned, unpinned, or the kind of failure.
    pub status: TrackerStatus,
    /// What went wrong, at most 1 KiB; empty when nothing did.
    pub error: String,
}

impl Event {
    pub(super) fn encode(&self) -> Vec<u8> {
        Writer::default()
            .u8(VERSION)
            .i64(self.at.0)
            .bytes(&self.cid.to_bytes())
            .u8(status_index(self.status))
            .text(&self.error, ERROR_MAX)
            .0
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Reader(bytes);
        if fields.u8()? != VERSION {
            return None;
        }
        Some(Self {
            at: UnixMillis(fields.i64()?),
            cid: Cid::try_from(fields.bytes()?).ok()?,
            status: status_at(fields.u8()?)?,
            error: fields.text()?,
        })
    }
}

/// The key of a peer's metric.
pub(super) fn metric_key(metric: &Metric) -> Vec<u8> {
    Writer::default().bytes(&metric.peer.to_bytes()).text(&metric.name, TEXT_MAX).0
}

pub(super) fn encode_metric(metric: &Metric) -> Vec<u8> {
    write_metric(Writer::default().u8(VERSION), metric).0
}

pub(super) fn decode_metric(bytes: &[u8]) -> Option<Metric> {
    let mut fields = Reader(bytes);
    if fields.u8()? == VERSION { read_metric(&mut fields) } else { None }
}

pub(super) fn encode_alert(alert: &Alert) -> Vec<u8> {
    write_metric(Writer::default().u8(VERSION).i64(alert.triggered.0), &alert.metric).0
}

pub(super) fn decode_alert(bytes: &[u8]) -> Option<Alert> {
    let mut fields = Reader(bytes);
    if fields.u8()? != VERSION {
        return None;
    }
    let triggered = UnixMillis(fields.i64()?);
    Some(Alert { metric: read_metric(&mut fields)?, triggered })
}

fn write_metric(fields: Writer, metric: &Metric) -> Writer {
    fields
        .text(&metric.name, TEXT_MAX)
        .bytes(&metric.peer.to_bytes())
        .text(&metric.value, TEXT_MAX)
        .i64(metric.expire_nanos)
        .u8(u8::from(metric.valid) | u8::from(metric.partitionable) << 1)
        .i64(metric.weight)
        .i64(metric.received_nanos)
}

fn read_metric(fields: &mut Reader<'_>) -> Option<Metric> {
    let name = fields.text()?;
    let peer = PeerId::from_bytes(fields.bytes()?).ok()?;
    let value = fields.text()?;
    let expire_nanos = fields.i64()?;
    let flags = fields.u8()?;
    let weight = fields.i64()?;
    let received_nanos = fields.i64()?;
    let (valid, partitionable) = (flags & 1 != 0, flags & 2 != 0);
    Some(Metric { name, peer, value, expire_nanos, valid, weight, partitionable, received_nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_and_metrics_read_back_as_written() {
        let metric = Metric {
            name: "ping".into(),
            peer: PeerId::random(),
            value: "{\"peer_name\":\"a\"}".into(),
            expire_nanos: 7,
            valid: true,
            weight: -3,
            partitionable: false,
            received_nanos: 5,
        };
        let alert = Alert { metric: metric.clone(), triggered: UnixMillis(9) };
        assert_eq!(decode_metric(&encode_metric(&metric)), Some(metric));
        assert_eq!(decode_alert(&encode_alert(&alert)), Some(alert));
    }
}
