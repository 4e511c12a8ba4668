use super::*;
use crate::model::{StatusFilter, TrackerStatus, UnixMillis};
use crate::wire::msgpack::testing::write;
use crate::wire::msgpack::{Scanner, Value, Writer, decode};

const RPC: &str = include_str!("../../../tests/vectors/rpc.txt");
const MSGPACK: &str = include_str!("../../../tests/vectors/msgpack.txt");

/// The recorded bytes of one direction of one call.
fn recorded(name: &str) -> Vec<u8> {
    let line = RPC.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let bytes = line.unwrap_or_else(|| panic!("{name} is not recorded"));
    if bytes == "EMPTY" { Vec::new() } else { hex::decode(bytes).unwrap() }
}

fn golden(name: &str) -> Vec<u8> {
    let line = MSGPACK.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with("  ")));
    hex::decode(line.unwrap().split_whitespace().last().unwrap()).unwrap()
}

/// The values that stand back to back in `bytes`.
fn values(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let len = Scanner::default().scan(bytes).unwrap().expect("recordings end with a whole value");
        values.push(&bytes[..len]);
        bytes = &bytes[len..];
    }
    values
}

/// What a struct says: pairs in order of keys, the empty ones left out, as moments of whole milliseconds.
fn said(value: &Value<'_>) -> String {
    match value {
        Value::Map(pairs) => {
            let empty = |v: &Value<'_>| matches!(v, Value::Nil | Value::Raw([])) || *v == Value::Array(vec![]);
            let pair = |(k, v): &(Value<'_>, Value<'_>)| format!("{}: {}", said(k), said(v));
            let mut pairs: Vec<_> = pairs.iter().filter(|(_, v)| !empty(v)).map(pair).collect();
            pairs.retain(|pair| !pair.starts_with("\"7473\""));
            pairs.sort();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(said).collect::<Vec<_>>().join(", ")),
        Value::Raw(raw) => format!("{:?}", hex::encode(raw)),
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Float(_) | Value::Ext(..) => {
            format!("{value:?}")
        }
    }
}

fn same(ours: &[u8], recorded: &[u8]) {
    assert_eq!(said(&decode(ours).unwrap().0), said(&decode(recorded).unwrap().0));
}

#[test]
fn every_recorded_value_is_read_and_written_again_byte_for_byte() {
    let lines = RPC.lines().filter(|line| !line.starts_with('#') && !line.contains("-bin8-"));
    let recordings = lines.filter_map(|line| line.split_once(' ')).filter(|(_, bytes)| *bytes != "EMPTY");
    let golden = MSGPACK.lines().take_while(|line| !line.starts_with("---"));
    let golden = golden.filter_map(|line| line.rsplit_once(' '));
    let mut count = 0;
    for (name, bytes) in recordings.chain(golden) {
        let bytes = hex::decode(bytes).unwrap_or_else(|_| panic!("{name} is no hex"));
        for value in values(&bytes) {
            let mut writer = Writer::default();
            write(&decode(value).unwrap().0, &mut writer);
            assert_eq!(hex::encode(writer.into_bytes()), hex::encode(value), "{name}");
            count += 1;
        }
    }
    assert!(count > 150, "only {count} values");
}

#[test]
fn headers_are_written_as_recorded() {
    let mut count = 0;
    for line in RPC.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, bytes)) = line.split_once(' ') else { continue };
        let bytes = if bytes == "EMPTY" { Vec::new() } else { hex::decode(bytes).unwrap() };
        let values = values(&bytes);
        if name.ends_with("-request") {
            assert_eq!(ServiceId::decode(values[0]).unwrap().encode(), values[0], "{name}");
            count += 1;
        } else if name.ends_with("-response") {
            for header in values.iter().step_by(2) {
                assert_eq!(Response::decode(header).unwrap().encode(), *header, "{name}");
                count += 1;
            }
        }
    }
    assert!(count > 60, "only {count} headers");
}

#[test]
fn refusals_carry_gos_kinds_and_texts() {
    let refused = recorded("out-refused-unary-response");
    let response = Response::decode(values(&refused)[0]).unwrap();
    assert_eq!(response.kind, ErrorKind::Authorization);
    assert_eq!(response.error, "client does not have permissions to call Cluster.Status");
    let unknown = recorded("out-unknown-method-response");
    assert_eq!(Response::decode(values(&unknown)[0]).unwrap().kind, ErrorKind::Server);
}

#[test]
fn ids_are_read_and_written_as_recorded() {
    for name in ["out-id", "out-idstream-no-argument", "out-peers", "out-peeradd", "in-cluster-idstream-bin8"] {
        let bytes = recorded(&format!("{name}-response"));
        for body in values(&bytes).iter().skip(1).step_by(2) {
            let info = decode_peer_info(body).unwrap();
            assert_eq!(info.version, "1.1.6");
            same(&encode_peer_info(&info), body);
            assert_eq!(decode_peer_info(&encode_peer_info(&info)).unwrap(), info);
        }
    }
    for name in ["ID no ipfs", "ID"] {
        let body = golden(name);
        same(&encode_peer_info(&decode_peer_info(&body).unwrap()), &body);
    }
    let body = golden("ID no ipfs");
    assert_eq!(encode_peer_info(&decode_peer_info(&body).unwrap()), body);
}

#[test]
fn statuses_are_read_and_written_as_recorded() {
    let names =
        ["out-status-unpinned", "out-status-remote", "out-status-pinned", "out-statusall-pinned", "out-recover"];
    let ours = ["in-pintracker-status", "in-pintracker-statusall", "in-pintracker-status-bin8"];
    let mut count = 0;
    for name in names.into_iter().chain(ours) {
        let bytes = recorded(&format!("{name}-response"));
        for body in values(&bytes).iter().skip(1).step_by(2) {
            let info = decode_pin_info(body).unwrap().unwrap();
            same(&encode_pin_info(&info), body);
            assert_eq!(decode_pin_info(&encode_pin_info(&info)).unwrap().unwrap(), info);
            count += 1;
        }
    }
    assert!(count >= 9, "only {count} statuses");
    let body = golden("PinInfo pinned");
    assert_eq!(encode_pin_info(&decode_pin_info(&body).unwrap().unwrap()), body);
}

#[test]
fn a_status_has_its_fields() {
    let bytes = recorded("out-status-pinned-response");
    let info = decode_pin_info(values(&bytes)[1]).unwrap().unwrap();
    assert_eq!(info.name, "named");
    assert_eq!(info.metadata["k1"], "v1");
    assert_eq!(info.short.status, TrackerStatus::Pinned);
    assert_eq!(info.created, Some(UnixMillis::from_seconds(0x6b00_f307)));
    assert_eq!(info.short.peername, "go1");
}

#[test]
fn arguments_are_read_and_written_as_recorded() {
    let bytes = recorded("out-status-pinned-request");
    let cid = decode_cid(values(&bytes)[1]).unwrap();
    assert_eq!(cid.to_string(), "bafkreicnwvxy645wsiopq7npphq4elevkbf26nsynzdverlszsjxq2f7ie");
    assert_eq!(encode_cid(&cid), values(&bytes)[1]);
    let bytes = recorded("out-peeradd-request");
    assert_eq!(decode_peer(values(&bytes)[1]).unwrap().to_string().len(), 52);
    let bytes = recorded("in-pintracker-statusall-refused-request");
    assert_eq!(decode_filter(values(&bytes)[1]).unwrap(), StatusFilter(16));
    assert_eq!(encode_filter(StatusFilter(16)), values(&bytes)[1]);
    assert_eq!(decode_filter(&[0xc0]).unwrap(), StatusFilter::ALL);
    let bytes = recorded("out-version-response");
    assert_eq!(encode_version(&decode_version(values(&bytes)[1]).unwrap()), values(&bytes)[1]);
    assert!(decode_cid(&hex::decode("a3616263").unwrap()).is_err());
    assert!(decode_cid(&[0xc0]).is_err());
}

proptest::proptest! {
    #[test]
    fn hostile_bytes_are_an_error_and_never_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = (decode_peer_info(&bytes), decode_pin_info(&bytes), decode_cid(&bytes), decode_filter(&bytes));
        let _ = (ServiceId::decode(&bytes), Response::decode(&bytes), decode_version(&bytes));
    }

    #[test]
    fn a_damaged_recording_is_an_error_and_never_a_panic(at in 0usize..2000, byte: u8) {
        for name in ["out-id-response", "out-statusall-pinned-response"] {
            let mut bytes = recorded(name);
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = (decode_peer_info(&bytes[41..]), decode_pin_info(&bytes[46..]));
        }
    }
}
