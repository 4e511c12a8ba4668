//! `/id`, `/version`, `/peers`.
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;

use super::super::error::{ApiError, json};
use super::super::stream::ndjson;
use super::backend::Api;
use crate::wire::rest::{PeerInfo, Version, parse_peer};

pub(super) async fn id(State(Api(cluster)): State<Api>) -> Response {
    json(StatusCode::OK, &PeerInfo::from(&cluster.id().await))
}

pub(super) async fn version(State(Api(cluster)): State<Api>) -> Response {
    json(StatusCode::OK, &Version { version: cluster.version() })
}

pub(super) async fn list(State(Api(cluster)): State<Api>) -> Response {
    ndjson(cluster.peers().map(|peer| Ok(PeerInfo::from(&peer)))).await
}

/// Refuses: membership is who is heard, nobody can be taken out of it.
pub(super) async fn remove(Path(peer): Path<String>) -> Response {
    match parse_peer(&peer) {
        Ok(_) => ApiError::internal("crdt consensus component cannot remove peers").into_response(),
        Err(error) => {
            let message = format!("error decoding Peer ID: failed to parse peer ID: {error}");
            ApiError::bad_request(message).into_response()
        }
    }
}
