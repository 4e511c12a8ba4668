//! `POST /rebalance`: copies move from peers that hold too much to peers that have room; a line each, then what came of it.
use axum::extract::State;
use axum::response::Response;
use futures::StreamExt;

use super::super::backend::Api;
use super::super::extract::Params;
use crate::api::error::ApiError;
use crate::api::stream::ndjson;
use crate::config::parse_size;
use crate::model::Rebalance;
use crate::wire::rest::Query;
use crate::wire::rest::rebalance::Rebalanced;

/// It goes on as the client reads, and ends when the client goes: what has moved then has moved.
pub(in crate::api::rest) async fn run(
    State(Api(cluster)): State<Api>,
    Params(query): Params,
) -> Result<Response, ApiError> {
    let lines = cluster.rebalance(wish(&query)?);
    Ok(ndjson(lines.map(|line| Ok(Rebalanced::from(&line?)))).await)
}

/// A word that is no yes must not be taken for a no: it would move what was only to be looked at.
fn wish(query: &Query) -> Result<Rebalance, ApiError> {
    let dry_run = match query.get("dry-run") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(ApiError::bad_request(format!("dry-run is true or false, and not {other:?}"))),
    };
    let bytes = |text| parse_size(text).map_err(|error| ApiError::bad_request(format!("max-bytes: {error}")));
    Ok(Rebalance { dry_run, max_bytes: query.get("max-bytes").map(bytes).transpose()? })
}

#[cfg(test)]
pub(in crate::api::rest) mod tests {
    use futures::stream::{self, BoxStream, StreamExt};

    use super::super::super::routes::RestOptions;
    use super::super::super::tests::{api, ask, text};
    use crate::cluster::Error;
    use crate::model::{Balance, Rebalance, Rebalanced, Share, Shift};

    const A: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq";
    const PEER: &str = "12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8";

    /// What the small cluster answers.
    pub fn lines(wish: Rebalance) -> BoxStream<'static, Result<Rebalanced, Error>> {
        let (cid, peer) = (A.parse().unwrap(), PEER.parse().unwrap());
        let shift = |bytes| Rebalanced::Moved(Shift { cid, name: String::new(), from: peer, to: peer, bytes });
        let share = |name: &str, before, after| Share { peer, peername: name.into(), before, after };
        let shares = vec![share("full", 10, 40), share("", 100, -20)];
        let (metric, [pins, moved, bytes, unknown, skipped]) = ("freespace".into(), [9, 2, 30, 1, 3]);
        let (dry_run, stopped) = (wish.dry_run, false);
        let end = Balance { dry_run, metric, pins, moved, bytes, unknown, skipped, stopped, shares };
        stream::iter([shift(Some(20)), shift(None), Rebalanced::Ended(end)]).map(Ok).boxed()
    }

    #[tokio::test]
    async fn each_move_is_a_line_and_the_last_one_says_what_came_of_it() {
        let (router, small) = api(&RestOptions::default());
        let (status, body) = text(ask(&router, "POST /rebalance?dry-run=true&max-bytes=2KiB").await).await;
        let shift = |bytes: &str| {
            format!("{{\"cid\":\"{A}\",\"name\":\"\",\"from\":\"{PEER}\",\"to\":\"{PEER}\",\"bytes\":{bytes}}}\n")
        };
        let last = format!(
            "{{\"dry_run\":true,\"metric\":\"freespace\",\"pins\":9,\"moved\":2,\"bytes\":30,\"unknown\":1,\
             \"skipped\":3,\"stopped\":false,\"spread_before\":90,\"spread_after\":60,\"peers\":[\
             {{\"peer\":\"{PEER}\",\"peername\":\"full\",\"before\":10,\"after\":40}},\
             {{\"peer\":\"{PEER}\",\"peername\":\"\",\"before\":100,\"after\":-20}}]}}\n"
        );
        assert_eq!((status, body), (200, [shift("20"), shift("null"), last].concat()));
        assert_eq!(*small.calls.lock().unwrap(), ["rebalance true Some(2048)"]);
    }

    #[tokio::test]
    async fn without_parameters_everything_moves() {
        let (router, small) = api(&RestOptions::default());
        assert_eq!(ask(&router, "POST /rebalance?dry-run=&max-bytes=").await.status(), 200);
        assert_eq!(*small.calls.lock().unwrap(), ["rebalance false None"]);
    }

    #[tokio::test]
    async fn what_is_not_understood_moves_nothing() {
        let (router, small) = api(&RestOptions::default());
        for query in ["dry-run=yes", "dry-run=1", "max-bytes=much", "max-bytes=-1"] {
            let (status, body) = text(ask(&router, &format!("POST /rebalance?{query}")).await).await;
            assert!(status == 400 && body.contains(&query[..7]), "{status} {body}");
        }
        assert!(small.calls.lock().unwrap().is_empty());
    }
}
