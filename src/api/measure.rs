//! Counts and times requests, by the routes that there are.
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

use crate::observe::{HttpMeters, TRACE, adopt, rename};
use crate::task;

/// What a request without a route counts as.
const NO_ROUTE: &str = "none";

/// The route that a request went to; rides on its answer, because only the inside of a router knows it.
#[derive(Clone)]
struct Route(MatchedPath);

/// Around a router: counts and times what it answers, refusals too.
pub(super) async fn measure(State(meters): State<HttpMeters>, request: Request, next: Next) -> Response {
    let (method, began) = (name(request.method()), task::now());
    let span = span(method, &request);
    let mut response = next.run(request).instrument(span.clone()).await;
    let route = response.extensions_mut().remove::<Route>();
    let took: Duration = task::now().duration_since(began);
    let route = route.as_ref().map_or(NO_ROUTE, |Route(path)| path.as_str());
    meters.answered(method, route, response.status().as_u16(), took);
    tell(&span, method, route, response.status());
    response
}

/// The span of a request, a child of the one that the client names; what a client wrote is not in it.
fn span(method: &'static str, request: &Request) -> Span {
    let span = info_span!(
        target: TRACE,
        "request",
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = Empty,
        http.response.status_code = Empty,
    );
    adopt(&span, request.headers());
    span
}

/// Its route is known when it is answered.
fn tell(span: &Span, method: &str, route: &str, status: StatusCode) {
    if span.is_disabled() {
        return;
    }
    rename(span, format!("{method} {route}"));
    span.record("http.route", route);
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "error");
    }
}

/// Inside a router: says which route it is.
pub(super) async fn note_route(path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(path) = path {
        response.extensions_mut().insert(Route(path));
    }
    response
}

/// A client may write any method: those that are none of HTTP's count as one.
fn name(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::{from_fn, from_fn_with_state};
    use axum::routing::get;
    use prometheus_client::registry::Registry;
    use tower::ServiceExt;

    use super::*;
    use crate::observe::{Meters, page};

    #[tokio::test]
    async fn requests_count_by_route_and_never_by_what_a_client_wrote() {
        let meters = Meters::default();
        let inner = Router::new().route("/pins/{hash}", get(|| async { "" })).route_layer(from_fn(note_route));
        let layer = from_fn_with_state(meters.http.clone(), measure);
        let router: Router = Router::new().fallback_service(inner).layer(layer);
        for (method, path) in
            [("GET", "/pins/a"), ("GET", "/pins/b"), ("BREW", "/pins/c"), ("GET", "/x"), ("GET", "/y")]
        {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap();
        }
        let mut registry = Registry::default();
        meters.register(&mut registry);
        let page = page(&registry);
        let mut counted: Vec<_> =
            page.lines().filter_map(|line| line.strip_prefix("ipfscluster_http_requests_total")).collect();
        counted.sort_unstable();
        assert_eq!(
            counted,
            [
                r#"{method="GET",route="/pins/{hash}",status="200"} 2"#,
                r#"{method="GET",route="none",status="404"} 2"#,
                r#"{method="other",route="/pins/{hash}",status="405"} 1"#,
            ]
        );
    }
}
