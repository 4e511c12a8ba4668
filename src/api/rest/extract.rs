//! What handlers take out of a request.
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::super::error::ApiError;
use super::options::options;
use crate::model::{Cid, PinOptions};
use crate::task;
use crate::wire::rest::{ContentPath, Query, parse_cid};

/// The query parameters.
pub(super) struct Params(pub(super) Query);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Ok(Self(Query::parse(parts.uri.query().unwrap_or_default())))
    }
}

/// The CID in a path, with the options that may come with it: bad ones are refused on every route, used or not.
pub(super) struct Target {
    pub(super) cid: Cid,
    pub(super) options: PinOptions,
    pub(super) query: Query,
}

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Params(query) = Params::from_request_parts(parts, state).await?;
        let text =
            segment(parts, state).await.map_err(|why| ApiError::bad_request(format!("error decoding Cid: {why}")))?;
        Ok(Self { cid: cid(&text)?, options: options(&query, task::wall())?, query })
    }
}

/// Reads a CID; the fault is a 400.
pub(super) fn cid(text: &str) -> Result<Cid, ApiError> {
    parse_cid(text).map_err(|error| ApiError::bad_request(format!("error decoding Cid: {error}")))
}

/// The one parameter of a route, decoded; a 400 where that is no text.
pub(super) struct Segment(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        segment(parts, state).await.map(Self).map_err(ApiError::bad_request)
    }
}

/// The one parameter of a route, decoded.
pub(super) async fn segment<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, String> {
    let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|error| error.body_text())?;
    Ok(text)
}

/// A content path below `/pins`, with its options.
pub(super) struct PathTarget {
    pub(super) path: ContentPath,
    pub(super) options: PinOptions,
}

impl<S: Send + Sync> FromRequestParts<S> for PathTarget {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Params(query) = Params::from_request_parts(parts, state).await?;
        let fault = |why: String| ApiError::bad_request(format!("error parsing path: {why}"));
        let namespace = parts.uri.path().split('/').nth(2).unwrap_or_default().to_owned();
        let rest = segment(parts, state).await.map_err(fault)?;
        // Go takes this one for the route that recovers a CID, whatever is pinned under that name.
        if rest == "recover" && parts.method == axum::http::Method::POST {
            cid(&namespace)?;
        }
        let path = ContentPath::parse(&format!("/{namespace}/{rest}")).map_err(|error| fault(error.to_string()))?;
        Ok(Self { path, options: options(&query, task::wall())? })
    }
}
