//! Answers that are streams of documents.
use std::error::Error as _;
use std::io::ErrorKind;

use bytes::{Buf, BytesMut};
use futures::Stream;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use serde::de::DeserializeOwned;

use super::error::Error;
use super::request::{Answer, cause, in_time, timed_out};

/// Longest document in bytes: the status of one pin on 10,000 peers.
const DOCUMENT_MAX: usize = 8 * 1024 * 1024;

/// Where reading stands.
struct Reading {
    answer: Option<Answer>,
    buffer: BytesMut,
    /// Bytes of the buffer that have no line end.
    scanned: usize,
}

/// The documents of `answer`, as they come; an error, also one from the trailer, is the last item.
pub(super) fn documents<T: DeserializeOwned + Send + 'static>(
    answer: Answer,
) -> impl Stream<Item = Result<T, Error>> + Send + 'static {
    let answer = Some(answer).filter(|answer| !answer.is_empty());
    let reading = Reading { answer, buffer: BytesMut::new(), scanned: 0 };
    futures::stream::unfold(reading, |mut reading| async move {
        let item = reading.next().await.transpose()?;
        if item.is_err() {
            reading.answer = None;
            reading.buffer.clear();
            reading.scanned = 0;
        }
        Some((item, reading))
    })
}

impl Reading {
    async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        loop {
            if let Some(line) = self.line() {
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return serde_json::from_slice(&line).map(Some).map_err(|error| Error::local(error.to_string()));
            }
            if self.answer.is_none() {
                return Ok(None);
            }
            self.read().await?;
        }
    }

    /// The next whole line, or what is left at the end.
    fn line(&mut self) -> Option<BytesMut> {
        if let Some(at) = self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let line = self.buffer.split_to(self.scanned + at);
            self.buffer.advance(1);
            self.scanned = 0;
            return Some(line);
        }
        self.scanned = self.buffer.len();
        let is_over = self.answer.is_none() && !self.buffer.is_empty();
        is_over.then(|| {
            self.scanned = 0;
            self.buffer.split()
        })
    }

    async fn read(&mut self) -> Result<(), Error> {
        let Some(answer) = self.answer.as_mut() else { return Ok(()) };
        if self.scanned > DOCUMENT_MAX {
            return Err(Error::local(format!("{}: a document is longer than {DOCUMENT_MAX} bytes", answer.context)));
        }
        let frame = in_time(answer.due, answer.response.body_mut().frame()).await;
        match frame.ok_or_else(|| timed_out(&answer.context))? {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => check(frame.trailers_ref())?,
            },
            Some(Err(error)) => return Err(Error::local(broken(&error))),
            None => self.answer = None,
        }
        Ok(())
    }
}

/// Why a body ended before its end.
fn broken(error: &hyper::Error) -> String {
    let read = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    if error.is_incomplete_message() || read.is_some_and(|read| read.kind() == ErrorKind::UnexpectedEof) {
        return "unexpected EOF".into();
    }
    cause(error)
}

/// Errors that came after documents.
fn check(trailers: Option<&HeaderMap>) -> Result<(), Error> {
    let values = trailers.into_iter().flat_map(|map| map.get_all("x-stream-error"));
    let errors: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let errors: Vec<_> = errors.iter().map(AsRef::as_ref).filter(|text: &&str| !text.is_empty()).collect();
    if errors.is_empty() { Ok(()) } else { Err(Error::new(500, errors.join("; "))) }
}
