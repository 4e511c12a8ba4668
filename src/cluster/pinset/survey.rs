//! A long read beside the writer thread: its parts come back as inputs, few at a time.
use std::ops::ControlFlow;
use std::thread;

use tokio::sync::mpsc;

use super::failure::Failure;
use crate::crdt::{Input, Part, RowsError, Survey};
use crate::store::Frozen;

/// Parts that wait for the writer, and that one turn takes: the reader keeps the pace of the commits, and must not keep it long. No page that
/// it may see is freed meanwhile, so a busy peer's file grows by what it writes until then.
pub(super) const PARTS_MAX: usize = 8;

/// A survey that runs; dropping it ends it, and waits for that.
pub(super) struct Surveying {
    parts: Option<mpsc::Receiver<Option<Part>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Surveying {
    /// Begins to read `frozen`.
    pub fn begin(survey: Box<dyn Survey>, frozen: Frozen) -> Result<Self, Failure> {
        let (sender, parts) = mpsc::channel(PARTS_MAX);
        let body = move || {
            let give = &mut |part: Part| match sender.blocking_send(Some(part)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            };
            let ran = Failure::caught(|| Ok(frozen.read::<_, RowsError>(|rows| survey.run(rows, give))?));
            if let Err(error) = ran {
                tracing::error!(%error, "the pinset could not be read through");
                let _ = sender.blocking_send(None);
            }
        };
        let thread = thread::Builder::new().name("survey".into()).spawn(body).map_err(Failure::Thread)?;
        Ok(Self { parts: Some(parts), thread: Some(thread) })
    }

    /// Waits for the next part, for ever when there is none to come.
    pub async fn next(surveying: &mut Option<Self>) -> Option<Part> {
        let Some(Self { parts: Some(parts), .. }) = surveying else { return std::future::pending().await };
        if let Some(part) = parts.recv().await {
            part
        } else {
            *surveying = None;
            std::future::pending().await
        }
    }

    /// The next part as an input, if it is there already.
    pub fn ready(surveying: &mut Option<Self>) -> Option<Input> {
        let Some(Self { parts: Some(parts), .. }) = surveying else { return None };
        match parts.try_recv() {
            Ok(part) => Some(Input::Found(part)),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => {
                *surveying = None;
                None
            }
        }
    }
}

impl Drop for Surveying {
    fn drop(&mut self) {
        // First nobody hears it any more, then it ends.
        drop(self.parts.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("reading the pinset through panicked");
        }
    }
}
