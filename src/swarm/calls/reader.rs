//! Reads values that stand back to back on a stream.
use std::io;

use bytes::{Buf, Bytes, BytesMut};
use futures::{AsyncRead, AsyncReadExt};

use crate::wire::msgpack::{DecodeError, Scanner};

/// Bytes read at once.
const CHUNK: usize = 16 << 10;

/// Why a value did not come.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream broke.
    #[error("stream: {0}")]
    Io(#[from] io::Error),
    /// The stream ended within a value.
    #[error("unexpected EOF")]
    Truncated,
    /// The value is larger than this many bytes.
    #[error("value is larger than {0} bytes")]
    TooLarge(usize),
    /// The bytes are no value.
    #[error(transparent)]
    Garbled(#[from] DecodeError),
}

/// What was read of a stream and not yet taken.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
    scanner: Scanner,
}

impl Reader {
    /// Reads one whole value of at most `max` bytes; `None` when the stream ends before one begins.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn next<S: AsyncRead + Unpin>(&mut self, stream: &mut S, max: usize) -> Result<Option<Bytes>, ReadError> {
        loop {
            if let Some(len) = self.scanner.scan(&self.buffer)? {
                self.scanner = Scanner::default();
                if len > max {
                    return Err(ReadError::TooLarge(max));
                }
                return Ok(Some(self.buffer.split_to(len).freeze()));
            }
            // A value that is not whole yet and has more bytes than allowed will not become smaller.
            if self.buffer.remaining() > max {
                return Err(ReadError::TooLarge(max));
            }
            let start = self.buffer.len();
            self.buffer.resize(start + CHUNK, 0);
            let read = stream.read(&mut self.buffer[start..]).await;
            self.buffer.truncate(start + read.as_ref().copied().unwrap_or(0));
            match read? {
                0 if start == 0 => return Ok(None),
                0 => return Err(ReadError::Truncated),
                _ => (),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    #[tokio::test]
    async fn values_are_told_apart_and_the_end_from_a_cut() {
        let mut bytes = Cursor::new(hex::decode("80a3616263c0d1").unwrap());
        let mut reader = Reader::default();
        for value in ["80", "a3616263", "c0"] {
            assert_eq!(hex::encode(reader.next(&mut bytes, 10).await.unwrap().unwrap()), value);
        }
        assert!(matches!(reader.next(&mut bytes, 10).await, Err(ReadError::Truncated)));
        assert!(Reader::default().next(&mut bytes, 10).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_value_past_its_limit_is_refused_before_it_is_whole() {
        let endless = futures::io::repeat(b'a').take(1 << 30);
        let mut bytes = Cursor::new(vec![0xdb, 0xff, 0xff, 0xff, 0xff]).chain(endless);
        assert!(matches!(Reader::default().next(&mut bytes, 1000).await, Err(ReadError::TooLarge(1000))));
    }
}
