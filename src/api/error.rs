//! The one table: error -> status code and body.
use std::collections::BTreeMap;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::cluster::Error;
use crate::crdt::WriteError;
use crate::wire::{json, rest};

/// An answer that is not 2xx: its status and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) message: String,
    /// Of peers, why each cannot do it.
    pub(super) details: BTreeMap<String, String>,
}

impl ApiError {
    /// 400, because of what the client sent.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404 for a path that leads nowhere.
    pub(super) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found")
    }

    /// 500 in the middle of things.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), details: BTreeMap::new() }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let unfit = if let Error::Allocate(why) = &error { why.unfit() } else { &[] };
        let details = unfit.iter().map(|(peer, why)| (peer.to_string(), why.to_string())).collect();
        Self { details, ..Self::new(status(&error), error.to_string()) }
    }
}

/// The status of each error; as in Go nearly all are 500.
fn status(error: &Error) -> StatusCode {
    match error {
        Error::NotFound | Error::Write(WriteError::NotFound) => StatusCode::NOT_FOUND,
        Error::Write(WriteError::TooLarge { .. }) => StatusCode::BAD_REQUEST,
        Error::Reopening(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Write(WriteError::Stale | WriteError::EpochFull)
        | Error::Follower
        | Error::Setup(_)
        | Error::Allocate(_)
        | Error::Contended(_)
        | Error::NoSpace { .. }
        | Error::Rows(_)
        | Error::Ipfs(_)
        | Error::Other(_)
        | Error::Shutdown => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        json(self.status, &rest::Error { code: self.status.as_u16(), message: self.message, details: self.details })
    }
}

/// An answer with one JSON document and a line end.
pub(super) fn json<T: Serialize>(status: StatusCode, document: &T) -> Response {
    let mut body = Vec::new();
    match json::write(&mut body, document) {
        Ok(()) => {
            body.push(b'\n');
            let content_type = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, Json(error.to_string())).into_response(),
    }
}

/// 204 as Go answers it: with a content type all the same.
pub(super) fn no_content() -> Response {
    let content_type = HeaderValue::from_static("application/json");
    (StatusCode::NO_CONTENT, [(header::CONTENT_TYPE, content_type)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PeerId;
    use crate::monitor::{AllocateError, Unfit};

    #[tokio::test]
    async fn who_cannot_hold_a_pin_is_named_beside_gos_text() {
        let peer = PeerId::random();
        let unfit = vec![(peer, Unfit::NoMetric("freespace".into()))];
        let error = AllocateError::NotEnoughPeers { needed: 2, wanted: 3, available: 1, unfit };
        let response = ApiError::from(Error::Allocate(error)).into_response();
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(body["message"].as_str().unwrap().starts_with("not enough peers to allocate CID"), "{body}");
        assert_eq!(body["details"], serde_json::json!({ peer.to_string(): "no live `freespace` metric" }));
    }

    #[test]
    fn errors_have_gos_codes() {
        assert_eq!(status(&Error::NotFound).as_u16(), 404);
        assert_eq!(status(&Error::Follower).as_u16(), 500);
        assert_eq!(status(&Error::Reopening(String::new())).as_u16(), 503);
        assert_eq!(status(&Error::Write(WriteError::TooLarge { size: 1 })).as_u16(), 400);
    }
}
