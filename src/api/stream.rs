//! Answers that are streams: one JSON document a line, and errors in a trailer.
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http_body::Frame;
use serde::Serialize;

use super::error::{ApiError, no_content};
use crate::cluster::Error;
use crate::wire::json;

/// Bytes that are handed to the connection at once: enough to make system calls cheap, little enough to keep memory flat.
const FLUSH_BYTES: usize = 32 * 1024;
/// What a buffer may grow beyond that by one document before it is made anew.
const BUFFER_BYTES: usize = FLUSH_BYTES + 4096;
/// Most errors that a trailer carries; a stream that goes on failing ends there.
const ERRORS_MAX: usize = 16;
/// Longest text of one error in the trailer, in bytes: clients bound their trailers.
const ERROR_BYTES_MAX: usize = 512;

const X_STREAM_ERROR: HeaderName = HeaderName::from_static("x-stream-error");
const TRAILER: HeaderValue = HeaderValue::from_static("X-Stream-Error");

/// Answers with what `documents` yields: 204 when that is nothing, 500 when the first thing is an error, else a stream.
///
/// The stream is polled only as fast as the client reads, and dropped when the client goes.
pub(super) async fn ndjson<S, T>(documents: S) -> Response
where
    S: Stream<Item = Result<T, Error>> + Send + 'static,
    T: Serialize + Send + 'static,
{
    let mut documents = Box::pin(documents);
    let first = match documents.next().await {
        Some(Ok(first)) => first,
        Some(Err(error)) => return ApiError::internal(error.to_string()).into_response(),
        None => {
            let mut response = no_content();
            response.headers_mut().insert(header::TRAILER, TRAILER);
            return response;
        }
    };
    let mut lines = Lines { documents, ready: BytesMut::new(), errors: Vec::new(), is_over: false, is_done: false };
    lines.add(&first);
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json")), (header::TRAILER, TRAILER)];
    (StatusCode::OK, headers, Body::new(lines)).into_response()
}

/// The body of a stream.
struct Lines<S> {
    documents: Pin<Box<S>>,
    ready: BytesMut,
    errors: Vec<HeaderValue>,
    /// The stream has ended, the trailers have not gone yet.
    is_over: bool,
    is_done: bool,
}

impl<S> Lines<S> {
    fn add<T: Serialize>(&mut self, document: &T) {
        let before = self.ready.len();
        match json::write((&mut self.ready).writer(), document) {
            Ok(()) => self.ready.put_u8(b'\n'),
            Err(error) => {
                self.ready.truncate(before);
                self.errors.push(one_line(&error.to_string()));
            }
        }
    }

    fn trailers(&mut self) -> HeaderMap {
        if self.errors.is_empty() {
            self.errors.push(HeaderValue::from_static(""));
        }
        let mut trailers = HeaderMap::new();
        for error in self.errors.drain(..) {
            trailers.append(X_STREAM_ERROR, error);
        }
        trailers
    }
}

/// Makes a text fit into a header.
fn one_line(text: &str) -> HeaderValue {
    let end = text.floor_char_boundary(ERROR_BYTES_MAX);
    let line: String = text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    HeaderValue::from_bytes(line.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static("an error without a text"))
}

impl<S, T> http_body::Body for Lines<S>
where
    S: Stream<Item = Result<T, Error>>,
    T: Serialize,
{
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        while !this.is_over && this.ready.len() < FLUSH_BYTES {
            match this.documents.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(document))) => this.add(&document),
                Poll::Ready(Some(Err(error))) => {
                    this.errors.push(one_line(&error.to_string()));
                    this.is_over = this.errors.len() >= ERRORS_MAX;
                }
                Poll::Ready(None) => this.is_over = true,
                // The source waits: the client gets what there is.
                Poll::Pending if this.ready.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if !this.ready.is_empty() {
            let next = BytesMut::with_capacity(if this.is_over { 0 } else { BUFFER_BYTES });
            let lines = std::mem::replace(&mut this.ready, next);
            return Poll::Ready(Some(Ok(Frame::data(lines.freeze()))));
        }
        if this.is_done {
            return Poll::Ready(None);
        }
        this.is_done = true;
        Poll::Ready(Some(Ok(Frame::trailers(this.trailers()))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_done
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn read(items: Vec<Result<u32, &str>>) -> (u16, String, Option<Vec<String>>) {
        let items: Vec<_> = items.into_iter().map(|item| item.map_err(|text| Error::Other(text.into()))).collect();
        let response = ndjson(futures::stream::iter(items)).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap();
        let values = |map: &HeaderMap| {
            map.get_all(X_STREAM_ERROR).iter().map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).collect()
        };
        let trailers = body.trailers().map(values);
        (status, String::from_utf8(body.to_bytes().to_vec()).unwrap(), trailers)
    }

    #[tokio::test]
    async fn nothing_is_a_204() {
        assert_eq!(read(vec![]).await, (204, String::new(), None));
    }

    #[tokio::test]
    async fn an_error_before_the_first_document_is_a_500() {
        let body = "{\"code\":500,\"message\":\"pin is not part of the pinset\"}\n";
        assert_eq!(read(vec![Err("pin is not part of the pinset"), Ok(1)]).await, (500, body.into(), None));
    }

    #[tokio::test]
    async fn the_trailer_is_always_there() {
        assert_eq!(read(vec![Ok(1), Ok(2)]).await, (200, "1\n2\n".into(), Some(vec![String::new()])));
    }

    #[tokio::test]
    async fn each_later_error_is_a_line_of_the_trailer() {
        let (status, body, trailers) = read(vec![Ok(1), Err("one\n * two"), Ok(2), Err("ü")]).await;
        assert_eq!((status, body.as_str()), (200, "1\n2\n"));
        assert_eq!(trailers, Some(vec!["one  * two".into(), "ü".into()]));
    }

    #[tokio::test]
    async fn a_stream_that_only_fails_ends() {
        let endless = futures::stream::iter(0_u32..).map(|n| if n == 0 { Ok(n) } else { Err(Error::Shutdown) });
        let body = ndjson(endless).await.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap().get_all(X_STREAM_ERROR).iter().count(), ERRORS_MAX);
    }

    #[tokio::test]
    async fn documents_go_out_when_the_source_waits_or_there_are_enough_of_them() {
        let (sender, receiver) = futures::channel::mpsc::channel::<Result<String, Error>>(10_000);
        let mut sender = sender;
        sender.try_send(Ok("a".into())).unwrap();
        let mut body = ndjson(receiver).await.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "\"a\"\n");
        for _ in 0..9000 {
            sender.try_send(Ok("0123456789".into())).unwrap();
        }
        drop(sender);
        let mut sizes = Vec::new();
        while let Some(Ok(data)) = body.frame().await.map(|frame| frame.unwrap().into_data()) {
            sizes.push(data.len());
        }
        assert_eq!(sizes.iter().sum::<usize>(), 9000 * 13);
        assert!(sizes.iter().all(|size| *size < FLUSH_BYTES + 13), "{sizes:?}");
        assert_eq!(sizes.len(), (9000 * 13) / FLUSH_BYTES + 1);
    }
}
