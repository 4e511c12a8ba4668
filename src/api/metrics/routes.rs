//! The one route.
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;

use super::cluster::Shown;
use super::process::Process;
use crate::cluster::Cluster;
use crate::observe::{CONTENT_TYPE, page};

/// Returns the page of `cluster`: `GET /metrics`.
pub fn router(cluster: Cluster) -> Router {
    let mut registry = Registry::default();
    cluster.meters().register(&mut registry);
    registry.register_collector(Box::new(Shown::new(cluster)));
    registry.register_collector(Box::new(Process));
    Router::new().route("/metrics", get(show)).with_state(Arc::new(registry))
}

async fn show(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    // The ledger is read for it.
    let text = tokio::task::spawn_blocking(move || page(&registry)).await.unwrap_or_default();
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text)
}
