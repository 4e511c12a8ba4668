//! `/id`, `/version`, `/peers`.
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use futures::StreamExt;
use serde_json::{Map, Value};

use super::super::error::{ApiError, json};
use super::super::stream::ndjson;
use super::backend::Api;
use super::extract::Segment;
use crate::model::PeerId;
use crate::wire::rest::{AddPeer, PeerInfo, Version, parse_peer};

pub(super) async fn id(State(Api(cluster)): State<Api>) -> Response {
    json(StatusCode::OK, &PeerInfo::from(&cluster.id().await))
}

pub(super) async fn version(State(Api(cluster)): State<Api>) -> Response {
    json(StatusCode::OK, &Version { version: cluster.version() })
}

pub(super) async fn list(State(Api(cluster)): State<Api>) -> Response {
    ndjson(cluster.peers().map(|peer| Ok(PeerInfo::from(&peer)))).await
}

/// Most bytes of a body that names a peer.
const BODY_MAX: usize = 64 << 10;

/// How long such a body may take, whatever the configuration says.
const BODY_WAIT: Duration = Duration::from_mins(1);

/// Answers who the peer is that the body names; membership is who is heard, nobody has to be added to it.
pub(super) async fn add(State(Api(cluster)): State<Api>, body: Body) -> Result<Response, ApiError> {
    let bad_body = || ApiError::bad_request("error decoding request body");
    let bytes = tokio::time::timeout(BODY_WAIT, to_bytes(body, BODY_MAX)).await;
    let bytes = bytes.map_err(|_| bad_body())?.map_err(|_| bad_body())?;
    // Anything but an object is refused; a list would pass for one.
    let object: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|_| bad_body())?;
    let AddPeer { peer_id } = serde_json::from_value(object.into()).map_err(|_| bad_body())?;
    let peer = parse_peer(&peer_id).map_err(|_| ApiError::bad_request("error decoding peer_id"))?;
    Ok(json(StatusCode::OK, &PeerInfo::from(&cluster.add_peer(peer).await?)))
}

/// Refuses: membership is who is heard, nobody can be taken out of it.
pub(super) async fn remove(Segment(peer): Segment) -> ApiError {
    match named(&peer) {
        Ok(_) => ApiError::internal("crdt consensus component cannot remove peers"),
        Err(error) => error,
    }
}

/// The peer that a path names.
pub(super) fn named(text: &str) -> Result<PeerId, ApiError> {
    let fault = |error| ApiError::bad_request(format!("error decoding Peer ID: failed to parse peer ID: {error}"));
    parse_peer(text).map_err(fault)
}
