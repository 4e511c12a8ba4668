//! Whether other peers hold a pin: asked before this one lets go of it.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};

use crate::model::{Cid, PeerId, PinInfo, TrackerStatus};
use crate::swarm::calls::{CallError, Calls};
use crate::task;
use crate::tracker::Others;

/// Holders of one pin that are asked at a time.
const ASKED_MAX: usize = 8;

/// How long an answer may take: what cannot be let go of waits behind it.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// One that did not answer is not asked for so long.
const SILENT: Duration = Duration::from_secs(30);

/// Silent peers that are remembered: more than a cluster has.
const SILENT_MAX: usize = 4096;

/// Asks the peers themselves.
pub struct Holders {
    calls: Calls,
    silent: Arc<Mutex<BTreeMap<PeerId, Instant>>>,
}

impl Holders {
    /// Asks by these calls.
    pub fn new(calls: Calls) -> Self {
        Self { calls, silent: Arc::default() }
    }
}

impl Others for Holders {
    fn hold(&self, cid: Cid, holders: Vec<PeerId>, enough: usize) -> BoxFuture<'static, bool> {
        let (calls, silent) = (self.calls.clone(), self.silent.clone());
        Box::pin(async move {
            let answers = stream::iter(holders).map(|holder| {
                let (calls, silent) = (calls.clone(), silent.clone());
                async move { has(&calls, &silent, holder, &cid).await }
            });
            let holding = answers.buffer_unordered(ASKED_MAX).filter(|has| std::future::ready(*has)).take(enough);
            holding.count().await >= enough
        })
    }
}

async fn has(calls: &Calls, silent: &Mutex<BTreeMap<PeerId, Instant>>, holder: PeerId, cid: &Cid) -> bool {
    if lock(silent).get(&holder).is_some_and(|until| task::now() < *until) {
        return false;
    }
    let answer = tokio::time::timeout(ANSWER_MAX, calls.status(holder, cid)).await;
    let said = answer.map_err(|_| CallError::Deadline(ANSWER_MAX)).flatten();
    if matches!(&said, Err(CallError::Open(_) | CallError::Deadline(_) | CallError::Closed | CallError::Io(_))) {
        let mut silent = lock(silent);
        silent.retain(|_, until| task::now() < *until);
        if silent.len() < SILENT_MAX {
            silent.insert(holder, task::now() + SILENT);
        }
    }
    is_held(&said)
}

fn is_held(said: &Result<PinInfo, CallError>) -> bool {
    match said {
        Ok(info) => info.short.status == TrackerStatus::Pinned,
        // Who does not trust this peer never says: it must not keep everything for that.
        Err(CallError::Refused(_)) => true,
        Err(_) => false,
    }
}

/// A moment is whole whatever happened to who wrote it.
fn lock(silent: &Mutex<BTreeMap<PeerId, Instant>>) -> MutexGuard<'_, BTreeMap<PeerId, Instant>> {
    silent.lock().unwrap_or_else(PoisonError::into_inner)
}
