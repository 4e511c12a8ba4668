//! `?wait=pinned&timeout=` on the routes that pin: the answer comes when the pin is held, or says where it stands.
//!
//! 200 when as many peers hold it as it asks for; 202 at the timeout, when too many peers failed, and when this one goes
//! down: the pin is in the pinset and on disk in both, and the body is its status on each peer.
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::backend::Backend;
use crate::api::error::{ApiError, json};
use crate::api::http::Stopping;
use crate::config::GoDuration;
use crate::model;
use crate::task;
use crate::wire::rest::{GlobalPinInfo, Pin, Query};

/// How long is waited where the request does not say.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The shortest and the longest wait.
const TIMEOUTS: [GoDuration; 2] = [GoDuration::from_secs(1), GoDuration::from_secs(60 * 60)];
/// Requests that wait at a time; each asks the peers that are to hold its pin every few seconds.
const WAITERS_MAX: usize = 1024;

/// Where requests wait.
#[derive(Clone, Debug)]
pub(in crate::api::rest) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WAITERS_MAX)))
    }
}

/// Whether and how long a request waits for its pin; taken before anything is pinned.
pub(in crate::api::rest) struct Wait(Option<Place>);

struct Place {
    timeout: Duration,
    stopping: Option<Stopping>,
    /// Leaves with the request, or with a client that goes.
    _permit: OwnedSemaphorePermit,
}

impl<S: Send + Sync> FromRequestParts<S> for Wait {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let Some(timeout) = timeout(&query)? else { return Ok(Self(None)) };
        let room = Extension::<Room>::from_request_parts(parts, state).await;
        let Extension(Room(room)) = room.map_err(|error| ApiError::internal(error.body_text()))?;
        let permit = room.try_acquire_owned().map_err(|_| full())?;
        let stopping = parts.extensions.get().cloned();
        Ok(Self(Some(Place { timeout, stopping, _permit: permit })))
    }
}

fn full() -> ApiError {
    let message = format!("{WAITERS_MAX} requests wait for their pins already: nothing was pinned, ask without wait");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message)
}

/// Reads the parameters; `None` when nobody waits.
fn timeout(query: &Query) -> Result<Option<Duration>, ApiError> {
    match query.get("wait") {
        None => return Ok(None),
        Some("pinned") => (),
        Some(_) => return Err(ApiError::bad_request("parameter wait invalid: only \"pinned\" can be waited for")),
    }
    let Some(text) = query.get("timeout") else { return Ok(Some(TIMEOUT)) };
    let [min, max] = TIMEOUTS;
    let timeout = text.parse().ok().filter(|timeout| (min..=max).contains(timeout)).and_then(GoDuration::to_std);
    let fault = || format!("parameter timeout invalid: not from {min} to {max}, such as 90s");
    timeout.map(Some).ok_or_else(|| ApiError::bad_request(fault()))
}

impl Wait {
    /// Answers with the pin that was submitted, or with where it stands when waiting has ended.
    pub(in crate::api::rest) async fn answer(
        self,
        cluster: &Arc<dyn Backend>,
        pin: model::Pin,
    ) -> Result<Response, ApiError> {
        let Some(place) = self.0 else { return Ok(json(StatusCode::OK, &Pin::submitted(&pin))) };
        let until = until(task::now() + place.timeout, place.stopping.clone());
        let (info, is_held) = cluster.pinned(pin, Box::pin(until)).await?;
        let status = if is_held { StatusCode::OK } else { StatusCode::ACCEPTED };
        Ok(json(status, &GlobalPinInfo::from(&info)))
    }
}

/// Comes at `due`, or when the server is to stop.
async fn until(due: std::time::Instant, stopping: Option<Stopping>) {
    let stopped = async {
        match &stopping {
            Some(Stopping(stop)) => stop.cancelled().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = task::sleep_until(Some(due)) => (),
        () = stopped => (),
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures::poll;
    use tokio::time::Instant;

    use super::super::super::routes::RestOptions;
    use super::super::super::tests::{answer, api, ask, fault, text};
    use super::*;

    const A: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq";
    /// What the small cluster never holds.
    const B: &str = "QmU6PrA9xo7xueMPQ5nAgMdp6KhuyDqtBex18WpaVqnscM";

    #[tokio::test]
    async fn what_is_held_is_a_200_with_its_status() {
        for path in [format!("/pins/{A}"), format!("/pins/ipfs/{A}"), "/pins/ipns/example.org".into()] {
            let (status, body) = answer(&format!("POST {path}?wait=pinned")).await;
            assert!(status == 200 && body.contains("\"status\":\"pinned\""), "{path}: {status} {body}");
            let (status, body) = answer(&format!("POST {path}?wait=&timeout=x")).await;
            assert!(status == 200 && body.contains("\"max_depth\""), "{path}: {status} {body}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_held_in_time_is_a_202_with_its_status() {
        for (query, seconds) in [("wait=pinned&timeout=90s", 90), ("wait=pinned", 60), ("wait=pinned&timeout=1h", 3600)]
        {
            let begun = Instant::now();
            let (status, body) = answer(&format!("POST /pins/{B}?{query}")).await;
            assert!(status == 202 && body.contains("peer_map"), "{query}: {status} {body}");
            assert_eq!(begun.elapsed().as_secs(), seconds, "{query}");
        }
    }

    #[tokio::test]
    async fn faults_are_named_before_anything_is_pinned() {
        let (router, small) = api(&RestOptions::default());
        let wait = fault(400, "parameter wait invalid: only \"pinned\" can be waited for");
        let timeout = fault(400, "parameter timeout invalid: not from 1s to 1h0m0s, such as 90s");
        for (query, fault) in [("wait=true", &wait), ("wait=unpinned&timeout=5s", &wait)]
            .into_iter()
            .chain(["0", "5", "0s", "-1s", "61m", "9999999h", "x"].map(|text| (text, &timeout)))
        {
            let query = if fault == &timeout { format!("wait=pinned&timeout={query}") } else { query.into() };
            for path in ["", "ipfs/"] {
                let answer = text(ask(&router, &format!("POST /pins/{path}{A}?{query}")).await).await;
                assert_eq!(answer, *fault, "{query}");
            }
        }
        assert_eq!(*small.calls.lock().unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn waiters_are_counted_and_whoever_leaves_makes_room() {
        let (router, small) = api(&RestOptions::default());
        let request = format!("POST /pins/{B}?wait=pinned");
        let mut waiting: Vec<_> = (0..WAITERS_MAX).map(|_| Box::pin(ask(&router, &request))).collect();
        for request in &mut waiting {
            assert!(poll!(request).is_pending());
        }
        let calls = small.calls.lock().unwrap().len();
        let refused = text(ask(&router, &request).await).await;
        assert!(refused.0 == 503 && refused.1.contains("nothing was pinned"), "{refused:?}");
        assert_eq!(small.calls.lock().unwrap().len(), calls);
        assert_eq!(ask(&router, &format!("POST /pins/{B}")).await.status(), 200);
        drop(waiting.pop());
        assert!(matches!(poll!(Box::pin(ask(&router, &request))), Poll::Pending));
    }

    #[tokio::test]
    async fn a_server_that_stops_lets_nobody_wait() {
        let (router, _) = api(&RestOptions::default());
        let stopping = Stopping(tokio_util::sync::CancellationToken::new());
        let router = router.layer(Extension(stopping.clone()));
        stopping.0.cancel();
        assert_eq!(ask(&router, &format!("POST /pins/{B}?wait=pinned")).await.status(), 202);
    }
}
