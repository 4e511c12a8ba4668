//! The lines of a body, as they come: whatever a client sends, memory holds one line and what the connection hands over at once.
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Buf, Bytes, BytesMut};
use futures::StreamExt;

/// Longest line in bytes: a pin of the greatest record (16 KiB) with every character escaped is below it.
pub(super) const LINE_MAX: usize = 128 << 10;
/// Longest body in bytes, about 40 million pins: who has more sends it in parts.
pub(super) const BODY_MAX: u64 = 8 << 30;
/// How long a client may say nothing in the middle of a body that is waited for.
const SILENCE_MAX: Duration = Duration::from_mins(1);

/// One line, with its number.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub number: u64,
    pub text: Result<Bytes, Fault>,
}

/// Why a line is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// It goes on for too long; the next one is read all the same.
    #[error("the line is longer than {LINE_MAX} bytes")]
    Long,
    /// There are too many bytes; nothing more is read.
    #[error("the body is longer than {BODY_MAX} bytes: send the rest in another request")]
    Endless,
    /// The client was waited for.
    #[error("nothing was sent for {SILENCE_MAX:?}")]
    Silent,
    /// The connection broke.
    #[error("the body broke off")]
    Broken,
}

/// Reads a body line by line.
pub(super) struct Lines {
    body: Option<BodyDataStream>,
    buffer: BytesMut,
    /// Bytes of the buffer that have no line end.
    scanned: usize,
    number: u64,
    read: u64,
    /// The line that is being read is too long already.
    is_long: bool,
}

impl Lines {
    pub fn new(body: Body) -> Self {
        let body = Some(body.into_data_stream());
        Self { body, buffer: BytesMut::new(), scanned: 0, number: 0, read: 0, is_long: false }
    }

    /// Returns the next line that is not blank; a fault of the body is the last one.
    pub async fn next(&mut self) -> Option<Line> {
        loop {
            while let Some(text) = self.line() {
                self.number += 1;
                if text.as_ref().map_or(true, |text| !text.is_empty()) {
                    return Some(Line { number: self.number, text });
                }
            }
            self.body.as_ref()?;
            if let Err(fault) = self.read().await {
                self.body = None;
                self.buffer.clear();
                (self.scanned, self.is_long) = (0, false);
                return Some(Line { number: self.number + 1, text: Err(fault) });
            }
        }
    }

    /// The next whole line, or what is left at the end of the body, without the space around it.
    fn line(&mut self) -> Option<Result<Bytes, Fault>> {
        let end = self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n');
        let line = match end {
            Some(at) => {
                let line = self.buffer.split_to(self.scanned + at);
                self.buffer.advance(1);
                line
            }
            None if self.body.is_none() && (self.is_long || !self.buffer.is_empty()) => self.buffer.split(),
            None => {
                self.skip();
                return None;
            }
        };
        self.scanned = 0;
        let is_long = std::mem::take(&mut self.is_long) || line.len() > LINE_MAX;
        Some(if is_long { Err(Fault::Long) } else { Ok(trimmed(&line.freeze())) })
    }

    /// Lets go of what no line can become of.
    fn skip(&mut self) {
        self.is_long |= self.buffer.len() > LINE_MAX;
        if self.is_long {
            self.buffer.clear();
        }
        self.scanned = self.buffer.len();
    }

    async fn read(&mut self) -> Result<(), Fault> {
        let Some(body) = self.body.as_mut() else { return Ok(()) };
        match tokio::time::timeout(SILENCE_MAX, body.next()).await {
            Err(_) => Err(Fault::Silent),
            Ok(Some(Err(_))) => Err(Fault::Broken),
            Ok(None) => {
                self.body = None;
                Ok(())
            }
            Ok(Some(Ok(bytes))) => {
                self.read += bytes.len() as u64;
                self.buffer.extend_from_slice(&bytes);
                if self.read > BODY_MAX { Err(Fault::Endless) } else { Ok(()) }
            }
        }
    }
}

fn trimmed(line: &Bytes) -> Bytes {
    let text = line.trim_ascii();
    line.slice_ref(text)
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    async fn read(parts: Vec<Vec<u8>>) -> Vec<(u64, Result<String, Fault>)> {
        let parts = parts.into_iter().map(Ok::<_, std::convert::Infallible>);
        let mut lines = Lines::new(Body::from_stream(stream::iter(parts)));
        let mut all = Vec::new();
        while let Some(Line { number, text }) = lines.next().await {
            all.push((number, text.map(|text| String::from_utf8_lossy(&text).into_owned())));
        }
        all
    }

    #[tokio::test]
    async fn lines_are_the_same_wherever_the_body_is_cut() {
        let text = b"one\r\n\n  \ntwo \nthree";
        let whole = [(1, Ok("one".to_owned())), (4, Ok("two".to_owned())), (5, Ok("three".to_owned()))];
        for cut in 0..=text.len() {
            let (head, tail) = text.split_at(cut);
            assert_eq!(read(vec![head.to_vec(), tail.to_vec()]).await, whole, "cut at {cut}");
        }
        assert_eq!(read(text.iter().map(|byte| vec![*byte]).collect()).await, whole);
        assert_eq!(read(Vec::new()).await, []);
    }

    #[tokio::test]
    async fn a_long_line_is_a_fault_and_the_next_is_read() {
        let long = vec![b'x'; LINE_MAX];
        let ends = [(1, Err(Fault::Long)), (2, Ok("b".to_owned()))];
        assert_eq!(read(vec![long.clone(), b"x\nb".to_vec()]).await, ends);
        assert_eq!(read(vec![long.clone(), long.clone(), long.clone(), b"\nb\n".to_vec()]).await, ends);
        assert_eq!(read(vec![long.clone(), b"x".to_vec()]).await, [(1, Err(Fault::Long))]);
        assert_eq!(read(vec![long, b"\nb".to_vec()]).await.len(), 2);
    }

    #[tokio::test]
    async fn no_line_makes_memory_grow() {
        let parts = stream::iter((0..1000).map(|_| Ok::<_, std::convert::Infallible>(vec![b'x'; 64 << 10])));
        let mut lines = Lines::new(Body::from_stream(parts));
        assert_eq!(lines.next().await.unwrap().text, Err(Fault::Long));
        assert!(lines.buffer.capacity() < 1 << 20, "{}", lines.buffer.capacity());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_given_up() {
        let body = stream::iter([Ok::<_, std::convert::Infallible>("a\nb")]).chain(stream::pending());
        let mut lines = Lines::new(Body::from_stream(body));
        assert_eq!(lines.next().await.unwrap().text, Ok("a".into()));
        assert_eq!(lines.next().await, Some(Line { number: 2, text: Err(Fault::Silent) }));
        assert_eq!(lines.next().await, None);
    }
}
