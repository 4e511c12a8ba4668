//! Asks the daemon who it is and what room it has, and tells others how it is.
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::super::core::Outcome;
use super::super::daemon::{Breaker, Daemon, Room, Space, View};
use super::super::jobs::Told;
use crate::ipfs::{Connector, IpfsError, RepoStat};
use crate::model::{IpfsInfo, UnixMillis};

/// How long the daemon may take to say who it is.
const ASK_MAX: Duration = Duration::from_secs(10);

/// The breaker, the room, the calls that try them, and those who watch.
pub(super) struct Health {
    ipfs: Arc<dyn Connector>,
    breaker: Breaker,
    space: Space,
    asks: JoinSet<Answer>,
    tell: watch::Sender<View>,
}

/// What the daemon answered.
pub(super) enum Answer {
    /// Who it is.
    Id(Result<IpfsInfo, String>),
    /// What is in its repository; [`None`] when it did not say.
    Repo(Option<RepoStat>),
}

impl Health {
    /// Begins with a daemon that was not asked yet; pins wait above the part `mark` of its repository, in hundredths.
    pub fn new(ipfs: Arc<dyn Connector>, mark: u8, tell: watch::Sender<View>, now: UnixMillis) -> Self {
        Self { ipfs, breaker: Breaker::new(now), space: Space::new(mark, now), asks: JoinSet::new(), tell }
    }

    /// Returns whether calls may be made.
    pub fn is_good(&self) -> bool {
        self.breaker.is_closed()
    }

    /// Returns for how many pins the daemon has room.
    pub fn room(&self, now: UnixMillis) -> Room {
        self.space.room(now)
    }

    /// When there may be room for more pins than now, by the time alone.
    pub fn more_at(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.space.more_at(now)
    }

    /// Somebody asks for another try: whether there is room is seen at once.
    pub fn look_again(&mut self, now: UnixMillis) {
        self.space.look_again(now);
    }

    /// When the daemon is to be asked; [`None`] while it is being asked.
    pub fn ask_at(&self) -> Option<UnixMillis> {
        let measure_at = self.space.measure_at().filter(|_| self.is_good());
        [self.breaker.ask_at(), measure_at].into_iter().flatten().min()
    }

    /// Asks the daemon, when it is time to.
    pub fn ask(&mut self, now: UnixMillis) {
        if self.breaker.ask(now) {
            let id = self.ipfs.id();
            self.asks.spawn(async move {
                Answer::Id(match tokio::time::timeout(ASK_MAX, id).await {
                    Ok(answer) => answer.map_err(|error| error.to_string()),
                    Err(_) => Err(format!("the IPFS daemon did not answer within {ASK_MAX:?}")),
                })
            });
        }
        if self.is_good() && self.space.measure(now) {
            let stat = self.ipfs.repo_stat();
            self.asks.spawn(async move {
                Answer::Repo(tokio::time::timeout(ASK_MAX, stat).await.ok().and_then(Result::ok))
            });
        }
    }

    /// Waits for an answer; for ever when nothing was asked.
    pub async fn answer(&mut self) -> Answer {
        match self.asks.join_next().await {
            Some(answer) => answer.unwrap_or_else(|error| Answer::Id(Err(error.to_string()))),
            None => std::future::pending().await,
        }
    }

    /// Takes up an answer.
    pub fn answered(&mut self, answer: Answer, now: UnixMillis) {
        match answer {
            Answer::Id(Ok(info)) => self.breaker.answered(info, now),
            Answer::Id(Err(error)) => self.breaker.silent(error, now),
            Answer::Repo(stat) => self.space.measured(stat, now),
        }
        self.show(now);
    }

    /// Takes from what a job tells what it says of the daemon; `is_pin`: whether it pins.
    pub fn heard(&mut self, told: &Told, is_pin: bool, now: UnixMillis) {
        match told {
            Told::Ended(_, Outcome::Failed(IpfsError::Unreachable(error))) => self.breaker.failed(error.clone(), now),
            Told::Ended(_, Outcome::Failed(IpfsError::Full(error))) => self.space.refused(error.clone(), now),
            // What is unpinned is on the disk until it is collected.
            Told::Ended(_, Outcome::Done(_)) if is_pin && self.space.is_tried(now) => self.space.fitted(now),
            Told::Ended(..) | Told::Progress(..) => return,
        }
        self.show(now);
    }

    fn show(&self, now: UnixMillis) {
        let daemon = self.breaker.daemon().clone();
        let again = if self.is_good() { self.space.next_look(now) } else { self.breaker.ask_at() };
        let view = View { daemon, deferred: self.space.reason(now), again };
        self.tell.send_if_modified(|shown| {
            if *shown == view {
                return false;
            }
            tell_daemon(&view.daemon, &shown.daemon);
            tell_room(view.deferred.as_deref(), shown.deferred.as_deref());
            *shown = view;
            true
        });
    }
}

fn tell_daemon(now: &Daemon, before: &Daemon) {
    match now {
        Daemon::Away { error, .. } if !matches!(before, Daemon::Away { .. }) => {
            tracing::warn!(%error, "the IPFS daemon does not answer: pins wait until it does");
        }
        Daemon::Up(_) if !matches!(before, Daemon::Up(_)) => tracing::info!("the IPFS daemon answers"),
        Daemon::Away { .. } | Daemon::Up(_) | Daemon::Unknown => {}
    }
}

fn tell_room(now: Option<&str>, before: Option<&str>) {
    match (now, before) {
        (Some(reason), None) => tracing::warn!(reason, "the IPFS daemon has no room: pins wait until it has"),
        (None, Some(_)) => tracing::info!("the IPFS daemon has room again"),
        (Some(_), Some(_)) | (None, None) => {}
    }
}
