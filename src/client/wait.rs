//! Waits until a pin is where it should be.
use std::time::{Duration, Instant};

use super::error::Error;
use super::request::{Client, in_time};
use crate::model::{Cid, TrackerStatus};
use crate::task;
use crate::wire::rest::{GlobalPinInfo, PinInfoShort};

/// How often the status is asked for, and how long before the first time.
const POLL: Duration = Duration::from_secs(1);

/// What to wait for.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// The pin.
    pub cid: Cid,
    /// Pinned or unpinned.
    pub target: TrackerStatus,
    /// How many peers have to be there; 0 and less is all that are to hold the pin.
    pub limit: i64,
    /// How long to wait at most; `None` is for ever.
    pub timeout: Option<Duration>,
}

/// Why waiting ended early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The status could not be had.
    #[error(transparent)]
    Api(#[from] Error),
    /// A peer failed.
    #[error("error has occurred while attempting to reach status: {0}")]
    Failed(&'static str),
    /// It took too long.
    #[error("context deadline exceeded")]
    Deadline,
}

impl Client {
    /// Waits until enough peers are where they should be; returns the status that said so.
    ///
    /// # Errors
    /// [`WaitError`].
    pub async fn wait_for(&self, wait: Wait) -> Result<GlobalPinInfo, WaitError> {
        let due: Option<Instant> = wait.timeout.map(|timeout| task::now() + timeout);
        in_time(due, self.poll(wait)).await.unwrap_or(Err(WaitError::Deadline))
    }

    async fn poll(&self, wait: Wait) -> Result<GlobalPinInfo, WaitError> {
        loop {
            tokio::time::sleep(POLL).await;
            let info = self.status(wait.cid, false).await?;
            if is_reached(&info, &wait)? {
                return Ok(info);
            }
        }
    }
}

fn is_reached(info: &GlobalPinInfo, wait: &Wait) -> Result<bool, WaitError> {
    let statuses: Vec<_> = info.peer_map.values().map(PinInfoShort::tracker_status).collect();
    if statuses.iter().any(|status| is_failure(*status)) {
        return Err(WaitError::Failed(wait.target.name()));
    }
    let is_bystander = |status: TrackerStatus| wait.target == TrackerStatus::Pinned && status == TrackerStatus::Remote;
    let needed = match usize::try_from(wait.limit) {
        Ok(limit @ 1..) => limit.min(statuses.len()),
        Ok(0) | Err(_) => statuses.iter().filter(|status| !is_bystander(**status)).count(),
    };
    Ok(statuses.iter().filter(|status| **status == wait.target).count() >= needed)
}

fn is_failure(status: TrackerStatus) -> bool {
    use TrackerStatus::{ClusterError, PinError, Undefined, UnpinError};
    matches!(status, Undefined | ClusterError | PinError | UnpinError)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(statuses: &[&str], target: TrackerStatus, limit: i64) -> Result<bool, WaitError> {
        let short = |status: &&str| PinInfoShort { status: (*status).into(), ..PinInfoShort::default() };
        let peer_map = statuses.iter().enumerate().map(|(n, status)| (n.to_string(), short(status))).collect();
        let info = GlobalPinInfo { peer_map, ..GlobalPinInfo::default() };
        is_reached(&info, &Wait { cid: Cid::default(), target, limit, timeout: None })
    }

    #[test]
    fn enough_peers_are_enough() {
        let pinned = TrackerStatus::Pinned;
        assert_eq!(reached(&["pinned", "pinning", "remote"], pinned, 1), Ok(true));
        assert_eq!(reached(&["pinned", "pinning", "remote"], pinned, 2), Ok(false));
        assert_eq!(reached(&["pinned", "pinned", "remote"], pinned, 0), Ok(true));
        assert_eq!(reached(&["pinned", "pinned"], pinned, 9), Ok(true));
        assert_eq!(reached(&["pinned", "pin_queued"], pinned, -1), Ok(false));
        assert_eq!(reached(&["unpinned", "remote"], TrackerStatus::Unpinned, 0), Ok(false));
    }

    #[test]
    fn a_failed_peer_ends_the_wait() {
        for failed in ["pin_error", "cluster_error", "unpin_error", "nonsense"] {
            let text = reached(&["pinned", failed], TrackerStatus::Pinned, 1).unwrap_err().to_string();
            assert_eq!(text, "error has occurred while attempting to reach status: pinned");
        }
    }
}
