//! `POST /pins`: many pins in one request, one a line, each answered by a line when it is on disk.
mod lines;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::backend::{Api, Backend};
use crate::api::error::ApiError;
use crate::api::stream::ndjson;
use crate::model::{Cid, PinOptions};
use crate::wire::rest::{Pin, PinOutcome};
use lines::{BODY_MAX, Fault, LINE_MAX, Line, Lines};

/// Pins of one request that wait for their commit together: a commit is shared by all that wait for it.
const IN_FLIGHT_MAX: usize = 8_192;
/// Bytes of their lines at most.
const IN_FLIGHT_BYTES_MAX: usize = 8 << 20;

/// Pins each line; a line that is bad is answered with its error, and the others are pinned.
pub(in crate::api::rest) async fn pin(
    State(Api(cluster)): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > BODY_MAX) {
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, Fault::Endless.to_string()));
    }
    Ok(ndjson(outcomes(cluster, body).map(Ok)).await)
}

/// The answers, in the order of the lines.
fn outcomes(cluster: Arc<dyn Backend>, body: Body) -> impl Stream<Item = PinOutcome> + Send + 'static {
    let intake = Intake {
        lines: Lines::new(body),
        room: Arc::new(Semaphore::new(IN_FLIGHT_BYTES_MAX)),
        turns: Turns::default(),
    };
    stream::unfold(intake, |mut intake| async { Some((intake.next().await?, intake)) })
        .map(move |job| job.run(Arc::clone(&cluster)))
        .buffered(IN_FLIGHT_MAX)
}

/// What makes pins out of lines.
struct Intake {
    lines: Lines,
    room: Arc<Semaphore>,
    turns: Turns,
}

impl Intake {
    async fn next(&mut self) -> Option<Job> {
        let Line { number, text } = self.lines.next().await?;
        let (wish, room) = match text {
            Err(fault) => (Err((code(fault), fault.to_string())), None),
            Ok(text) => {
                let bytes = u32::try_from(text.len().min(LINE_MAX)).unwrap_or(u32::MAX);
                // The semaphore is never closed.
                let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.ok();
                (wish(&text).map_err(|fault| (StatusCode::BAD_REQUEST, fault)), room)
            }
        };
        let wish = wish.map(|(cid, options)| Wish { cid, options, turn: self.turns.take(cid) });
        Some(Job { line: number, wish, _room: room })
    }
}

const fn code(fault: Fault) -> StatusCode {
    match fault {
        Fault::Long | Fault::Broken => StatusCode::BAD_REQUEST,
        Fault::Endless => StatusCode::PAYLOAD_TOO_LARGE,
        Fault::Silent => StatusCode::REQUEST_TIMEOUT,
    }
}

/// Reads a line, which is a pin as `/allocations` shows it, or as much of one as is wanted.
fn wish(text: &Bytes) -> Result<(Cid, PinOptions), String> {
    // A list would pass for an object.
    if !text.starts_with(b"{") {
        return Err("the line is no JSON object".into());
    }
    let pin: Pin = serde_json::from_slice(text).map_err(|error| format!("error decoding the pin: {error}"))?;
    pin.request().map_err(|error| error.to_string())
}

/// One line's work.
struct Job {
    line: u64,
    wish: Result<Wish, (StatusCode, String)>,
    /// Held until the line is answered.
    _room: Option<OwnedSemaphorePermit>,
}

/// A pin to be made.
struct Wish {
    cid: Cid,
    options: PinOptions,
    turn: Turn,
}

impl Job {
    async fn run(self, cluster: Arc<dyn Backend>) -> PinOutcome {
        let line = self.line;
        let refused = |cid, code: StatusCode, error| PinOutcome { line, cid, ok: false, code: code.as_u16(), error };
        let Wish { cid, options, turn } = match self.wish {
            Ok(wish) => wish,
            Err((code, error)) => return refused(String::new(), code, error),
        };
        if let Some(before) = turn.before {
            // That it is dropped says that it is done.
            let _ = before.await;
        }
        match cluster.pin(cid, options).await {
            Ok(pin) => PinOutcome { line, cid: pin.cid.to_string(), ok: true, ..PinOutcome::default() },
            Err(error) => {
                let ApiError { status, message, .. } = error.into();
                refused(cid.to_string(), status, message)
            }
        }
    }
}

/// Lets the pins of one CID come one after the other: the last line wins.
#[derive(Default)]
struct Turns(BTreeMap<Cid, oneshot::Receiver<()>>);

/// A place in the order of the lines of one CID.
struct Turn {
    before: Option<oneshot::Receiver<()>>,
    _done: oneshot::Sender<()>,
}

impl Turns {
    fn take(&mut self, cid: Cid) -> Turn {
        if self.0.len() >= 2 * IN_FLIGHT_MAX {
            self.0.retain(|_, turn| matches!(turn.try_recv(), Err(TryRecvError::Empty)));
        }
        let (done, after) = oneshot::channel();
        Turn { before: self.0.insert(cid, after), _done: done }
    }
}

#[cfg(test)]
mod tests;
