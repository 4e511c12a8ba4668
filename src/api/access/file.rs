//! The file that requests are written to: by a task of its own, so that a disk that is slow or full delays no answer.
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::task::{Fatal, Task};

/// Lines that wait for the disk; what comes when it is full is counted and left out.
const LINES_MAX: usize = 16_384;
/// Lines that are written at once.
const BATCH_MAX: usize = 1_024;

/// Why the file could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("open {}: {error}", .path.display())]
pub struct OpenError {
    path: PathBuf,
    #[source]
    error: io::Error,
}

/// Lines on their way to a file.
#[derive(Debug)]
pub(super) struct Queue {
    lines: mpsc::Sender<String>,
    lost: Arc<AtomicU64>,
}

impl Queue {
    pub fn put(&self, line: String) {
        if self.lines.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Opens `path` at its end; lines are written for as long as the task is kept.
pub(super) fn open(path: &Path) -> Result<(Queue, Task), OpenError> {
    let (sender, lines) = mpsc::channel(LINES_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    let file = Some(append(path).map_err(|error| OpenError { path: path.into(), error })?);
    let writer = Writer { path: path.into(), file, lost: Arc::clone(&lost), is_failing: false };
    Ok((Queue { lines: sender, lost }, Task::spawn(|stop| run(writer, lines, stop))))
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o644).open(path)
}

/// Writes until it is stopped, and then what there still is.
async fn run(mut writer: Writer, mut lines: mpsc::Receiver<String>, stop: CancellationToken) -> Result<(), Fatal> {
    let mut batch = Vec::new();
    loop {
        let count = tokio::select! { biased;
            count = lines.recv_many(&mut batch, BATCH_MAX) => count,
            () = stop.cancelled() => 0,
        };
        if count == 0 {
            return Ok(());
        }
        let written = tokio::task::spawn_blocking(move || {
            writer.write(&batch);
            batch.clear();
            (writer, batch)
        });
        (writer, batch) = written.await?;
    }
}

struct Writer {
    path: PathBuf,
    file: Option<File>,
    lost: Arc<AtomicU64>,
    is_failing: bool,
}

impl Writer {
    fn write(&mut self, batch: &[String]) {
        match self.try_write(batch) {
            Ok(()) => {
                let lost = self.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::warn!("{lost} requests are not in {}, which could not be written", self.path.display());
                }
                self.is_failing = false;
            }
            Err(error) => {
                self.lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
                self.file = None;
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!("requests cannot be written to {}: {error}", self.path.display());
                }
            }
        }
    }

    fn try_write(&mut self, batch: &[String]) -> io::Result<()> {
        let file = match self.file.take().filter(|file| is_at(file, &self.path)) {
            Some(file) => file,
            None => append(&self.path)?,
        };
        let file = self.file.insert(file);
        let mut text = batch.join("\n");
        text.push('\n');
        file.write_all(text.as_bytes())
    }
}

/// Whether `path` still leads to `file`.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}
