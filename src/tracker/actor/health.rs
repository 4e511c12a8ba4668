//! Asks the daemon who it is, and tells others how it is.
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::super::breaker::{Breaker, Daemon};
use crate::ipfs::Connector;
use crate::model::{IpfsInfo, UnixMillis};

/// How long the daemon may take to say who it is.
const ASK_MAX: Duration = Duration::from_secs(10);

/// The breaker, the call that tries it, and those who watch.
pub(super) struct Health {
    ipfs: Arc<dyn Connector>,
    breaker: Breaker,
    asks: JoinSet<Result<IpfsInfo, String>>,
    tell: watch::Sender<Daemon>,
}

impl Health {
    /// Begins with a daemon that was not asked yet.
    pub fn new(ipfs: Arc<dyn Connector>, tell: watch::Sender<Daemon>, now: UnixMillis) -> Self {
        Self { ipfs, breaker: Breaker::new(now), asks: JoinSet::new(), tell }
    }

    /// Returns whether calls may be made.
    pub fn is_good(&self) -> bool {
        self.breaker.is_closed()
    }

    /// When the daemon is to be asked; [`None`] while it is being asked.
    pub fn ask_at(&self) -> Option<UnixMillis> {
        self.breaker.ask_at()
    }

    /// Asks the daemon, when it is time to.
    pub fn ask(&mut self, now: UnixMillis) {
        if self.breaker.ask(now) {
            let id = self.ipfs.id();
            self.asks.spawn(async move {
                match tokio::time::timeout(ASK_MAX, id).await {
                    Ok(answer) => answer.map_err(|error| error.to_string()),
                    Err(_) => Err(format!("the IPFS daemon did not answer within {ASK_MAX:?}")),
                }
            });
        }
    }

    /// Waits for an answer; for ever when nothing was asked.
    pub async fn answer(&mut self) -> Result<IpfsInfo, String> {
        match self.asks.join_next().await {
            Some(answer) => answer.unwrap_or_else(|error| Err(error.to_string())),
            None => std::future::pending().await,
        }
    }

    /// Takes up an answer.
    pub fn answered(&mut self, answer: Result<IpfsInfo, String>, now: UnixMillis) {
        match answer {
            Ok(info) => self.breaker.answered(info, now),
            Err(error) => self.breaker.silent(error, now),
        }
        self.show();
    }

    /// Another call did not reach the daemon.
    pub fn failed(&mut self, error: String, now: UnixMillis) {
        self.breaker.failed(error, now);
        self.show();
    }

    fn show(&self) {
        let daemon = self.breaker.daemon();
        self.tell.send_if_modified(|shown| {
            if shown == daemon {
                return false;
            }
            match daemon {
                Daemon::Away { error, .. } if !matches!(shown, Daemon::Away { .. }) => {
                    tracing::warn!(%error, "the IPFS daemon does not answer: pins wait until it does");
                }
                Daemon::Up(_) if !matches!(shown, Daemon::Up(_)) => tracing::info!("the IPFS daemon answers"),
                Daemon::Away { .. } | Daemon::Up(_) | Daemon::Unknown => {}
            }
            shown.clone_from(daemon);
            true
        });
    }
}
