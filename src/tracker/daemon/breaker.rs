//! The circuit breaker before the daemon: one call finds out whether it is back, the others wait.
use std::time::Duration;

use crate::model::{IpfsInfo, UnixMillis};

/// First wait before the daemon is asked again.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// The longest: a daemon that comes back is noticed within it.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// How often a daemon that answers is asked who it is: a hung one, which is given ten seconds, is named within half a
/// minute.
const HEALTH_EVERY: Duration = Duration::from_secs(15);

/// The daemon as the tracker sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Daemon {
    /// It was not asked yet.
    #[default]
    Unknown,
    /// It answers.
    Up(IpfsInfo),
    /// It does not.
    Away {
        /// Since when.
        since: UnixMillis,
        /// Its last answer, or the lack of one, in words.
        error: String,
    },
}

/// The daemon as it is shown: what waits says why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::tracker) struct View {
    pub daemon: Daemon,
    /// Why pins wait though it answers.
    pub deferred: Option<String>,
    /// When it is tried again, if it is away or has no room.
    pub again: Option<UnixMillis>,
}

/// Lets calls through while the daemon answers (closed), else (open) one after a wait (half open).
#[derive(Debug)]
pub(in crate::tracker) struct Breaker {
    daemon: Daemon,
    asking: bool,
    wait: Duration,
    ask_at: UnixMillis,
}

impl Breaker {
    /// Open until the daemon first answers, which is asked at once.
    pub fn new(now: UnixMillis) -> Self {
        Self { daemon: Daemon::Unknown, asking: false, wait: WAIT_MIN, ask_at: now }
    }

    /// Returns whether calls may be made.
    pub fn is_closed(&self) -> bool {
        matches!(self.daemon, Daemon::Up(_))
    }

    /// The daemon as it was seen last.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// When the daemon is to be asked; [`None`] while it is being asked.
    pub fn ask_at(&self) -> Option<UnixMillis> {
        (!self.asking).then_some(self.ask_at)
    }

    /// Returns whether it is to be asked now; the caller asks, and says how it went.
    pub fn ask(&mut self, now: UnixMillis) -> bool {
        let ask = !self.asking && now >= self.ask_at;
        self.asking |= ask;
        ask
    }

    /// It answered.
    pub fn answered(&mut self, info: IpfsInfo, now: UnixMillis) {
        (self.daemon, self.asking, self.wait) = (Daemon::Up(info), false, WAIT_MIN);
        self.ask_at = now.plus(HEALTH_EVERY);
    }

    /// It did not answer when it was asked.
    pub fn silent(&mut self, error: String, now: UnixMillis) {
        self.asking = false;
        self.open(error, now);
        self.ask_at = now.plus(self.wait);
        self.wait = (self.wait * 2).min(WAIT_MAX);
    }

    /// Another call did not reach it.
    pub fn failed(&mut self, error: String, now: UnixMillis) {
        if self.is_closed() {
            self.open(error, now);
            self.ask_at = now.plus(self.wait);
        }
    }

    fn open(&mut self, error: String, now: UnixMillis) {
        let since = match self.daemon {
            Daemon::Away { since, .. } => since,
            Daemon::Unknown | Daemon::Up(_) => now,
        };
        self.daemon = Daemon::Away { since, error };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> UnixMillis {
        UnixMillis::from_seconds(seconds)
    }

    #[test]
    fn it_is_open_until_the_daemon_answers_and_asks_less_and_less_often() {
        let mut breaker = Breaker::new(at(0));
        let mut now = at(0);
        for wait in [1, 2, 4, 8, 10, 10] {
            assert!(breaker.ask(now) && !breaker.ask(now) && !breaker.is_closed());
            breaker.silent("connection refused".into(), now);
            assert_eq!(breaker.ask_at(), Some(now.plus(Duration::from_secs(wait))));
            now = breaker.ask_at().unwrap();
        }
        assert_eq!(*breaker.daemon(), Daemon::Away { since: at(0), error: "connection refused".into() });
        assert!(breaker.ask(now));
        breaker.answered(IpfsInfo::default(), now);
        assert!(breaker.is_closed() && !breaker.ask(now));
    }

    #[test]
    fn a_call_that_fails_opens_it_and_the_daemon_is_asked_within_a_second() {
        let mut breaker = Breaker::new(at(0));
        assert!(breaker.ask(at(0)));
        breaker.answered(IpfsInfo::default(), at(0));
        breaker.failed("connection refused".into(), at(5));
        breaker.failed("connection refused".into(), at(6));
        assert!(!breaker.is_closed());
        assert_eq!(breaker.ask_at(), Some(at(6)));
        assert!(matches!(breaker.daemon(), Daemon::Away { since, .. } if *since == at(5)));
    }
}
