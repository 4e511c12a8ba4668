//! Frames on a stream: a length in four bytes, least first, and that many bytes.
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes of one frame at most: 1 MiB of payload, and room for what surrounds it.
pub const FRAME_MAX: usize = (1 << 20) + (64 << 10);

/// How long a stream may stand still before it is given up.
pub const IDLE_MAX: Duration = Duration::from_mins(1);

/// Bytes read at once: memory is taken as bytes arrive, not as a length promises them.
const CHUNK: usize = 64 << 10;

/// Why a frame did not come or go.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Its length is past [`FRAME_MAX`].
    #[error("frame of {0} bytes is too large")]
    TooLarge(usize),
    /// Nothing moved for [`IDLE_MAX`].
    #[error("no byte moved for {IDLE_MAX:?}")]
    Idle,
    /// The stream broke, or ended within a frame.
    #[error("stream: {0}")]
    Io(#[from] io::Error),
}

/// Writes a frame and flushes it.
///
/// # Errors
/// See [`FrameError`].
pub async fn write_frame<S: AsyncWrite + Unpin>(stream: &mut S, frame: &[u8]) -> Result<(), FrameError> {
    write_within(IDLE_MAX, stream, frame).await
}

async fn write_within<S: AsyncWrite + Unpin>(idle: Duration, stream: &mut S, frame: &[u8]) -> Result<(), FrameError> {
    let len = u32::try_from(frame.len()).ok().filter(|_| frame.len() <= FRAME_MAX);
    let len = len.ok_or(FrameError::TooLarge(frame.len()))?;
    in_time(idle, stream.write_all(&len.to_le_bytes())).await?;
    for chunk in frame.chunks(CHUNK) {
        in_time(idle, stream.write_all(chunk)).await?;
    }
    in_time(idle, stream.flush()).await
}

/// Reads a frame; `None` when the stream ended before one began.
///
/// # Errors
/// See [`FrameError`].
pub async fn read_frame<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<Bytes>, FrameError> {
    read_within(IDLE_MAX, stream).await
}

async fn read_within<S: AsyncRead + Unpin>(idle: Duration, stream: &mut S) -> Result<Option<Bytes>, FrameError> {
    let mut len = [0; 4];
    if in_time(idle, stream.read(&mut len[..1])).await? == 0 {
        return Ok(None);
    }
    in_time(idle, stream.read_exact(&mut len[1..])).await?;
    let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX);
    if len > FRAME_MAX {
        return Err(FrameError::TooLarge(len));
    }
    let mut frame = Vec::new();
    while frame.len() < len {
        let start = frame.len();
        frame.resize(len.min(start + CHUNK), 0);
        in_time(idle, stream.read_exact(&mut frame[start..])).await?;
    }
    Ok(Some(frame.into()))
}

async fn in_time<T>(idle: Duration, step: impl Future<Output = io::Result<T>>) -> Result<T, FrameError> {
    match tokio::time::timeout(idle, step).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(FrameError::Idle),
    }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;
    use tokio_util::compat::TokioAsyncReadCompatExt;

    use super::*;

    #[tokio::test]
    async fn frames_come_back_in_order_and_then_the_end() {
        let mut bytes = Cursor::new(Vec::new());
        let frames = [vec![], vec![7; 10], vec![8; FRAME_MAX]];
        for frame in &frames {
            write_frame(&mut bytes, frame).await.unwrap();
        }
        bytes.set_position(0);
        for frame in &frames {
            assert_eq!(read_frame(&mut bytes).await.unwrap().unwrap(), frame);
        }
        assert!(read_frame(&mut bytes).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_frame_too_large_is_refused_both_ways() {
        let mut sink = Cursor::new(Vec::new());
        assert!(matches!(write_frame(&mut sink, &vec![0; FRAME_MAX + 1]).await, Err(FrameError::TooLarge(_))));
        let mut bytes = Cursor::new(u32::MAX.to_le_bytes().to_vec());
        assert!(matches!(read_frame(&mut bytes).await, Err(FrameError::TooLarge(_))));
    }

    #[tokio::test]
    async fn a_stream_that_ends_within_a_frame_is_an_error() {
        for bytes in [vec![1, 0], vec![3, 0, 0, 0, 1]] {
            assert!(matches!(read_frame(&mut Cursor::new(bytes)).await, Err(FrameError::Io(_))));
        }
    }

    #[tokio::test]
    async fn a_stream_that_stands_still_is_given_up() {
        let (near, _far) = tokio::io::duplex(16);
        let mut near = near.compat();
        assert!(matches!(read_within(Duration::ZERO, &mut near).await, Err(FrameError::Idle)));
        assert!(matches!(write_within(Duration::ZERO, &mut near, &[0; 100]).await, Err(FrameError::Idle)));
    }
}
