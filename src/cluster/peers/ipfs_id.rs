//! Who the IPFS daemon is, remembered, so that a daemon which hangs delays nobody.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::ipfs::Connector;
use crate::model::IpfsInfo;
use crate::task;

/// How long an answer is believed; a daemon's identity changes only when it restarts.
const FRESH: Duration = Duration::from_secs(10);

/// How long an error is believed: a daemon that hangs delays one caller now and then, not each.
const FAILED: Duration = Duration::from_secs(2);

/// How long a front end waits for the daemon, when nothing is known of it.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// What is older than this is not told any more; younger, it is told while the daemon is asked anew.
const STALE_MAX: Duration = Duration::from_mins(1);

/// The daemon's last answer to who it is.
pub struct IpfsId {
    asker: Arc<Asker>,
    /// Asks behind the back of those who were told what was known.
    renewals: Mutex<JoinSet<IpfsInfo>>,
}

struct Asker {
    ipfs: Arc<dyn Connector>,
    last: Mutex<Last>,
    /// Held by who asks the daemon; the others wait for its answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Last {
    good: IpfsInfo,
    at: Option<Instant>,
    failed: Option<(Instant, String)>,
}

impl IpfsId {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(ipfs: Arc<dyn Connector>) -> Self {
        let asker = Asker { ipfs, last: Mutex::default(), asking: tokio::sync::Mutex::default() };
        Self { asker: Arc::new(asker), renewals: Mutex::default() }
    }

    /// Returns the daemon's identity, or why it does not say it, at once unless nothing is known from the last minute.
    pub async fn get(&self) -> IpfsInfo {
        if let Some(fresh) = self.asker.known(FRESH, FAILED) {
            return fresh;
        }
        let Some(stale) = self.asker.known(STALE_MAX, STALE_MAX) else { return self.renew().await };
        let mut renewals = self.renewals.lock().unwrap_or_else(PoisonError::into_inner);
        while renewals.try_join_next().is_some() {}
        if renewals.is_empty() {
            let asker = self.asker.clone();
            renewals.spawn(async move { asker.renew().await });
        }
        stale
    }

    /// Returns the daemon's identity, at most 10 s old; an error is inside when it does not answer within 2 s.
    pub async fn renew(&self) -> IpfsInfo {
        self.asker.renew().await
    }

    /// Returns the last good answer without asking; empty when there never was one.
    #[must_use]
    pub fn last(&self) -> IpfsInfo {
        self.asker.lock().good.clone()
    }
}

impl Asker {
    async fn renew(&self) -> IpfsInfo {
        let _asking = self.asking.lock().await;
        // Another caller asked meanwhile.
        if let Some(fresh) = self.known(FRESH, FAILED) {
            return fresh;
        }
        let error = match tokio::time::timeout(WAIT_MAX, self.ipfs.id()).await {
            Ok(Ok(info)) => {
                *self.lock() = Last { good: info.clone(), at: Some(task::now()), failed: None };
                return info;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the IPFS daemon did not answer within {WAIT_MAX:?}"),
        };
        let mut last = self.lock();
        (last.at, last.failed) = (None, Some((task::now(), error.clone())));
        failed(error)
    }

    /// What is known: an answer that is younger than `good`, or an error that is younger than `bad`.
    fn known(&self, good: Duration, bad: Duration) -> Option<IpfsInfo> {
        let (last, now) = (self.lock(), task::now());
        if last.at.is_some_and(|at| now.duration_since(at) < good) {
            return Some(last.good.clone());
        }
        let error = last.failed.as_ref().filter(|(at, _)| now.duration_since(*at) < bad);
        error.map(|(_, error)| failed(error.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().expect("no code panics while it holds the identity")
    }
}

fn failed(error: String) -> IpfsInfo {
    IpfsInfo { error, ..IpfsInfo::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipfs::fake::Fake;

    fn id() -> (Fake, IpfsId) {
        let fake = Fake::default();
        (fake.clone(), IpfsId::new(Arc::new(fake)))
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_believed_for_ten_seconds_and_the_last_good_one_is_kept() {
        let (daemon, id) = id();
        assert_eq!(id.last(), IpfsInfo::default());
        let known = id.get().await;
        assert!(known.id.is_some() && known.error.is_empty());
        daemon.set_away(true);
        assert_eq!(id.get().await, known);
        tokio::time::advance(FRESH).await;
        assert_eq!(id.get().await, known, "it is asked meanwhile");
        tokio::time::sleep(Duration::from_millis(1)).await;
        let away = id.get().await;
        assert!(away.id.is_none() && away.error.contains("connection refused"), "{away:?}");
        assert_eq!(id.last(), known);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_believed_for_two_seconds() {
        let (daemon, id) = id();
        daemon.set_away(true);
        assert!(!id.get().await.error.is_empty());
        daemon.set_away(false);
        assert!(!id.get().await.error.is_empty());
        tokio::time::advance(FAILED).await;
        assert!(!id.get().await.error.is_empty(), "it is asked meanwhile");
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(id.get().await.error.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_begins_to_hang_delays_nobody_and_its_answer_is_not_told_for_long() {
        let (daemon, id) = id();
        let known = id.get().await;
        daemon.set_hung(true);
        tokio::time::advance(FRESH).await;
        let start = task::now();
        for _ in 0..100 {
            assert_eq!(id.get().await, known);
        }
        assert_eq!(task::now(), start);
        tokio::time::sleep(WAIT_MAX + Duration::from_millis(1)).await;
        for _ in 0..100 {
            let start = task::now();
            assert_eq!(id.get().await.error, "the IPFS daemon did not answer within 2s");
            assert_eq!(task::now(), start);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        daemon.set_hung(false);
        tokio::time::advance(STALE_MAX).await;
        assert_eq!(id.get().await, known, "nothing is known from the last minute: it waits");
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_hangs_delays_all_callers_together_by_two_seconds() {
        let (daemon, id) = id();
        daemon.set_hung(true);
        let start = task::now();
        let answers = futures::future::join_all((0..100).map(|_| id.get())).await;
        assert!(answers.iter().all(|info| info.error == "the IPFS daemon did not answer within 2s"));
        assert_eq!(task::now().duration_since(start), WAIT_MAX);
    }
}
