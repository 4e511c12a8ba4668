//! The log of requests, a line each in Apache's Common Log Format, as Go's peers write it.
use std::fmt::{self, Write as _};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use time::OffsetDateTime;
use time::macros::format_description;

use super::super::http::Remote;
use super::file::{OpenError, Queue, open};
use crate::model::UnixMillis;
use crate::task::{self, Task};

/// The status of a request whose client left before there was an answer, in nginx's way; there is no other for it.
const CLIENT_LEFT: u16 = 499;
/// Longest part of a target that is written, in bytes: heads may be larger than anybody reads.
const TARGET_MAX: usize = 4096;

/// Where requests are written down.
#[derive(Clone, Debug)]
pub struct AccessLog(Sink);

#[derive(Clone, Debug)]
enum Sink {
    /// The log of the program.
    Log,
    File(Arc<Queue>),
}

impl AccessLog {
    /// To the program's own log, at INFO.
    #[must_use]
    pub const fn to_log() -> Self {
        Self(Sink::Log)
    }

    /// To the end of the file `path`, which is made if need be, for as long as the task is kept.
    ///
    /// The file may be renamed or removed at any time, as programs do that keep logs small: what follows goes to a new
    /// one.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn to_file(path: &Path) -> Result<(Self, Task), OpenError> {
        let (queue, task) = open(path)?;
        Ok((Self(Sink::File(Arc::new(queue))), task))
    }

    fn is_on(&self) -> bool {
        !matches!(self.0, Sink::Log) || tracing::enabled!(tracing::Level::INFO)
    }

    fn write(&self, line: String) {
        match &self.0 {
            Sink::Log => tracing::info!("{line}"),
            Sink::File(queue) => queue.put(line),
        }
    }
}

/// Writes each request down when its answer has been sent, or its client has left.
pub(in crate::api) async fn note(State(log): State<AccessLog>, request: Request, next: Next) -> Response {
    if !log.is_on() {
        return next.run(request).await;
    }
    let mut entry = Entry { head: Head::of(&request), log, status: CLIENT_LEFT, bytes: 0 };
    let response = next.run(request).await;
    entry.status = response.status().as_u16();
    response.map(|body| Body::new(Counted { body, entry }))
}

/// What is known of a request when it comes.
struct Head {
    remote: Remote,
    at: UnixMillis,
    request: String,
}

impl Head {
    fn of(request: &Request) -> Self {
        let remote = request.extensions().get().copied().unwrap_or(Remote::Local);
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        let end = target.floor_char_boundary(TARGET_MAX);
        let request = format!("{} {} {:?}", request.method(), quoted(&target[..end]), request.version());
        Self { remote, at: task::wall(), request }
    }
}

/// A line that is written when it is dropped.
struct Entry {
    head: Head,
    log: AccessLog,
    status: u16,
    bytes: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.log.write(self.to_string());
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Head { remote, at, request } = &self.head;
        write!(f, "{remote} - - [{}] \"{request}\" {} {}", moment(*at), self.status, self.bytes)
    }
}

fn moment(at: UnixMillis) -> String {
    let format = format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000);
    moment.ok().and_then(|moment| moment.format(format).ok()).unwrap_or_else(|| "-".into())
}

/// A text that cannot end the quotes around it, or the line.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            // Writing to a string does not fail.
            _ => drop(write!(out, "\\x{byte:02x}")),
        }
    }
    out
}

/// A body whose bytes are counted.
struct Counted {
    body: Body,
    entry: Entry,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.entry.bytes += data.len() as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
