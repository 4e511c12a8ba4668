//! A status row, from the pin and what the ledger knows of it.
use std::time::Duration;

use super::breaker::Daemon;
use super::wishes::is_wanted;
use crate::model::{Cid, PeerId, Pin, PinInfo, PinInfoShort, PinType, TrackerStatus as Status, UnixMillis};
use crate::store::ledger::Row;

/// What makes a pin a priority pin, as in Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// Younger than this.
    pub max_age: Duration,
    /// Tried at most this often.
    pub max_retries: u32,
}

/// This peer as its rows show it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub own: PeerId,
    pub peername: String,
    pub priority: Priority,
}

impl Shown {
    /// Returns the status of `cid` here.
    ///
    /// Its timestamp is that of the pin when it is settled, of the last step while there is work, and now for what is
    /// not here.
    pub fn info(&self, cid: Cid, pin: Option<&Pin>, row: Option<&Row>, daemon: &Daemon, now: UnixMillis) -> PinInfo {
        let status = self.status(pin, row);
        let row = row.filter(|row| row.status == status);
        let created = pin.and_then(|pin| pin.timestamp);
        let settled =
            matches!(status, Status::Pinned | Status::UnexpectedlyUnpinned | Status::Remote | Status::Sharded);
        let timestamp = if settled { created } else { row.map(|row| row.since) };
        let (ipfs_peer_id, ipfs_peer_addresses) = match daemon {
            Daemon::Up(info) => (info.id, info.reachable().cloned().collect()),
            Daemon::Unknown | Daemon::Away { .. } => (None, Vec::new()),
        };
        let attempts = row.filter(|_| status != Status::Pinned).map_or(0, |row| row.attempts);
        PinInfo {
            cid,
            name: pin.map_or_else(String::new, |pin| pin.name.clone()),
            peer: self.own,
            allocations: pin.map_or_else(Vec::new, |pin| pin.allocations.clone()),
            origins: pin.map_or_else(Vec::new, |pin| pin.origins.clone()),
            created,
            metadata: pin.map(|pin| pin.metadata.clone()).unwrap_or_default(),
            short: PinInfoShort {
                peername: self.peername.clone(),
                ipfs_peer_id,
                ipfs_peer_addresses,
                status,
                timestamp: timestamp.unwrap_or(now),
                error: error(status, row, daemon),
                attempt_count: attempts,
                priority_pin: is_live_pin(status) && self.is_priority(created, attempts, now),
            },
        }
    }

    /// The row's status where it still speaks of the wish; the wish itself where the row is behind it.
    fn status(&self, pin: Option<&Pin>, row: Option<&Row>) -> Status {
        let going = row.map(|row| row.status).filter(|status| super::core::is_unpin(*status));
        match pin {
            Some(pin) if pin.kind == PinType::Meta => Status::Sharded,
            Some(pin) if !is_wanted(pin, &self.own) => Status::Remote,
            Some(_) => {
                row.map_or(Status::PinQueued, |row| if going.is_some() { Status::PinQueued } else { row.status })
            }
            None => going.unwrap_or(if row.is_some() { Status::UnpinQueued } else { Status::Unpinned }),
        }
    }

    fn is_priority(&self, created: Option<UnixMillis>, attempts: u32, now: UnixMillis) -> bool {
        created.is_some_and(|created| now < created.plus(self.priority.max_age))
            && attempts <= self.priority.max_retries
    }
}

/// What waits for a daemon that is away says why, and what was begun before it hung does too.
fn error(status: Status, row: Option<&Row>, daemon: &Daemon) -> String {
    let own = row.map_or("", |row| row.error.as_str());
    match (status, daemon) {
        (Status::PinQueued | Status::UnpinQueued | Status::Pinning | Status::Unpinning, Daemon::Away { error, .. })
            if own.is_empty() =>
        {
            error.clone()
        }
        _ => own.to_owned(),
    }
}

fn is_live_pin(status: Status) -> bool {
    matches!(status, Status::PinQueued | Status::Pinning | Status::PinError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ledger::Due;

    #[test]
    fn what_a_daemon_that_is_away_delays_says_why_unless_it_has_a_reason_of_its_own() {
        let away = Daemon::Away { since: UnixMillis::from_seconds(1), error: "it did not answer".into() };
        for status in [Status::PinQueued, Status::Pinning, Status::UnpinQueued, Status::Unpinning] {
            assert_eq!(error(status, None, &away), "it did not answer");
            assert_eq!(error(status, None, &Daemon::Up(crate::model::IpfsInfo::default())), "");
            let row = Row { error: "no block".into(), ..Row::new(status, Due::Running, UnixMillis::from_seconds(1)) };
            assert_eq!(error(status, Some(&row), &away), "no block");
        }
        for status in [Status::Pinned, Status::Remote, Status::Unpinned] {
            assert_eq!(error(status, None, &away), "");
        }
    }
}
