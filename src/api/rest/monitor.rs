//! `/monitor` and `/health`: metrics and alerts.
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::super::error::{ApiError, json};
use super::backend::Api;
use super::extract::{Params, Segment};
use crate::swarm;
use crate::wire::rest::{Alert, Bandwidth, ConnectGraph, GlobalRepoGc, Metric, Traffic};

pub(super) async fn names(State(Api(cluster)): State<Api>) -> Response {
    json(StatusCode::OK, &cluster.metric_names())
}

pub(super) async fn metrics(State(Api(cluster)): State<Api>, Segment(name): Segment) -> Response {
    let metrics: Vec<Metric> = cluster.metrics(&name).iter().map(Metric::from).collect();
    json(StatusCode::OK, &metrics)
}

pub(super) async fn alerts(State(Api(cluster)): State<Api>) -> Response {
    let alerts: Vec<Alert> = cluster.alerts().iter().map(Alert::from).collect();
    json(StatusCode::OK, &alerts)
}

pub(super) async fn graph(State(Api(cluster)): State<Api>) -> Response {
    json(StatusCode::OK, &ConnectGraph::from(&cluster.graph().await))
}

pub(super) async fn bandwidth(State(Api(cluster)): State<Api>) -> Response {
    let traffic = cluster.traffic().into_iter().map(|(protocol, traffic)| (protocol, shape(traffic)));
    json(StatusCode::OK, &traffic.collect::<Bandwidth>())
}

fn shape(traffic: swarm::Traffic) -> Traffic {
    let total = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Traffic {
        total_in: total(traffic.total_in),
        total_out: total(traffic.total_out),
        rate_in: traffic.rate_in,
        rate_out: traffic.rate_out,
    }
}

/// `/ipfs/gc`
pub(super) async fn gc(State(Api(cluster)): State<Api>, Params(query): Params) -> Result<Response, ApiError> {
    let collected = cluster.gc(query.is_true("local")).await?;
    Ok(json(StatusCode::OK, &GlobalRepoGc::from(collected.as_slice())))
}

#[cfg(test)]
mod tests {
    use super::super::routes::RestOptions;
    use super::super::tests::{api, ask, fault, text};

    #[tokio::test]
    async fn daemons_collect_here_or_everywhere() {
        let (router, small) = api(&RestOptions::default());
        assert_eq!(text(ask(&router, "POST /ipfs/gc").await).await, (200, "{\"peer_map\":{}}\n".into()));
        assert_eq!(text(ask(&router, "POST /ipfs/gc?local=1").await).await.0, 200);
        assert_eq!(text(ask(&router, "POST /ipfs/gc?local=true").await).await, fault(500, "ipfs is down"));
        assert_eq!(*small.calls.lock().unwrap(), ["gc false", "gc false", "gc true"]);
    }
}
