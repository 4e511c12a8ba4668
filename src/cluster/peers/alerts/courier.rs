//! Delivers alerts to a webhook, one after the other, each at least once unless that takes more than a day.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::net::Counts;
use crate::model::{Alert, PeerId};
use crate::store::{LedgerDb, StoreError};
use crate::task::{self, Fatal};
use crate::wire::rest;
use crate::wire::webhook::Delivery;

/// The wait after the first failure; it doubles with each one that follows.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// But is never longer than this.
const WAIT_MAX: Duration = Duration::from_mins(5);
/// An alert that is older is no news any more.
const AGE_MAX: Duration = Duration::from_hours(24);

/// Hands the body of a delivery to the receiver; says why it was not taken.
pub type Deliver = Box<dyn Fn(Bytes) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What the courier is made of.
pub struct Args {
    /// This peer.
    pub own: PeerId,
    /// Its label.
    pub peername: String,
    /// Where alerts are, and how far they are delivered.
    pub ledger: Arc<LedgerDb>,
    /// Who takes them.
    pub deliver: Deliver,
    /// What the log calls the receiver.
    pub receiver: String,
    /// Rings when there are new ones.
    pub kept: watch::Receiver<()>,
    /// Where deliveries are counted.
    pub counts: Arc<Counts>,
}

/// The actor that delivers. Nobody waits for it.
pub struct Courier {
    args: Args,
    /// The number of the alert that is next; [`None`] until the ledger said so.
    next: Option<u64>,
    /// The wait after the next failure.
    wait: Duration,
    is_failing: bool,
}

/// What became of an alert.
enum Outcome {
    Delivered,
    GivenUp,
    /// There is none.
    Nothing,
    Stopped,
}

impl Courier {
    /// A courier that goes on where its last start was.
    #[must_use]
    pub const fn new(args: Args) -> Self {
        Self { args, next: None, wait: WAIT_MIN, is_failing: false }
    }

    /// Delivers until it is stopped; what was on its way then is delivered again at the next start.
    ///
    /// # Errors
    /// None: all that fails is tried again.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Fatal> {
        while !stop.is_cancelled() {
            // Before the look at the ledger: what is kept after it rings again.
            self.args.kept.borrow_and_update();
            match self.step(&stop).await {
                Ok(Outcome::Delivered) => self.succeeded(),
                Ok(Outcome::GivenUp | Outcome::Stopped) => (),
                Ok(Outcome::Nothing) => self.rest(&stop).await,
                Err(error) => self.failed(&error, &stop).await,
            }
        }
        Ok(())
    }

    /// Delivers the next alert, or gives it up.
    async fn step(&mut self, stop: &CancellationToken) -> Result<Outcome, Fatal> {
        let next = match self.next {
            Some(next) => next,
            None => self.ledger(LedgerDb::begin_webhook).await?,
        };
        self.next = Some(next);
        let Some((number, alert)) = self.ledger(move |ledger| ledger.alert_from(next)).await? else {
            return Ok(Outcome::Nothing);
        };
        // The ring went round while the receiver was away.
        self.gave_up(number - next);
        let outcome = if alert.triggered.plus(AGE_MAX) < task::wall() {
            self.gave_up(1);
            Outcome::GivenUp
        } else {
            let body = self.body(number, &alert)?;
            match stop.run_until_cancelled((self.args.deliver)(body)).await {
                Some(taken) => taken?,
                None => return Ok(Outcome::Stopped),
            }
            self.args.counts.add("webhooks_delivered", 1);
            Outcome::Delivered
        };
        self.next = Some(number + 1);
        self.store(number + 1).await;
        Ok(outcome)
    }

    /// A disk that does not take the place is no reason to tell an alert again and again: only a restart does.
    async fn store(&self, next: u64) {
        if let Err(error) = self.ledger(move |ledger| ledger.told_webhook(next)).await {
            tracing::debug!(%error, "that an alert was delivered could not be written");
        }
    }

    fn body(&self, number: u64, alert: &Alert) -> Result<Bytes, Fatal> {
        let Args { own, peername, .. } = &self.args;
        let delivery = Delivery {
            alert: rest::Alert::from(alert),
            reporter: own.to_string(),
            reporter_name: peername.clone(),
            delivery_id: delivery_id(own, number, alert),
        };
        Ok(serde_json::to_vec(&delivery)?.into())
    }

    fn gave_up(&self, n: u64) {
        if n > 0 {
            self.args.counts.add("webhooks_given_up", n);
        }
    }

    fn succeeded(&mut self) {
        self.wait = WAIT_MIN;
        if std::mem::take(&mut self.is_failing) {
            tracing::info!(receiver = self.args.receiver, "alerts are delivered again");
        }
    }

    async fn failed(&mut self, error: &Fatal, stop: &CancellationToken) {
        self.args.counts.add("webhooks_failed", 1);
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(receiver = self.args.receiver, %error, "an alert was not delivered: it is tried again");
        }
        stop.run_until_cancelled(tokio::time::sleep(self.wait)).await;
        self.wait = (self.wait * 2).min(WAIT_MAX);
    }

    /// Waits for new alerts, or for the end.
    async fn rest(&mut self, stop: &CancellationToken) {
        if let Some(Err(_)) = stop.run_until_cancelled(self.args.kept.changed()).await {
            // Nobody keeps alerts any more.
            stop.cancelled().await;
        }
    }

    /// A read or a write is never cut short: the next start opens the same file.
    async fn ledger<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&LedgerDb) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Fatal> {
        let ledger = self.args.ledger.clone();
        Ok(tokio::task::spawn_blocking(move || ask(&ledger)).await??)
    }
}

/// Numbers begin anew with a new ledger, so the alert itself is in the name too.
fn delivery_id(own: &PeerId, number: u64, alert: &Alert) -> String {
    let mut hash = blake3::Hasher::new();
    for part in [&own.to_bytes(), &alert.metric.peer.to_bytes(), alert.metric.name.as_bytes()] {
        hash.update(&(part.len() as u64).to_be_bytes()).update(part);
    }
    hash.update(&number.to_be_bytes()).update(&alert.triggered.0.to_be_bytes());
    hex::encode(&hash.finalize().as_bytes()[..16])
}

#[cfg(test)]
#[path = "courier_tests.rs"]
mod tests;
