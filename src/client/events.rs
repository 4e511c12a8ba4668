//! What happens to the pins, as it happens.
use bytes::{Buf, Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use hyper::Method;

use super::calls::{Documents, value};
use super::error::Error;
use super::request::Client;
use crate::wire::rest::Event;

/// Longest line in bytes: an event is below 4 KiB.
const LINE_MAX: usize = 64 << 10;

impl Client {
    /// What happens from now on, or after the event with the ID `after`; ends when the peer goes down.
    ///
    /// # Errors
    /// [`Error`], with code 404 of a peer that tells no events.
    pub async fn events(&self, after: Option<&str>) -> Result<Documents<Event>, Error> {
        let query = after.map(|id| format!("?last-event-id={}", value(id))).unwrap_or_default();
        let parts = self.send(Method::GET, &format!("/events{query}")).await?.parts();
        let reading = Some(Reading { parts, buffer: BytesMut::new() });
        Ok(stream::unfold(reading, |reading| async {
            let mut reading = reading?;
            match reading.next().await? {
                Ok(event) => Some((Ok(event), Some(reading))),
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed())
    }
}

struct Reading {
    parts: BoxStream<'static, Result<Bytes, Error>>,
    buffer: BytesMut,
}

impl Reading {
    /// The document of the next event: it says all that the lines around it do.
    async fn next(&mut self) -> Option<Result<Event, Error>> {
        loop {
            while let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(at);
                self.buffer.advance(1);
                if let Some(data) = line.strip_prefix(b"data:") {
                    return Some(serde_json::from_slice(data).map_err(|error| Error::local(error.to_string())));
                }
            }
            if self.buffer.len() > LINE_MAX {
                return Some(Err(Error::local(format!("an event is longer than {LINE_MAX} bytes"))));
            }
            match self.parts.next().await? {
                Ok(part) => self.buffer.extend_from_slice(&part),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
