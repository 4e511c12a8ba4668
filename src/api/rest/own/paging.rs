//! `?limit=&cursor=&name=&meta-k=v&created-after=` on `/allocations` and `/pins`: parts of the pinset.
//!
//! A page is as long as `limit` says, or shorter when it grows large; the header `X-Next-Cursor` leads to the next one
//! and is not there on the last. Without `limit` the answer is a stream of all that match, from the cursor on.
use std::collections::BTreeMap;
use std::future::ready;
use std::num::NonZeroUsize;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use serde::Serialize;

use super::super::extract::cid;
use crate::api::error::{ApiError, no_content};
use crate::api::stream::ndjson;
use crate::cluster::Error;
use crate::model::{self, Cid, UnixMillis};
use crate::wire::json;
use crate::wire::rest::{GlobalPinInfo, Pin, Query, Time};

/// Most rows of a page.
const LIMIT_MAX: usize = 10_000;
/// A page ends when it has this many bytes: it is held in memory, because its head tells what its end is.
const PAGE_BYTES: usize = 4 << 20;

const X_NEXT_CURSOR: HeaderName = HeaderName::from_static("x-next-cursor");

/// Which part of a list is wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::api::rest) struct Part {
    limit: Option<NonZeroUsize>,
    /// The last pin of the page before.
    pub(in crate::api::rest) after: Option<Cid>,
    wanted: Wanted,
}

impl Part {
    /// Reads the parameters; `None` when there are none of them.
    pub(in crate::api::rest) fn parse(query: &Query) -> Result<Option<Self>, ApiError> {
        let part = Self {
            limit: query.get("limit").map(limit).transpose()?,
            after: query.get("cursor").map(cursor).transpose()?,
            wanted: Wanted {
                name: query.get("name").map(Into::into),
                metadata: query.with_prefix("meta-").map(|(key, value)| (key.into(), value.into())).collect(),
                created_after: query.get("created-after").map(moment).transpose()?,
            },
        };
        Ok(Some(part).filter(|part| *part != Self::default()))
    }

    /// Answers with the pins of `pins` that match.
    pub(in crate::api::rest) async fn of_pins<S>(self, pins: S) -> Response
    where
        S: Stream<Item = Result<model::Pin, Error>> + Send + Unpin + 'static,
    {
        let Self { limit, wanted, .. } = self;
        let pins = pins.filter(move |pin| {
            ready(pin.as_ref().map_or(true, |pin| wanted.has(&pin.name, &pin.metadata, pin.timestamp)))
        });
        answer(pins.map(|pin| pin.map(|pin| (pin.cid, Pin::stored(&pin)))), limit).await
    }

    /// Answers with the statuses of `infos` that match.
    pub(in crate::api::rest) async fn of_infos<S>(self, infos: S) -> Response
    where
        S: Stream<Item = Result<model::GlobalPinInfo, Error>> + Send + Unpin + 'static,
    {
        let Self { limit, wanted, .. } = self;
        let infos = infos.filter(move |info| {
            ready(info.as_ref().map_or(true, |info| wanted.has(&info.name, &info.metadata, info.created)))
        });
        answer(infos.map(|info| info.map(|info| (info.cid, GlobalPinInfo::from(&info)))), limit).await
    }
}

fn limit(text: &str) -> Result<NonZeroUsize, ApiError> {
    let limit = text.parse().ok().filter(|limit: &NonZeroUsize| limit.get() <= LIMIT_MAX);
    limit.ok_or_else(|| ApiError::bad_request(format!("parameter limit invalid: not from 1 to {LIMIT_MAX}")))
}

fn cursor(text: &str) -> Result<Cid, ApiError> {
    cid(text).map_err(|_| ApiError::bad_request("parameter cursor invalid: not the X-Next-Cursor of an answer"))
}

fn moment(text: &str) -> Result<UnixMillis, ApiError> {
    let moment = Time::parse(text).and_then(Time::millis);
    moment.ok_or_else(|| ApiError::bad_request("parameter created-after invalid: not like 2026-01-02T15:04:05Z"))
}

/// Which rows are wanted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    name: Option<String>,
    metadata: BTreeMap<String, String>,
    created_after: Option<UnixMillis>,
}

impl Wanted {
    fn has(&self, name: &str, metadata: &BTreeMap<String, String>, created: Option<UnixMillis>) -> bool {
        self.name.as_ref().is_none_or(|wanted| wanted == name)
            && self.metadata.iter().all(|(key, value)| metadata.get(key) == Some(value))
            && self.created_after.is_none_or(|after| created.is_some_and(|created| created > after))
    }
}

/// One page, or all of `rows` as a stream.
async fn answer<S, T>(rows: S, limit: Option<NonZeroUsize>) -> Response
where
    S: Stream<Item = Result<(Cid, T), Error>> + Send + Unpin + 'static,
    T: Serialize + Send + 'static,
{
    match limit {
        None => ndjson(rows.map(|row| row.map(|(_, document)| document))).await,
        Some(limit) => page(rows, limit.get()).await.unwrap_or_else(IntoResponse::into_response),
    }
}

async fn page<S, T>(mut rows: S, limit: usize) -> Result<Response, ApiError>
where
    S: Stream<Item = Result<(Cid, T), Error>> + Unpin,
    T: Serialize,
{
    let (mut body, mut last, mut count) = (Vec::new(), None, 0);
    let mut next = None;
    while let Some(row) = rows.next().await {
        let (cid, document) = row?;
        if count == limit || body.len() >= PAGE_BYTES {
            next = last;
            break;
        }
        json::write(&mut body, &document).map_err(|error| ApiError::internal(error.to_string()))?;
        body.push(b'\n');
        (last, count) = (Some(cid), count + 1);
    }
    if body.is_empty() {
        return Ok(no_content());
    }
    let content_type = HeaderValue::from_static("application/json");
    let mut response = (StatusCode::OK, [(header::CONTENT_TYPE, content_type)], Body::from(body)).into_response();
    if let Some(cursor) = next.and_then(|cid| HeaderValue::try_from(cid.to_string()).ok()) {
        response.headers_mut().insert(X_NEXT_CURSOR, cursor);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::super::super::routes::RestOptions;
    use super::super::super::tests::{answer, api, ask, fault, text};
    use super::*;
    use crate::ipfs::fake;

    const A: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq";
    const B: &str = "QmU6PrA9xo7xueMPQ5nAgMdp6KhuyDqtBex18WpaVqnscM";

    async fn asked(request: &str) -> (u16, Option<String>, Vec<String>) {
        let response = ask(&api(&RestOptions::default()).0, request).await;
        let cursor = response.headers().get(X_NEXT_CURSOR).map(|cursor| cursor.to_str().unwrap().to_owned());
        let (status, body) = text(response).await;
        let cid = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["cid"].as_str().unwrap().into();
        (status, cursor, body.lines().map(cid).collect())
    }

    #[tokio::test]
    async fn pages_follow_their_cursors() {
        for path in ["/allocations", "/pins", "/pins?local=true&filter=pinned,unpin_error"] {
            let and = if path.contains('?') { '&' } else { '?' };
            let first = asked(&format!("GET {path}{and}limit=1")).await;
            assert_eq!(first, (200, Some(A.into()), vec![A.into()]), "{path}");
            let second = asked(&format!("GET {path}{and}limit=1&cursor={A}")).await;
            assert_eq!(second, (200, None, vec![B.into()]), "{path}");
            assert_eq!(asked(&format!("GET {path}{and}cursor={A}")).await, (200, None, vec![B.into()]), "{path}");
            assert_eq!(asked(&format!("GET {path}{and}limit=9&cursor={B}")).await, (204, None, vec![]), "{path}");
            assert_eq!(asked(&format!("GET {path}{and}limit=2")).await.1, None, "{path}");
        }
    }

    #[tokio::test]
    async fn faults_are_named() {
        let limit = fault(400, "parameter limit invalid: not from 1 to 10000");
        for path in ["/allocations", "/pins"] {
            for bad in ["0", "-1", "x", "10001", "99999999999999999999"] {
                assert_eq!(answer(&format!("GET {path}?limit={bad}")).await, limit, "{bad}");
            }
            let cursor = fault(400, "parameter cursor invalid: not the X-Next-Cursor of an answer");
            assert_eq!(answer(&format!("GET {path}?cursor=abc")).await, cursor);
            let moment = fault(400, "parameter created-after invalid: not like 2026-01-02T15:04:05Z");
            assert_eq!(answer(&format!("GET {path}?created-after=today")).await, moment);
        }
        let leaving = fault(400, "what is being unpinned has no pages: ask without limit, cursor and other filters");
        assert_eq!(answer("GET /pins?filter=unpin_error&limit=1").await, leaving);
    }

    #[tokio::test]
    async fn filters_match_whole_values() {
        let part = |query: &str| Part::parse(&Query::parse(query)).unwrap().unwrap();
        let pin = |n: u64, name: &str, key: &str| model::Pin {
            name: name.into(),
            metadata: [(key.to_owned(), "v".to_owned())].into(),
            timestamp: Some(UnixMillis::from_seconds(1_778_487_461 + i64::try_from(n).unwrap())),
            ..model::Pin::recursive(fake::cid(n))
        };
        let pins = [pin(1, "a", "k"), pin(2, "ab", "k"), pin(3, "a", "j")];
        for (query, matched) in [
            ("name=a", &[1, 3][..]),
            ("name=a&meta-k=v", &[1]),
            ("meta-k=w", &[]),
            ("meta-j=v&created-after=2026-05-11T08:17:41Z", &[3]),
            ("created-after=2026-05-11T08:17:43Z", &[3]),
            ("created-after=2026-05-11T10:17:43%2B02:00", &[3]),
            ("limit=2", &[1, 2]),
            ("limit=1&name=a", &[1]),
        ] {
            let response = part(query).of_pins(stream::iter(pins.clone().map(Ok))).await;
            let (_, body) = text(response).await;
            let found: Vec<bool> = (1..=3).map(|n| body.contains(&fake::cid(n).to_string())).collect();
            let wanted: Vec<bool> = (1..=3).map(|n| matched.contains(&n)).collect();
            assert_eq!(found, wanted, "{query}");
        }
        assert_eq!(Part::parse(&Query::parse("filter=all&local=true&x=y")), Ok(None));
    }

    #[tokio::test]
    async fn a_page_of_large_pins_ends_early_and_an_error_is_no_page() {
        let large = |n| model::Pin { name: "x".repeat(16_000), ..model::Pin::recursive(fake::cid(n)) };
        let part = || Part::parse(&Query::parse("limit=10000")).unwrap().unwrap();
        let response = part().of_pins(stream::iter((0..1000).map(move |n| Ok(large(n))))).await;
        let cursor = response.headers()[X_NEXT_CURSOR].to_str().unwrap().to_owned();
        let (_, body) = text(response).await;
        assert!(body.len() < PAGE_BYTES + 20_000 && body.lines().last().unwrap().contains(&cursor), "{}", body.len());
        let broken = [Ok(model::Pin::recursive(fake::cid(1))), Err(Error::Other("the disk".into()))];
        assert_eq!(text(part().of_pins(stream::iter(broken)).await).await, fault(500, "the disk"));
    }
}
