//! `/health/replication` and `/snapshot`: how the replication stands, and a copy of the pinset to take away.
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};

use super::super::error::{ApiError, json};
use super::backend::Api;
use crate::cluster::ReplicationHealth;
use crate::model::PeerId;
use crate::wire::rest::{self, Time};

pub(super) async fn health(State(Api(cluster)): State<Api>) -> Response {
    json(StatusCode::OK, &shape(&cluster.replication()))
}

fn shape(ReplicationHealth { summary, notices, clocks, spending }: &ReplicationHealth) -> rest::ReplicationHealth {
    let notice =
        |(at, notice): &(_, crate::crdt::Notice)| rest::Notice { at: Time::from(*at), text: notice.to_string() };
    let clock =
        |(peer, ahead_millis): &(PeerId, i64)| rest::Clock { peer: peer.to_string(), ahead_millis: *ahead_millis };
    rest::ReplicationHealth {
        pins: summary.entries,
        clock: hex::encode(summary.clock_hash),
        digest: hex::encode(summary.digest_hash),
        in_sync: summary.in_sync,
        behind_since: summary.behind_since.into(),
        trusted_at: summary.trusted_at.into(),
        joining: summary.joining,
        pending: summary.pending,
        staged: summary.staged,
        forks: summary.forks,
        log_bytes: summary.log_bytes,
        snapshot_at: summary.snapshot.map(Time::from).unwrap_or_default(),
        clocks: clocks.iter().map(clock).collect(),
        notices: notices.iter().map(notice).collect(),
        share: spending.map(|of| rest::ShareHealth {
            max_bytes: of.max,
            held_bytes: of.held,
            reserved_bytes: of.reserved,
        }),
    }
}

/// A file as it is made. An error in the middle breaks the connection off: a part of a file must not look like a whole one.
pub(super) async fn snapshot(State(Api(cluster)): State<Api>) -> Response {
    let mut parts = cluster.snapshot();
    let first = match parts.next().await {
        Some(Ok(first)) => first,
        Some(Err(error)) => return ApiError::from(error).into_response(),
        None => return ApiError::internal("the snapshot is empty").into_response(),
    };
    let body = Body::from_stream(stream::once(std::future::ready(Ok(first))).chain(parts));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"pinset.snapshot\"")),
    ];
    (StatusCode::OK, headers, body).into_response()
}
