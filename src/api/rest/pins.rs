//! `/pins`: pin, unpin, status, recover.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};

use super::super::error::{ApiError, json};
use super::super::stream::ndjson;
use super::backend::{Api, Backend};
use super::extract::{Params, PathTarget, Target, cid};
use super::own::paging::Part;
use super::own::wait::Wait;
use crate::cluster::Error;
use crate::model::{self, Cid, StatusFilter};
use crate::wire::rest::{GlobalPinInfo, Pin};

/// CIDs of one request whose status is looked up at a time: each asks up to all peers.
const LOOKUPS_MAX: usize = 32;

/// Why there is no page of what leaves the pinset.
const LEAVING: &str = "what is being unpinned has no pages: ask without limit, cursor and other filters";

pub(super) async fn pin(State(Api(cluster)): State<Api>, target: Target, wait: Wait) -> Result<Response, ApiError> {
    let pin = cluster.pin(target.cid, target.options).await?;
    wait.answer(&cluster, pin).await
}

pub(super) async fn pin_path(
    State(Api(cluster)): State<Api>,
    target: PathTarget,
    wait: Wait,
) -> Result<Response, ApiError> {
    let pin = match target.path.cid() {
        Some(cid) => cluster.pin(cid, target.options).await?,
        None => cluster.pin_path(target.path.to_string(), target.options).await?,
    };
    wait.answer(&cluster, pin).await
}

pub(super) async fn unpin(State(Api(cluster)): State<Api>, target: Target) -> Result<Response, ApiError> {
    Ok(json(StatusCode::OK, &Pin::stored(&cluster.unpin(target.cid).await?)))
}

pub(super) async fn unpin_path(State(Api(cluster)): State<Api>, target: PathTarget) -> Result<Response, ApiError> {
    let pin = match target.path.cid() {
        Some(cid) => cluster.unpin(cid).await?,
        None => cluster.unpin_path(target.path.to_string()).await?,
    };
    Ok(json(StatusCode::OK, &Pin::stored(&pin)))
}

pub(super) async fn status(State(Api(cluster)): State<Api>, target: Target) -> Result<Response, ApiError> {
    let info = cluster.status(target.cid, target.query.is_true("local")).await?;
    Ok(json(StatusCode::OK, &GlobalPinInfo::from(&info)))
}

pub(super) async fn recover(State(Api(cluster)): State<Api>, target: Target) -> Result<Response, ApiError> {
    let info = cluster.recover(target.cid, target.query.is_true("local")).await?;
    Ok(json(StatusCode::OK, &GlobalPinInfo::from(&info)))
}

pub(super) async fn recover_all(State(Api(cluster)): State<Api>, Params(query): Params) -> Response {
    infos(cluster.recover_all(query.is_true("local"))).await
}

/// `GET /pins/recover`, where `recover` stands for a CID.
pub(super) async fn no_cid() -> Result<Response, ApiError> {
    cid("recover")?;
    Err(ApiError::no_route())
}

/// `/pins/counts` with the methods of a CID, which it is none.
pub(super) async fn no_such_cid() -> Result<Response, ApiError> {
    cid("counts")?;
    Err(ApiError::no_route())
}

pub(super) async fn status_all(State(Api(cluster)): State<Api>, Params(query): Params) -> Result<Response, ApiError> {
    let local = query.is_true("local");
    if let Some(text) = query.get("cids") {
        let cids = text.split(',').map(cid).collect::<Result<Vec<_>, _>>()?;
        return Ok(infos(status_each(cluster, cids, local)).await);
    }
    let filter = StatusFilter::parse(query.get("filter").unwrap_or_default());
    let filter = filter.ok_or_else(|| ApiError::bad_request("invalid filter value"))?;
    if let Some(part) = Part::parse(&query)? {
        let staying = filter.staying().ok_or_else(|| ApiError::bad_request(LEAVING))?;
        let infos = cluster.status_after(staying, local, part.after);
        return Ok(part.of_infos(infos).await);
    }
    Ok(infos(cluster.status_all(filter, local)).await)
}

/// Looks each CID up, in the order in which they are found; what fails comes last.
fn status_each(
    cluster: Arc<dyn Backend>,
    cids: Vec<Cid>,
    local: bool,
) -> BoxStream<'static, Result<model::GlobalPinInfo, Error>> {
    let found = stream::iter(cids).map(move |cid| cluster.status(cid, local)).buffer_unordered(LOOKUPS_MAX);
    let last_errors = stream::unfold((found, Vec::new()), |(mut found, mut failed)| async move {
        loop {
            match found.next().await {
                Some(Ok(info)) => return Some((Ok(info), (found, failed))),
                Some(Err(error)) => failed.push(error),
                None => return failed.pop().map(|error| (Err(error), (found, failed))),
            }
        }
    });
    last_errors.boxed()
}

async fn infos(infos: impl Stream<Item = Result<model::GlobalPinInfo, Error>> + Send + 'static) -> Response {
    ndjson(infos.map(|info| Ok(GlobalPinInfo::from(&info?)))).await
}
