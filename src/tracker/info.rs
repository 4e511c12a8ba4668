//! A status row, from the pin and what the ledger knows of it.
use std::time::Duration;

use super::daemon::{Daemon, View};
use super::wishes::Wanted;
use crate::model::{Cid, Pin, PinInfo, PinInfoShort, PinType, TrackerStatus as Status, UnixMillis};
use crate::store::ledger::{Due, Row};

/// What makes a pin a priority pin, as in Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// Younger than this.
    pub max_age: Duration,
    /// Tried at most this often.
    pub max_retries: u32,
}

/// This peer as its rows show it.
#[derive(Clone)]
pub(super) struct Shown {
    pub wanted: Wanted,
    pub peername: String,
    pub priority: Priority,
}

impl Shown {
    /// Returns the status of `cid` here.
    ///
    /// Its timestamp is that of the pin when it is settled, of the last step while there is work, and now for what is
    /// not here.
    pub fn info(&self, cid: Cid, pin: Option<&Pin>, row: Option<&Row>, view: &View, now: UnixMillis) -> PinInfo {
        let status = self.status(pin, row);
        let row = row.filter(|row| row.status == status);
        let created = pin.and_then(|pin| pin.timestamp);
        let settled =
            matches!(status, Status::Pinned | Status::UnexpectedlyUnpinned | Status::Remote | Status::Sharded);
        let timestamp = if settled { created } else { row.map(|row| row.since) };
        let (ipfs_peer_id, ipfs_peer_addresses) = match &view.daemon {
            Daemon::Up(info) => (info.id, info.reachable().cloned().collect()),
            Daemon::Unknown | Daemon::Away { .. } => (None, Vec::new()),
        };
        let attempts = row.filter(|_| status != Status::Pinned).map_or(0, |row| row.attempts);
        PinInfo {
            cid,
            name: pin.map_or_else(String::new, |pin| pin.name.clone()),
            peer: self.wanted.own,
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
                error: if status == Status::Remote { self.wanted.refusal(&cid) } else { error(status, row, view) },
                attempt_count: attempts,
                bytes: row.map_or(0, |row| row.bytes),
                next_try: next_try(status, row, view, now),
                priority_pin: is_live_pin(status) && self.is_priority(created, attempts, now),
            },
        }
    }

    /// The row's status where it still speaks of the wish; the wish itself where the row is behind it.
    fn status(&self, pin: Option<&Pin>, row: Option<&Row>) -> Status {
        let going = row.map(|row| row.status).filter(|status| super::core::is_unpin(*status));
        match pin {
            Some(pin) if pin.kind == PinType::Meta => Status::Sharded,
            Some(pin) if !self.wanted.is_wanted(pin, row) => Status::Remote,
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

/// What waits for a daemon that is away or full says why, and what was begun before it hung does too.
fn error(status: Status, row: Option<&Row>, view: &View) -> String {
    let own = row.map_or("", |row| row.error.as_str());
    let is_held_up = waits(status) || matches!(status, Status::Pinning | Status::Unpinning);
    let waits_for_room = view.deferred.as_ref().filter(|_| status == Status::PinQueued);
    match (&view.daemon, waits_for_room) {
        (Daemon::Away { error, .. }, _) if is_held_up && own.is_empty() => error.clone(),
        // What found the disk full waits with all the others.
        (Daemon::Up(_) | Daemon::Unknown, Some(reason)) => reason.clone(),
        (Daemon::Away { .. } | Daemon::Up(_) | Daemon::Unknown, _) => own.to_owned(),
    }
}

/// When something that failed or waits is tried again: when it is due, and not before the daemon can.
fn next_try(status: Status, row: Option<&Row>, view: &View, now: UnixMillis) -> Option<UnixMillis> {
    let due = match row.map(|row| row.due) {
        Some(Due::At(at)) => at,
        None if waits(status) => now,
        Some(Due::Running | Due::Never | Due::Settled) | None => return None,
    };
    Some(view.again.map_or(due, |again| due.max(again))).filter(|at| *at > now)
}

/// Whether something of this status waits for its turn.
const fn waits(status: Status) -> bool {
    matches!(status, Status::PinQueued | Status::UnpinQueued)
}

fn is_live_pin(status: Status) -> bool {
    matches!(status, Status::PinQueued | Status::Pinning | Status::PinError)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> View {
        View {
            daemon: Daemon::Away { since: UnixMillis::from_seconds(1), error: "it did not answer".into() },
            ..View::default()
        }
    }

    #[test]
    fn what_a_daemon_that_is_away_delays_says_why_unless_it_has_a_reason_of_its_own() {
        let up = View { daemon: Daemon::Up(crate::model::IpfsInfo::default()), ..View::default() };
        for status in [Status::PinQueued, Status::Pinning, Status::UnpinQueued, Status::Unpinning] {
            assert_eq!(error(status, None, &away()), "it did not answer");
            assert_eq!(error(status, None, &up), "");
            let row = Row { error: "no block".into(), ..Row::new(status, Due::Running, UnixMillis::from_seconds(1)) };
            assert_eq!(error(status, Some(&row), &away()), "no block");
        }
        for status in [Status::Pinned, Status::Remote, Status::Unpinned] {
            assert_eq!(error(status, None, &away()), "");
        }
    }

    #[test]
    fn what_waits_for_room_says_so_and_nothing_else_does() {
        let full = View { deferred: Some("deferred".into()), ..View::default() };
        assert_eq!(error(Status::PinQueued, None, &full), "deferred");
        for status in [Status::Pinning, Status::UnpinQueued, Status::Pinned] {
            assert_eq!(error(status, None, &full), "");
        }
        assert_eq!(error(Status::PinQueued, None, &View { deferred: full.deferred, ..away() }), "it did not answer");
    }

    #[test]
    fn a_failure_tells_its_next_try_and_its_bytes() {
        let own = crate::model::PeerId::random();
        let wanted = Wanted { own, share: None };
        let shown =
            Shown { wanted, peername: "a".into(), priority: Priority { max_age: Duration::ZERO, max_retries: 0 } };
        let pin = Pin::recursive(crate::ipfs::fake::cid(1));
        let [now, next] = [5, 90].map(UnixMillis::from_seconds);
        let mut view = View::default();
        let told = |status, due, attempts, view: &View| {
            let row = Row { attempts, bytes: 7, ..Row::new(status, due, now) };
            let short = shown.info(pin.cid, Some(&pin), Some(&row), view, now).short;
            (short.next_try, short.bytes)
        };
        assert_eq!(told(Status::PinError, Due::At(next), 3, &view), (Some(next), 7));
        assert_eq!(told(Status::PinQueued, Due::At(next), 1, &view), (Some(next), 7));
        assert_eq!(
            told(Status::PinQueued, Due::At(now), 0, &view),
            (None, 7),
            "it waits for its turn, not for a moment"
        );
        assert_eq!(told(Status::Pinned, Due::Settled, 0, &view), (None, 7));
        view.again = Some(next);
        assert_eq!(told(Status::PinQueued, Due::At(now), 0, &view), (Some(next), 7), "it waits for the daemon");
        assert_eq!(told(Status::PinError, Due::At(now), 0, &view), (Some(next), 7), "this too");
        assert_eq!(told(Status::Pinned, Due::Settled, 0, &view), (None, 7));
    }
}
