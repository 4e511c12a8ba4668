//! Writes alerts to disk, at the disk's pace.
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::cluster::net::Counts;
use crate::model::Alert;
use crate::task::{self, Fatal};

/// Alerts of one transaction.
const BATCH_MAX: usize = 256;

/// A disk that refuses is asked again after this long.
const PAUSE: Duration = Duration::from_secs(5);

/// Writes alerts, all or none; blocks for as long as the disk takes.
pub type Write = Arc<dyn Fn(&[Alert]) -> Result<(), Fatal> + Send + Sync>;

/// The actor that keeps alerts.
pub struct Keeper {
    /// What is to be kept.
    pub waiting: mpsc::Receiver<Alert>,
    /// How.
    pub write: Write,
    /// Rung when there are new ones on disk.
    pub kept: watch::Sender<()>,
    /// Where lost ones are counted.
    pub counts: Arc<Counts>,
}

impl Keeper {
    /// Writes what comes until it is stopped, then what waits.
    ///
    /// # Errors
    /// None: a disk that refuses is asked again.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Fatal> {
        let mut goes_on = true;
        while goes_on {
            let mut batch = Vec::new();
            tokio::select! { biased;
                () = stop.cancelled() => {
                    goes_on = false;
                    batch.extend(std::iter::from_fn(|| self.waiting.try_recv().ok()));
                }
                // The handle that alerts are raised on is there as long as anybody is who may stop this.
                n = self.waiting.recv_many(&mut batch, BATCH_MAX) => goes_on = n > 0,
            }
            if !batch.is_empty() {
                self.keep(batch.into(), &stop).await;
            }
        }
        Ok(())
    }

    /// Writes a batch, again and again while the disk refuses; what the end of the peer cuts short is counted.
    async fn keep(&self, batch: Arc<[Alert]>, stop: &CancellationToken) {
        let mut refused = false;
        while let Err(error) = self.write(batch.clone()).await {
            if !std::mem::replace(&mut refused, true) {
                tracing::warn!(%error, "alerts could not be written: another try follows");
            }
            tokio::select! { biased;
                () = stop.cancelled() => return self.counts.add("alerts_not_kept", batch.len() as u64),
                () = task::sleep_until(Some(task::now() + PAUSE)) => (),
            }
        }
        self.kept.send_replace(());
    }

    async fn write(&self, batch: Arc<[Alert]>) -> Result<(), Fatal> {
        let write = self.write.clone();
        tokio::task::spawn_blocking(move || write(&batch)).await?
    }
}
