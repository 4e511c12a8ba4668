//! `/peers/{peer}/drain`: a peer that is to be taken away gives what it holds to others.
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::super::backend::Api;
use super::super::extract::Segment;
use super::super::peers::named;
use crate::api::error::{ApiError, json};
use crate::model::Draining;
use crate::wire::rest::Drain;

pub(in crate::api::rest) async fn look(api: State<Api>, peer: Segment) -> Result<Response, ApiError> {
    answer(api, peer, Draining::Look).await
}

pub(in crate::api::rest) async fn begin(api: State<Api>, peer: Segment) -> Result<Response, ApiError> {
    answer(api, peer, Draining::Begin).await
}

pub(in crate::api::rest) async fn end(api: State<Api>, peer: Segment) -> Result<Response, ApiError> {
    answer(api, peer, Draining::End).await
}

async fn answer(State(Api(cluster)): State<Api>, Segment(peer): Segment, what: Draining) -> Result<Response, ApiError> {
    Ok(json(StatusCode::OK, &Drain::from(&cluster.drain(named(&peer)?, what).await?)))
}

#[cfg(test)]
mod tests {
    use super::super::super::routes::RestOptions;
    use super::super::super::tests::{api, ask, text};

    const PEER: &str = "12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8";

    #[tokio::test]
    async fn each_method_does_its_part_and_says_how_far_the_peer_is() {
        let (router, small) = api(&RestOptions::default());
        for (method, leaving) in [("POST", true), ("GET", false), ("DELETE", false)] {
            let (status, body) = text(ask(&router, &format!("{method} /peers/{PEER}/drain")).await).await;
            let expected = format!(
                "{{\"peer\":\"{PEER}\",\"leaving\":{leaving},\"pins_left\":7,\"pins_kept\":2,\"pins_everywhere\":1}}\n"
            );
            assert_eq!((status, body), (200, expected), "{method}");
        }
        assert_eq!(*small.calls.lock().unwrap(), ["drain Begin", "drain Look", "drain End"]);
    }

    #[tokio::test]
    async fn what_is_no_peer_is_a_400_and_nobody_is_asked() {
        let (router, small) = api(&RestOptions::default());
        for method in ["POST", "GET", "DELETE"] {
            let (status, body) = text(ask(&router, &format!("{method} /peers/abc/drain")).await).await;
            assert!(status == 400 && body.contains("error decoding Peer ID"), "{status} {body}");
        }
        assert!(small.calls.lock().unwrap().is_empty());
    }
}
