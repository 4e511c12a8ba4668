//! `/allocations`: the pinset.
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use futures::StreamExt;

use super::super::error::{ApiError, json};
use super::super::stream::ndjson;
use super::backend::Api;
use super::extract::{Params, Target};
use super::own::paging::Part;
use crate::model::PinTypes;
use crate::wire::rest::Pin;

pub(super) async fn list(State(Api(cluster)): State<Api>, Params(query): Params) -> Result<Response, ApiError> {
    let types = PinTypes::parse(query.get("filter").unwrap_or_default());
    let types = types.ok_or_else(|| ApiError::bad_request("invalid filter value"))?;
    if let Some(part) = Part::parse(&query)? {
        let pins = cluster.allocations_after(types, part.after);
        return Ok(part.of_pins(pins).await);
    }
    Ok(ndjson(cluster.allocations(types).map(|pin| Ok(Pin::stored(&pin?)))).await)
}

pub(super) async fn one(State(Api(cluster)): State<Api>, target: Target) -> Result<Response, ApiError> {
    Ok(json(StatusCode::OK, &Pin::stored(&cluster.allocation(target.cid).await?)))
}
