//! The one place that spawns actors and reads clocks.
use std::future::Future;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::model::UnixMillis;

/// An error that ends the peer: nobody decides on it, somebody prints it.
pub type Fatal = Box<dyn std::error::Error + Send + Sync + 'static>;

/// An actor that runs until it is stopped.
///
/// Dropping a task stops its actor without waiting for it.
#[derive(Debug)]
pub struct Task {
    stop: CancellationToken,
    join: Option<JoinHandle<Result<(), Fatal>>>,
}

impl Task {
    /// Spawns the actor that `run` makes; the token is cancelled when it is to end.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn<F, R>(run: F) -> Self
    where
        F: FnOnce(CancellationToken) -> R,
        R: Future<Output = Result<(), Fatal>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let join = tokio::spawn(run(stop.clone()));
        Self { stop, join: Some(join) }
    }

    /// Stops the actor and returns what it ended with.
    ///
    /// # Errors
    /// What the actor returned, or that it panicked.
    pub async fn stop(mut self) -> Result<(), Fatal> {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits until the actor ends by itself.
    ///
    /// # Errors
    /// What the actor returned, or that it panicked.
    pub async fn ended(&mut self) -> Result<(), Fatal> {
        match self.join.as_mut() {
            Some(join) => {
                let result = join.await;
                self.join = None;
                result?
            }
            None => Ok(()),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Returns the moment that waiting is measured from.
#[must_use]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Returns the wall clock, which peers compare.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Waits until `due`, or for ever when there is nothing to wait for.
pub async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
