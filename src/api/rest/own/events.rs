//! `GET /events`: what happens to the pins, as server-sent events.
use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;

use super::super::backend::Api;
use super::super::extract::Params;
use crate::api::http::Stopping;
use crate::cluster::Error;
use crate::model::Told;
use crate::wire::rest;

/// How often something is sent though nothing happens: what is between forgets connections that say nothing.
const BEAT: Duration = Duration::from_secs(15);

/// Events from now on, or after the one that `Last-Event-ID` names, for as long as the client listens.
///
/// The parameter `last-event-id` is for clients that cannot say the header.
pub(in crate::api::rest) async fn listen(
    State(Api(cluster)): State<Api>,
    Params(query): Params,
    stopping: Option<Extension<Stopping>>,
    headers: HeaderMap,
) -> Response {
    let header = headers.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()));
    let events = cluster.events(header.as_deref().or(query.get("last-event-id")));
    let events = events.map(|told| Ok::<_, Infallible>(event(told)));
    let events = match stopping {
        Some(Extension(Stopping(stop))) => events.take_until(stop.cancelled_owned()).boxed(),
        None => events.boxed(),
    };
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(BEAT)).into_response();
    // What is between must not hold events back to make them smaller.
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache, no-transform"));
    response
}

fn event(told: Result<Told, Error>) -> sse::Event {
    let (id, document) = match told {
        Ok(told) => (Some(told.id.clone()), rest::Event::from(&told)),
        Err(error) => (None, rest::Event { event: "error".into(), error: error.to_string(), ..rest::Event::default() }),
    };
    let event = sse::Event::default().event(&document.event);
    let event = id.into_iter().fold(event, sse::Event::id);
    event.json_data(&document).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::super::super::routes::RestOptions;
    use super::super::super::tests::{api, text};
    use super::*;

    const A: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq";

    async fn heard(uri: &str, id: Option<&str>) -> String {
        let request = Request::get(uri);
        let request = id.into_iter().fold(request, |request, id| request.header("Last-Event-ID", id));
        let response = api(&RestOptions::default()).0.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        let (status, body) = text(response).await;
        assert_eq!(status, 200);
        body
    }

    #[tokio::test]
    async fn each_event_has_its_id_its_kind_and_a_document() {
        let at = "\"at\":\"2026-05-11T08:17:41Z\"";
        let wished =
            format!("event: pin\nid: P.1\ndata: {{\"id\":\"P.1\",\"event\":\"pin\",{at},\"cid\":\"{A}\"}}\n\n");
        let failed = format!(
            "event: status\nid: P.2\ndata: {{\"id\":\"P.2\",\"event\":\"status\",{at},\"cid\":\"{A}\",\
             \"status\":\"pin_error\",\"error\":\"two\\nlines\"}}\n\n"
        );
        let failed = failed.replace("two\nlines", "two\\nlines");
        assert_eq!(heard("/events", None).await, format!("{wished}{failed}"));
        assert_eq!(heard("/events", Some("P.1")).await, failed);
        assert_eq!(heard("/events?last-event-id=P.1", None).await, failed);
    }

    #[tokio::test]
    async fn who_missed_some_is_told_to_look_at_all() {
        let reset = "event: reset\nid: P.2\ndata: {\"id\":\"P.2\",\"event\":\"reset\"}\n\n";
        assert_eq!(heard("/events", Some("P.0")).await, reset);
    }
}
