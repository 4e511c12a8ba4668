//! Wall time that goes as the waiting does.
use std::time::{Duration, Instant};

use crate::model::UnixMillis;
use crate::task;

/// The wall clock at the start, and what was waited since: a clock that is set does not shift what is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
    wall: UnixMillis,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: task::now(), wall: task::wall() }
    }

    /// The time.
    pub fn now(self) -> UnixMillis {
        self.wall.plus(task::now().saturating_duration_since(self.start))
    }

    /// What to wait for until it is `moment`.
    pub fn instant(self, moment: UnixMillis) -> Instant {
        let after = u64::try_from(moment.0.saturating_sub(self.wall.0)).unwrap_or(0);
        self.start + Duration::from_millis(after)
    }
}
