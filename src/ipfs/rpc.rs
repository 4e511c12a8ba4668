//! One call of the daemon's RPC: a POST, an answer in lines, an error in its trailer.
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connector::IpfsError;
use super::dial::{DialError, Dialer, Node, words};
use super::pace::Turnstile;
use crate::task;
use crate::wire::kubo::Refusal;

/// Calls at one time: every transfer and probe of the tracker (266), its unpins, and room for lists, metrics and users.
const CALLS_MAX: usize = 320;
/// Idle connections kept: as many as pins run at once, so that a burst does not dial for each.
const IDLE_MAX: usize = 16;
/// Bytes of one line of many: each names a CID or two. Hundreds of calls run at a time.
const LINE_MAX: usize = 64 * 1024;
/// Bytes of an answer in one line: the longest is `id` or `swarm/peers` of a node with thousands of neighbours.
const OBJECT_MAX: usize = 8 * 1024 * 1024;
/// Bytes of a refusal's body that are read.
const REFUSAL_MAX: usize = 64 * 1024;
/// What `ENOSPC` and `EDQUOT` read like in Go.
const DISK_FULL: [&str; 2] = ["no space left on device", "disk quota exceeded"];
/// Characters of the daemon's words that go into an error.
const WORDS_MAX: usize = 2048;

/// The daemon's RPC port.
#[derive(Clone, Debug)]
pub(super) struct Rpc {
    client: Client<Dialer, Empty<Bytes>>,
    base: String,
    calls: Arc<Semaphore>,
    pace: Arc<Turnstile>,
}

impl Rpc {
    /// A port that is dialled when it is first called.
    pub fn new(node: Node) -> Self {
        let base = format!("http://{}/api/v0/", node.host());
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE_MAX)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_timer(TokioTimer::new())
            .build(Dialer(Arc::new(node)));
        Self { client, base, calls: Arc::new(Semaphore::new(CALLS_MAX)), pace: Arc::new(Turnstile::new()) }
    }

    /// Waits until it is the turn of a call that the tracker makes for pin after pin.
    pub async fn turn(&self) {
        self.pace.pass().await;
    }

    /// As [`Rpc::each`], when it is its turn, for a call that reads little: how long it takes says how busy the daemon is.
    ///
    /// # Errors
    /// As [`Rpc::each`].
    pub async fn each_small<T: DeserializeOwned>(
        &self,
        path: &str,
        silence: Duration,
        each: impl FnMut(T),
    ) -> Result<(), IpfsError> {
        self.turn().await;
        let call = self.pace.small();
        let answer = self.each(path, silence, each).await;
        if matches!(answer, Ok(()) | Err(IpfsError::Refused(_))) {
            call.answered();
        }
        answer
    }

    /// Calls `path`, with its arguments; the answer's head and each of its parts may take `silence`.
    ///
    /// # Errors
    /// [`IpfsError::Unreachable`] without an answer, [`IpfsError::Refused`] when it is not a 200.
    pub async fn post(&self, path: &str, silence: Duration) -> Result<Answer, IpfsError> {
        let head = async {
            let call = self.calls.clone().acquire_owned().await.map_err(|e| self.unreachable(path, &e.to_string()))?;
            let mut answered = self.client.request(self.request(path)?).await;
            // A kept connection may have died with its daemon, unnoticed: every call can be made twice.
            if answered.as_ref().is_err_and(|error| !error.is_connect()) {
                answered = self.client.request(self.request(path)?).await;
            }
            let response = answered.map_err(|e| self.unreachable(path, &cause(&e)))?;
            Ok((call, response))
        };
        let (call, response) = self.within(path, silence, head).await?;
        let (parts, body) = response.into_parts();
        let answer = Answer {
            path: path.to_owned(),
            body,
            silence,
            line_max: LINE_MAX,
            buffer: BytesMut::new(),
            ended: false,
            _call: call,
        };
        if parts.status == StatusCode::OK { Ok(answer) } else { Err(answer.refusal(parts.status).await) }
    }

    /// As [`Rpc::post`], for an answer of one JSON object, which may take `silence` in all.
    ///
    /// # Errors
    /// As [`Rpc::post`]; [`IpfsError::Garbled`] when it is no such object.
    pub async fn ask<T: DeserializeOwned>(&self, path: &str, silence: Duration) -> Result<T, IpfsError> {
        let asked = async {
            let mut answer = Answer { line_max: OBJECT_MAX, ..self.post(path, silence).await? };
            let object = answer.object().await?;
            let object = object.ok_or_else(|| IpfsError::Garbled(format!("the answer to {path} is empty")))?;
            while answer.line().await?.is_some() {}
            Ok(object)
        };
        self.within(path, silence, asked).await
    }

    /// As [`Rpc::post`], for an answer of a few JSON objects, which may take `silence` in all: one that never ends does
    /// not keep who waits for it.
    ///
    /// # Errors
    /// As [`Rpc::ask`].
    pub async fn each<T: DeserializeOwned>(
        &self,
        path: &str,
        silence: Duration,
        mut each: impl FnMut(T),
    ) -> Result<(), IpfsError> {
        let asked = async {
            let mut answer = self.post(path, silence).await?;
            while let Some(object) = answer.object().await? {
                each(object);
            }
            Ok(())
        };
        self.within(path, silence, asked).await
    }

    async fn within<T>(
        &self,
        path: &str,
        limit: Duration,
        asked: impl Future<Output = Result<T, IpfsError>>,
    ) -> Result<T, IpfsError> {
        tokio::time::timeout(limit, asked).await.map_err(|_| self.unreachable(path, "context deadline exceeded"))?
    }

    fn request(&self, path: &str) -> Result<Request<Empty<Bytes>>, IpfsError> {
        Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.base))
            .header(CONTENT_TYPE, HeaderValue::from_static(""))
            .body(Empty::new())
            .map_err(|e| self.unreachable(path, &e.to_string()))
    }

    fn unreachable(&self, path: &str, why: &str) -> IpfsError {
        IpfsError::Unreachable(format!("Post \"{}{path}\": {why}", self.base))
    }
}

/// What is at the root of a failed call, in Go's words.
fn cause(error: &hyper_util::client::legacy::Error) -> String {
    let mut source = error.source();
    let mut last = error.to_string();
    while let Some(error) = source {
        if let Some(dial) = error.downcast_ref::<DialError>() {
            return dial.to_string();
        }
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return words(io);
        }
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message) {
            return "EOF".into();
        }
        last = error.to_string();
        source = error.source();
    }
    last
}

/// The body of a 200, line by line.
pub(super) struct Answer {
    path: String,
    body: Incoming,
    silence: Duration,
    line_max: usize,
    buffer: BytesMut,
    ended: bool,
    _call: OwnedSemaphorePermit,
}

impl Answer {
    /// Returns the next line that is not empty; [`None`] after the last, when no trailer speaks of an error.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`IpfsError::Refused`] for an error in the trailer, [`IpfsError::Garbled`] when the stream is cut, a line is
    /// too long or nothing arrives for the call's silence.
    pub async fn line(&mut self) -> Result<Option<Bytes>, IpfsError> {
        let mut searched = 0;
        loop {
            if let Some(found) = self.buffer[searched..].iter().position(|b| *b == b'\n') {
                let line = self.buffer.split_to(searched + found).freeze();
                self.buffer.advance(1);
                searched = 0;
                if !line.trim_ascii().is_empty() {
                    return Ok(Some(line));
                }
            } else if self.ended {
                let rest = self.buffer.split().freeze();
                return Ok((!rest.trim_ascii().is_empty()).then_some(rest));
            } else if self.buffer.len() > self.line_max {
                return Err(IpfsError::Garbled(format!("a line of the answer to {} is too long", self.path)));
            } else {
                searched = self.buffer.len();
                self.fill().await?;
            }
        }
    }

    /// This answer without a bound on its silence: the caller has one.
    pub fn watched(self) -> Self {
        Self { silence: Duration::MAX, ..self }
    }

    /// As [`Answer::line`], read as JSON.
    ///
    /// # Errors
    /// As [`Answer::line`]; [`IpfsError::Garbled`] when it is not such an object.
    pub async fn object<T: DeserializeOwned>(&mut self) -> Result<Option<T>, IpfsError> {
        let Some(line) = self.line().await? else { return Ok(None) };
        let read = serde_json::from_slice(&line);
        read.map(Some).map_err(|e| IpfsError::Garbled(format!("error decoding the answer to {}: {e}", self.path)))
    }

    async fn fill(&mut self) -> Result<(), IpfsError> {
        let frame = tokio::time::timeout(self.silence, self.body.frame()).await.map_err(|_| {
            IpfsError::Garbled(format!("the answer to {} stopped: silent for {:?}", self.path, self.silence))
        })?;
        let frame = match frame {
            None => {
                self.ended = true;
                return Ok(());
            }
            Some(Ok(frame)) => frame,
            Some(Err(e)) => return Err(IpfsError::Garbled(format!("the answer to {} was cut: {e}", self.path))),
        };
        match frame.into_data() {
            Ok(data) => self.buffer.extend_from_slice(&data),
            Err(frame) => frame.trailers_ref().map_or(Ok(()), |trailers| self.judge(trailers))?,
        }
        Ok(())
    }

    fn judge(&self, trailers: &HeaderMap) -> Result<(), IpfsError> {
        let error = trailers.get_all("x-stream-error").iter().find(|v| !v.is_empty());
        error.map_or(Ok(()), |text| Err(refused(&self.path, StatusCode::OK, &String::from_utf8_lossy(text.as_bytes()))))
    }

    /// Reads a refusal's body, as much as comes of it in the time of a silence.
    async fn refusal(mut self, status: StatusCode) -> IpfsError {
        let deadline = tokio::time::Instant::from_std(task::now()) + self.silence;
        while !self.ended && self.buffer.len() < REFUSAL_MAX {
            if !matches!(tokio::time::timeout_at(deadline, self.fill()).await, Ok(Ok(()))) {
                break;
            }
        }
        match serde_json::from_slice::<Refusal>(&self.buffer) {
            Ok(refusal) => refused(&self.path, status, &refusal.message),
            Err(_) => IpfsError::Refused(format!(
                "IPFS request failed (is it running?) ({}). Code {}: {}",
                self.path,
                status.as_u16(),
                shortened(&String::from_utf8_lossy(&self.buffer)),
            )),
        }
    }
}

fn refused(path: &str, status: StatusCode, message: &str) -> IpfsError {
    let text = format!("IPFS error ({path}). Code: {}. Message: {}", status.as_u16(), shortened(message));
    if DISK_FULL.iter().any(|words| message.contains(words)) { IpfsError::Full(text) } else { IpfsError::Refused(text) }
}

fn shortened(text: &str) -> &str {
    text.char_indices().nth(WORDS_MAX).map_or(text, |(end, _)| &text[..end])
}
