//! Events, alerts and metrics as the ledger keeps them.
use super::bytes::{Reader, Writer};
use super::row::{status_at, status_index};
use crate::model::{Alert, Cid, Event, Happening, Metric, PeerId, UnixMillis};

/// Version of the formats below.
const VERSION: u8 = 1;
/// Version of events: the first had no kinds.
const EVENT_VERSION: u8 = 2;
/// Bytes of an event's error that are kept.
const ERROR_MAX: usize = 1024;
/// Bytes of a metric's name and value that are kept; Go's are below 1 KiB.
pub const TEXT_MAX: usize = 8 * 1024;

/// Kinds of events on disk; those of the first version are all statuses.
const STATUS: u8 = 0;
const WISHED: u8 = 1;
const DROPPED: u8 = 2;
const EVERYTHING: u8 = 3;

pub(super) fn encode_event(event: &Event) -> Vec<u8> {
    let fields = Writer::default().u8(EVENT_VERSION).i64(event.at.0);
    match &event.what {
        Happening::Came { cid, status, error } => {
            let fields = fields.u8(STATUS).bytes(&cid.to_bytes());
            fields.u8(status_index(*status)).text(error, ERROR_MAX).0
        }
        Happening::Wished(cid) => fields.u8(WISHED).bytes(&cid.to_bytes()).0,
        Happening::Dropped(cid) => fields.u8(DROPPED).bytes(&cid.to_bytes()).0,
        Happening::Everything => fields.u8(EVERYTHING).0,
    }
}

pub(super) fn decode_event(bytes: &[u8]) -> Option<Event> {
    let mut fields = Reader(bytes);
    let version = fields.u8()?;
    let at = UnixMillis(fields.i64()?);
    let kind = match version {
        VERSION => STATUS,
        EVENT_VERSION => fields.u8()?,
        _ => return None,
    };
    if kind == EVERYTHING {
        return Some(Event { at, what: Happening::Everything });
    }
    let cid = Cid::try_from(fields.bytes()?).ok()?;
    let what = match kind {
        STATUS => Happening::Came { cid, status: status_at(fields.u8()?)?, error: fields.text()? },
        WISHED => Happening::Wished(cid),
        DROPPED => Happening::Dropped(cid),
        _ => return None,
    };
    Some(Event { at, what })
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
    use crate::model::TrackerStatus;

    #[test]
    fn events_read_back_as_written_and_those_of_the_first_version_too() {
        let cid: Cid = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq".parse().unwrap();
        let came = Happening::Came { cid, status: TrackerStatus::PinError, error: "why".into() };
        for what in [came.clone(), Happening::Wished(cid), Happening::Dropped(cid), Happening::Everything] {
            let event = Event { at: UnixMillis(7), what };
            let bytes = encode_event(&event);
            assert!((0..bytes.len()).all(|end| decode_event(&bytes[..end]) != Some(event.clone())));
            assert_eq!(decode_event(&bytes), Some(event));
        }
        let first = Writer::default().u8(1).i64(7).bytes(&cid.to_bytes());
        let first = first.u8(status_index(TrackerStatus::PinError)).text("why", ERROR_MAX).0;
        assert_eq!(decode_event(&first), Some(Event { at: UnixMillis(7), what: came }));
        assert_eq!(decode_event(&[9, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }

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
