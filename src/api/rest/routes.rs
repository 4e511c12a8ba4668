//! The route table.
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use axum::{Extension, Router};

use super::super::access::{AccessLog, note};
use super::super::auth::{Admitted, Credentials};
use super::super::cors::Cors;
use super::super::error::{ApiError, json, no_content};
use super::super::measure::{measure, note_route};
use super::super::router::{Pipeline, header_map, no_head, pass, wrong_method};
use super::backend::{Api, Backend};
use super::own::{bulk, drain, events, log, openapi, probes, rebalance, wait};
use super::{allocations, monitor, peers, pins, replication};
use crate::cluster::Cluster;
use crate::model::Probe;
use crate::observe::LogLevels;
use crate::wire::rest;

/// What the REST API runs with beside the cluster.
#[derive(Clone, Debug, Default)]
pub struct RestOptions {
    /// Headers that answers have besides their own.
    pub headers: BTreeMap<String, Vec<String>>,
    /// Who is admitted; `None` is everybody.
    pub credentials: Option<Credentials>,
    /// What scripts of other origins may do.
    pub cors: Cors,
    /// The log whose levels it sets.
    pub levels: LogLevels,
    /// Where requests are written down, if anywhere.
    pub log: Option<AccessLog>,
}

/// Returns the REST API of `cluster`.
pub fn router(cluster: Cluster, options: &RestOptions) -> Router {
    let meters = cluster.meters().http.clone();
    over(Arc::new(cluster), options).layer(from_fn_with_state(meters, measure))
}

pub(super) fn over(backend: Arc<dyn Backend>, options: &RestOptions) -> Router {
    let pipeline = Pipeline {
        headers: header_map(&options.headers),
        credentials: options.credentials.clone(),
        cors: options.cors.clone(),
    };
    // Around the whole router: what it adds to answers by itself is in the pipeline's hands too.
    let all = routes(backend, options.levels.clone());
    let router = Router::new().fallback_service(all).layer(from_fn_with_state(Arc::new(pipeline), pass));
    match options.log.clone() {
        Some(log) => router.layer(from_fn_with_state(log, note)),
        None => router,
    }
}

fn routes(backend: Arc<dyn Backend>, levels: LogLevels) -> Router {
    (table().router)
        .fallback(|| async { ApiError::no_route() })
        .method_not_allowed_fallback(wrong_method)
        .route_layer(from_fn(note_route))
        .layer(Extension(levels))
        .layer(Extension(wait::Room::default()))
        .with_state(Api(backend))
}

/// The paths of all routes.
#[cfg(test)]
pub(super) fn paths() -> Vec<&'static str> {
    table().paths
}

/// The routes, and their paths, which a router does not tell any more.
#[derive(Default)]
struct Table {
    router: Router<Api>,
    paths: Vec<&'static str>,
}

impl Table {
    fn route(mut self, path: &'static str, methods: MethodRouter<Api>) -> Self {
        self.paths.push(path);
        Self { router: self.router.route(path, methods), ..self }
    }
}

fn table() -> Table {
    let by_path = || post(pins::pin_path).delete(pins::unpin_path);
    Table::default()
        .route("/id", no_head(get(peers::id)))
        .route("/version", no_head(get(peers::version)))
        .route("/peers", no_head(get(peers::list).post(peers::add)))
        .route("/peers/{peer}", delete(peers::remove))
        .route("/peers/{peer}/drain", no_head(get(drain::look).post(drain::begin).delete(drain::end)))
        .route("/allocations", no_head(get(allocations::list)))
        .route("/allocations/{hash}", no_head(get(allocations::one)))
        .route("/pins", no_head(get(pins::status_all).post(bulk::pin)))
        .route("/pins/counts", no_head(get(probes::counts).post(pins::no_such_cid).delete(pins::no_such_cid)))
        .route("/pins/recover", no_head(post(pins::recover_all).get(pins::no_cid)))
        .route("/pins/sync", no_head(post(pins::recover_all).get(pins::no_cid)))
        .route("/pins/{hash}", no_head(get(pins::status).post(pins::pin).delete(pins::unpin)))
        .route("/pins/{hash}/recover", post(pins::recover))
        // What recover was called before Go's 0.14.
        .route("/pins/{hash}/sync", post(pins::recover))
        .route("/pins/ipfs/{*path}", by_path())
        .route("/pins/ipns/{*path}", by_path())
        .route("/pins/ipld/{*path}", by_path())
        .route("/monitor/metrics", no_head(get(monitor::names)))
        .route("/monitor/metrics/{name}", no_head(get(monitor::metrics)))
        .route("/token", post(token))
        .route("/health", no_head(get(|| async { no_content() })))
        .route("/events", no_head(get(events::listen)))
        .route("/log/levels", no_head(get(log::levels).post(log::set)))
        .route("/livez", probes::probe(Probe::Live))
        .route("/readyz", probes::probe(Probe::Ready))
        .route("/syncedz", probes::probe(Probe::Synced))
        .route("/health/graph", no_head(get(monitor::graph)))
        .route("/health/bandwidth", no_head(get(monitor::bandwidth)))
        .route("/ipfs/gc", post(monitor::gc))
        .route("/rebalance", post(rebalance::run))
        .route("/health/alerts", no_head(get(monitor::alerts)))
        .route("/health/replication", no_head(get(replication::health)))
        .route("/snapshot", no_head(get(replication::snapshot)))
        .route("/openapi.json", no_head(get(openapi::show)))
}

/// A token for who is logged in; without users there is nobody to log in.
async fn token(admitted: Option<Extension<Admitted>>) -> Response {
    match admitted {
        Some(Extension(Admitted { token })) => json(StatusCode::OK, &rest::Token { token }),
        None => ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized").into_response(),
    }
}
