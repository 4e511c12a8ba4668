//! `/livez`, `/readyz`, `/syncedz` and `/pins/counts`: how a peer stands, told at once whatever its pinset's size.
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{MethodRouter, get};

use super::super::backend::Api;
use crate::api::error::{ApiError, json};
use crate::api::router::no_head;
use crate::model::Probe;
use crate::wire::rest::{self, PinCounts};

/// The methods of a probe.
pub(in crate::api::rest) fn probe(probe: Probe) -> MethodRouter<Api> {
    no_head(get(move |State(api): State<Api>| async move { answer(&api, probe) }))
}

fn answer(Api(cluster): &Api, probe: Probe) -> Response {
    let (status, message) = match cluster.probe(probe) {
        Ok(what) => (StatusCode::OK, what.into()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    };
    json(status, &rest::Error { code: status.as_u16(), message, ..rest::Error::default() })
}

pub(in crate::api::rest) async fn counts(State(Api(cluster)): State<Api>) -> Result<Response, ApiError> {
    Ok(json(StatusCode::OK, &PinCounts::from(&cluster.pin_counts()?)))
}

#[cfg(test)]
mod tests {
    use super::super::super::routes::RestOptions;
    use super::super::super::tests::{answer, api, ask, fault, text};
    use crate::api::Credentials;

    #[tokio::test]
    async fn probes_say_in_a_line_how_the_peer_stands() {
        assert_eq!(answer("GET /livez").await, (200, "{\"code\":200,\"message\":\"well\"}\n".into()));
        assert_eq!(answer("GET /readyz").await.0, 200);
        assert_eq!(answer("GET /syncedz").await, fault(503, "behind"));
        assert_eq!(answer("HEAD /livez").await.0, 405);
    }

    #[tokio::test]
    async fn probes_need_no_password_and_counts_do() {
        let users = [("testuser".into(), "testpass".into())].into();
        let options = RestOptions { credentials: Some(Credentials::new(&users)), ..RestOptions::default() };
        let (router, _) = api(&options);
        for (request, status) in [
            ("GET /livez", 200),
            ("GET /readyz", 200),
            ("GET /syncedz", 503),
            ("GET /livez/", 401),
            ("POST /livez", 401),
            ("GET /pins/counts", 401),
        ] {
            assert_eq!(text(ask(&router, request).await).await.0, status, "{request}");
        }
    }

    #[tokio::test]
    async fn counts_are_one_document_and_its_path_is_no_cid_for_other_methods() {
        let (status, body) = answer("GET /pins/counts").await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["pins"], &body["allocated"]), (200, &9.into(), &5.into()));
        assert_eq!((&body["status"]["pinned"], &body["status"]["unpin_error"]), (&5.into(), &2.into()));
        let cid =
            "error decoding Cid: invalid cid: invalid cid: length greater than remaining number of bytes in buffer";
        for request in ["POST /pins/counts", "DELETE /pins/counts"] {
            assert_eq!(answer(request).await, fault(400, cid), "{request}");
        }
        assert_eq!(answer("HEAD /pins/counts").await.0, 405);
    }
}
