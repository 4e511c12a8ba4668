//! `/monitor` and `/health`: metrics and alerts.
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::super::error::json;
use super::backend::Api;
use crate::wire::rest::{Alert, Metric};

pub(super) async fn names(State(Api(cluster)): State<Api>) -> Response {
    json(StatusCode::OK, &cluster.metric_names())
}

pub(super) async fn metrics(State(Api(cluster)): State<Api>, Path(name): Path<String>) -> Response {
    let metrics: Vec<Metric> = cluster.metrics(&name).iter().map(Metric::from).collect();
    json(StatusCode::OK, &metrics)
}

pub(super) async fn alerts(State(Api(cluster)): State<Api>) -> Response {
    let alerts: Vec<Alert> = cluster.alerts().iter().map(Alert::from).collect();
    json(StatusCode::OK, &alerts)
}
