//! Pin options out of query parameters.
use multiaddr::{Multiaddr, Protocol};

use super::super::error::ApiError;
use crate::config::GoDuration;
use crate::model::{PinMode, PinOptions, UnixMillis};
use crate::wire::rest::{Query, Time, parse_cid, parse_peer};

/// The shortest `expire-in`.
const EXPIRE_IN_MIN: GoDuration = GoDuration::from_secs(1);

/// Reads pin options; the first fault in Go's order is a 400 in Go's words.
pub(super) fn options(query: &Query, now: UnixMillis) -> Result<PinOptions, ApiError> {
    Ok(PinOptions {
        name: query.get("name").unwrap_or_default().into(),
        mode: mode(query),
        replication_min: factor(query, "replication-min")?,
        replication_max: factor(query, "replication-max")?,
        shard_size: shard_size(query)?,
        user_allocations: list(query, "user-allocations").filter_map(|text| parse_peer(text).ok()).collect(),
        expire_at: expiry(query, now)?,
        metadata: query.with_prefix("meta-").map(|(key, value)| (key.into(), value.into())).collect(),
        pin_update: update(query)?,
        origins: list(query, "origins").map(origin).collect::<Result<_, _>>()?,
    })
}

fn list<'a>(query: &'a Query, key: &str) -> impl Iterator<Item = &'a str> {
    query.get(key).into_iter().flat_map(|text| text.split(','))
}

fn mode(query: &Query) -> PinMode {
    match query.get("mode") {
        Some("direct") => PinMode::Direct,
        None | Some("recursive") => PinMode::Recursive,
        Some(other) => {
            tracing::warn!("unknown pin mode {other:?}: pinning recursively");
            PinMode::Recursive
        }
    }
}

/// `replication` stands for both factors and wins over them.
fn factor(query: &Query, key: &str) -> Result<i32, ApiError> {
    let text = query.get("replication").or_else(|| query.get(key));
    let number = text.map_or(Ok(0), str::parse);
    number.map_err(|_| ApiError::bad_request(format!("parameter {key} invalid")))
}

fn shard_size(query: &Query) -> Result<u64, ApiError> {
    let number = query.get("shard-size").map_or(Ok(0), str::parse);
    number.map_err(|_| ApiError::bad_request("parameter shard_size is invalid"))
}

fn expiry(query: &Query, now: UnixMillis) -> Result<Option<UnixMillis>, ApiError> {
    if let Some(text) = query.get("expire-at") {
        let fault = || {
            format!(
                "expire-at cannot be parsed: parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": \
                 cannot parse {text:?} as \"2006\""
            )
        };
        return Ok(Time::parse(text).ok_or_else(|| ApiError::bad_request(fault()))?.millis());
    }
    let Some(text) = query.get("expire-in") else { return Ok(None) };
    let after: GoDuration =
        text.parse().map_err(|error| ApiError::bad_request(format!("expire-in cannot be parsed: {error}")))?;
    match after.to_std().filter(|_| after >= EXPIRE_IN_MIN) {
        Some(after) => Ok(Some(now.plus(after))),
        None => Err(ApiError::bad_request("expire-in duration too short")),
    }
}

fn update(query: &Query) -> Result<Option<crate::model::Cid>, ApiError> {
    let fault = |error| ApiError::bad_request(format!("error decoding update option parameter: {error}"));
    query.get("pin-update").map(parse_cid).transpose().map_err(fault)
}

fn origin(text: &str) -> Result<Multiaddr, ApiError> {
    let fault = |why: String| {
        ApiError::bad_request(format!("error decoding multiaddress: failed to parse multiaddr {text:?}: {why}"))
    };
    if !text.starts_with('/') {
        return Err(fault("must begin with /".into()));
    }
    let address: Multiaddr = text.parse().map_err(|error: multiaddr::Error| fault(error.to_string()))?;
    if address.iter().any(|part| matches!(part, Protocol::P2p(_))) {
        return Ok(address);
    }
    Err(ApiError::bad_request("multiaddress does not contain peer ID: protocol not found in multiaddr"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::rest::options_to_query;

    const NOW: UnixMillis = UnixMillis(1_000_000);
    const PEER: &str = "12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8";

    fn read(text: &str) -> Result<PinOptions, String> {
        options(&Query::parse(text), NOW).map_err(|error| error.message)
    }

    #[test]
    fn what_is_not_given_is_the_default() {
        let go = "expire-at=&mode=recursive&name=&pin-update=&replication-max=0&replication-min=0&shard-size=0&user-allocations=";
        assert_eq!(read(go), Ok(PinOptions::default()));
        assert_eq!(read("mode=x"), Ok(PinOptions::default()));
    }

    #[test]
    fn all_options_are_read() {
        let text = format!(
            "name=web+site%26&replication-min=1&replication-max=2&shard-size=5000&user-allocations={PEER},nonsense&mode=direct\
             &expire-at=2099-01-02T03:04:05Z&meta-kind=text&meta-=x&meta-empty=&origins=/ip4/127.0.0.1/tcp/1/p2p/{PEER}\
             &pin-update=QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq"
        );
        let options = read(&text).unwrap();
        assert_eq!((options.name.as_str(), options.mode), ("web site&", PinMode::Direct));
        assert_eq!((options.replication_min, options.replication_max, options.shard_size), (1, 2, 5000));
        assert_eq!((options.user_allocations.len(), options.origins.len()), (1, 1));
        assert_eq!(options.expire_at.map(UnixMillis::seconds), Some(4_071_006_245));
        assert_eq!(options.metadata.keys().collect::<Vec<_>>(), ["empty", "kind"]);
        assert!(options.pin_update.is_some());
    }

    #[test]
    fn one_factor_stands_for_both() {
        let options = read("replication=-1&replication-min=3").unwrap();
        assert_eq!((options.replication_min, options.replication_max), (-1, -1));
    }

    #[test]
    fn an_expiry_in_a_while_is_counted_from_now() {
        assert_eq!(read("expire-in=100h").unwrap().expire_at, Some(UnixMillis(1_000_000 + 360_000_000)));
        assert!(read("expire-in=2s&expire-at=2099-01-02T03:04:05Z").unwrap().expire_at > Some(UnixMillis(9_999_999)));
    }

    #[test]
    fn faults_have_gos_texts() {
        let faults = [
            ("replication-min=x", "parameter replication-min invalid"),
            ("replication-max=1.5", "parameter replication-max invalid"),
            ("replication=x", "parameter replication-min invalid"),
            ("shard-size=-1", "parameter shard_size is invalid"),
            (
                "expire-at=tomorrow",
                "expire-at cannot be parsed: parsing time \"tomorrow\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"tomorrow\" as \"2006\"",
            ),
            ("expire-in=5", "expire-in cannot be parsed: time: missing unit in duration \"5\""),
            ("expire-in=10ms", "expire-in duration too short"),
            ("expire-in=-5h", "expire-in duration too short"),
            ("pin-update=x", "error decoding update option parameter: invalid cid: cid too short"),
            ("origins=x", "error decoding multiaddress: failed to parse multiaddr \"x\": must begin with /"),
            ("origins=/ip4/1.2.3.4/tcp/1", "multiaddress does not contain peer ID: protocol not found in multiaddr"),
        ];
        for (text, fault) in faults {
            assert_eq!(read(text), Err(fault.into()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_the_client_writes_is_read_back(
            name in ".{0,20}", min in -1..9_i32, max in -1..9_i32, shard_size: u64,
            metadata in prop::collection::btree_map("[^\u{0}]{1,8}", ".{0,8}", 0..4), expire in prop::option::of(1..253_402_300_799_i64),
        ) {
            let options = PinOptions {
                name, replication_min: min, replication_max: max, shard_size, metadata,
                expire_at: expire.map(UnixMillis::from_seconds), ..PinOptions::default()
            };
            prop_assert_eq!(read(&options_to_query(&options)), Ok(options));
        }

        #[test]
        fn no_query_makes_it_panic(text in ".{0,200}") {
            let _ = read(&text);
        }
    }
}
