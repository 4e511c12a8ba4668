//! `/log/levels`: what a peer logs, while it runs.
use axum::Extension;
use axum::http::StatusCode;
use axum::response::Response;

use super::super::extract::Params;
use crate::api::error::{ApiError, json};
use crate::observe::LogLevels;

pub(in crate::api::rest) async fn levels(Extension(log): Extension<LogLevels>) -> Response {
    json(StatusCode::OK, &log.list())
}

/// Sets the level of `component`, which is all when it is not given, to `level`.
pub(in crate::api::rest) async fn set(
    Extension(log): Extension<LogLevels>,
    Params(query): Params,
) -> Result<Response, ApiError> {
    let component = query.get("component").unwrap_or("all");
    let level = query.get("level").unwrap_or_default();
    log.set(component, level).map_err(|error| ApiError::bad_request(error.to_string()))?;
    tracing::info!(component, level, "the level of the log was set");
    Ok(json(StatusCode::OK, &log.list()))
}

#[cfg(test)]
mod tests {
    use super::super::super::routes::RestOptions;
    use super::super::super::tests::{api, ask, text};
    use crate::api::Credentials;

    #[tokio::test]
    async fn levels_are_listed_and_set_and_wrong_names_are_told() {
        let (router, _) = api(&RestOptions::default());
        let answer = async |request: &str| text(ask(&router, request).await).await;
        let (status, listed) = answer("GET /log/levels").await;
        assert!(status == 200 && listed.contains(r#""crdt":"info""#), "{listed}");
        let (status, listed) = answer("POST /log/levels?component=crdt&level=debug").await;
        assert!(
            status == 200 && listed.contains(r#""crdt":"debug""#) && listed.contains(r#""swarm":"info""#),
            "{listed}"
        );
        let (status, listed) = answer("POST /log/levels?level=warn").await;
        assert!(
            status == 200 && listed.contains(r#""crdt":"warn""#) && listed.contains(r#""swarm":"warn""#),
            "{listed}"
        );
        for wrong in ["component=x&level=debug", "component=crdt&level=x", "component=crdt", ""] {
            assert_eq!(answer(&format!("POST /log/levels?{wrong}")).await.0, 400, "{wrong}");
        }
    }

    #[tokio::test]
    async fn who_may_not_call_the_api_may_not_set_levels() {
        let users = [("a".to_owned(), "b".to_owned())].into();
        let options = RestOptions { credentials: Some(Credentials::new(&users)), ..RestOptions::default() };
        let (router, _) = api(&options);
        for request in ["GET /log/levels", "POST /log/levels?level=debug"] {
            assert_eq!(text(ask(&router, request).await).await.0, 401, "{request}");
        }
        assert_eq!(options.levels.list()["crdt"], "info");
    }
}
