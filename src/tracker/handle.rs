//! The tracker as others see it.
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::{mpsc, oneshot, watch};

use super::actor::Actor;
use super::args::{Args, Command, TrackerError};
use super::core::{Load, is_unpin};
use super::daemon::{Daemon, View};
use super::info::{Priority, Shown};
use super::wishes::{Wanted, Wishes};
use crate::model::{Cid, Event, Pin, PinInfo, StatusFilter, TrackerStatus as Status};
use crate::store::StoreError;
use crate::store::ledger::{Counts, Due, LedgerDb, Row};
use crate::task::{self, Task};

/// Commands that wait for the loop.
const COMMANDS_MAX: usize = 256;
/// Rows of one page of a list: read in about 5 ms, far below what a read transaction may last.
const PAGE: usize = 1_024;
/// Rows asked to be tried again at once.
const RECOVER_MAX: usize = 256;

/// Keeps IPFS in step with the pinset, and knows where that stands.
#[derive(Clone)]
pub struct Tracker {
    commands: mpsc::Sender<Command>,
    ledger: Arc<LedgerDb>,
    wishes: Arc<dyn Wishes>,
    daemon: watch::Receiver<View>,
    news: watch::Receiver<()>,
    load: watch::Receiver<Load>,
    shown: Arc<Shown>,
}

/// Starts a tracker; it works until its task is stopped, and loses nothing when that happens.
///
/// # Errors
/// [`StoreError`] when the ledger cannot be read.
pub fn spawn(args: Args) -> Result<(Tracker, Task), StoreError> {
    let (sender, commands) = mpsc::channel(COMMANDS_MAX);
    let (tell, daemon) = watch::channel(View::default());
    let priority = Priority { max_age: args.priority_max_age, max_retries: args.priority_max_retries };
    let wanted = Wanted { own: args.own, share: args.share.clone() };
    let shown = Arc::new(Shown { wanted, peername: args.peername.clone(), priority });
    let (ledger, wishes) = (args.ledger.clone(), args.wishes.clone());
    let (ring, news) = watch::channel(());
    let (weigh, load) = watch::channel(Load::default());
    let actor = Actor::new(args, commands, tell, (ring, weigh))?;
    let tracker = Tracker { commands: sender, ledger, wishes, daemon, news, load, shown };
    Ok((tracker, Task::spawn(|stop| actor.run(stop))))
}

impl Tracker {
    /// Returns where one CID stands on this peer. Never asks the daemon.
    ///
    /// # Errors
    /// [`TrackerError`] when ledger or pinset cannot be read.
    pub fn status(&self, cid: &Cid) -> Result<PinInfo, TrackerError> {
        Ok(self.info(*cid, self.wishes.pin(cid)?.as_ref(), self.ledger.get(cid)?.as_ref()))
    }

    /// Returns how many bytes the daemon fetched for a pin, as far as that is known.
    ///
    /// # Errors
    /// [`TrackerError`] when the ledger cannot be read.
    pub fn bytes(&self, cid: &Cid) -> Result<u64, TrackerError> {
        Ok(self.ledger.get(cid)?.map_or(0, |row| row.bytes))
    }

    /// Returns where every pin stands that `filter` matches, in the order of the pinset, then what is being let go of.
    ///
    /// As in Go, what left the pinset is only shown to a filter that asks for it. Pages are read as they are taken.
    #[must_use]
    pub fn statuses(&self, filter: StatusFilter) -> BoxStream<'static, Result<PinInfo, TrackerError>> {
        self.statuses_from(filter, None)
    }

    /// As [`Tracker::statuses`], from after the key `start` of the pinset on.
    #[must_use]
    pub fn statuses_from(
        &self,
        filter: StatusFilter,
        start: Option<Vec<u8>>,
    ) -> BoxStream<'static, Result<PinInfo, TrackerError>> {
        let first = (self.clone(), Place::Pins(start));
        stream::try_unfold(first, move |(tracker, place)| async move {
            if matches!(place, Place::End) {
                return Ok(None);
            }
            let read = tokio::task::spawn_blocking(move || tracker.page(filter, place).map(|page| (page, tracker)));
            let ((infos, next), tracker) = read.await.map_err(|_| TrackerError::Ended)??;
            Ok::<_, TrackerError>(Some((stream::iter(infos.into_iter().map(Ok)), (tracker, next))))
        })
        .flat_map(|page| match page {
            Ok(infos) => infos.boxed(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        })
        .boxed()
    }

    /// Tries a pin that failed again; returns where it stands then.
    ///
    /// # Errors
    /// [`TrackerError`].
    pub async fn recover(&self, cid: &Cid) -> Result<PinInfo, TrackerError> {
        let queued = self.recover_some(vec![*cid]).await?;
        match queued.first() {
            Some((cid, row)) => Ok(self.info(*cid, self.wishes.pin(cid)?.as_ref(), Some(row))),
            None => self.status(cid),
        }
    }

    /// Tries everything that failed again, and looks for what the daemon lost; returns what is queued anew.
    #[must_use]
    pub fn recover_all(&self) -> BoxStream<'static, Result<PinInfo, TrackerError>> {
        // A full queue of commands has a sweep or more work than one before it.
        let _ = self.commands.try_send(Command::Sweep);
        let first = (self.clone(), Some(None));
        stream::try_unfold(first, |(tracker, after)| async move {
            let Some(after) = after else { return Ok(None) };
            let (infos, next) = tracker.recover_page(after).await?;
            Ok::<_, TrackerError>(Some((stream::iter(infos.into_iter().map(Ok)), (tracker, next.map(Some)))))
        })
        .flat_map(|page| match page {
            Ok(infos) => infos.boxed(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        })
        .boxed()
    }

    /// Returns how many pins wait to be pinned.
    ///
    /// # Errors
    /// [`TrackerError::Ledger`].
    pub fn pin_queue_size(&self) -> Result<u64, TrackerError> {
        Ok(self.counts()?.of(Status::PinQueued))
    }

    /// Returns how many rows stand where.
    ///
    /// # Errors
    /// [`TrackerError::Ledger`].
    pub fn counts(&self) -> Result<Counts, TrackerError> {
        Ok(self.ledger.counts()?)
    }

    /// Returns how many pins this peer does not have to hold any more and has not let go of; changes of the pinset that it
    /// has not looked at yet count, too, for they may be such.
    ///
    /// # Errors
    /// [`TrackerError`] when ledger or pinset cannot be read.
    pub fn kept(&self) -> Result<u64, TrackerError> {
        let unread = match self.ledger.cursor()? {
            Some(cursor) => self.wishes.news(cursor, PAGE)?.len(),
            None => PAGE,
        };
        let counts = self.counts()?;
        let going: u64 =
            Status::ALL.into_iter().filter(|status| is_unpin(*status)).map(|status| counts.of(status)).sum();
        Ok(going + u64::try_from(unread).unwrap_or(u64::MAX))
    }

    /// Returns at most `limit` events from number `from` on, or from the oldest that is kept, each with its number.
    ///
    /// # Errors
    /// [`TrackerError::Ledger`].
    pub fn events(&self, from: u64, limit: usize) -> Result<Vec<(u64, Event)>, TrackerError> {
        Ok(self.ledger.events(from, limit)?)
    }

    /// Returns the number of the event that comes next.
    ///
    /// # Errors
    /// [`TrackerError::Ledger`].
    pub fn events_end(&self) -> Result<u64, TrackerError> {
        Ok(self.ledger.events_end()?)
    }

    /// Rings when there may be new events; ends with the tracker.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.clone()
    }

    /// Returns how much waits and how much runs.
    #[must_use]
    pub fn load(&self) -> Load {
        *self.load.borrow()
    }

    /// Returns how long the row that waits longest has been due; zero when none is.
    ///
    /// # Errors
    /// [`TrackerError::Ledger`].
    pub fn oldest_due(&self) -> Result<Duration, TrackerError> {
        let now = task::wall();
        let first = self.ledger.due(now, 1)?.into_iter().next();
        Ok(first.map_or(Duration::ZERO, |(_, row)| match row.due {
            Due::At(at) => Duration::from_millis(u64::try_from(now.0.saturating_sub(at.0)).unwrap_or_default()),
            Due::Never | Due::Running | Due::Settled => Duration::ZERO,
        }))
    }

    /// Looks whether some CIDs are wanted by now; returns when what follows is queued.
    ///
    /// # Errors
    /// [`TrackerError`].
    pub async fn look(&self, cids: Vec<Cid>) -> Result<(), TrackerError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Look { cids, reply }).await.map_err(|_| TrackerError::Ended)?;
        answer.await.map_err(|_| TrackerError::Ended)?
    }

    /// The daemon, as it is seen here.
    #[must_use]
    pub fn daemon(&self) -> Daemon {
        self.daemon.borrow().daemon.clone()
    }

    /// Why what is queued waits: the daemon is away, or has no room.
    #[must_use]
    pub fn held_up(&self) -> Option<String> {
        let view = self.daemon.borrow();
        match &view.daemon {
            Daemon::Away { error, .. } => Some(format!("the IPFS daemon does not answer: {error}")),
            Daemon::Up(_) | Daemon::Unknown => view.deferred.clone(),
        }
    }

    fn info(&self, cid: Cid, pin: Option<&Pin>, row: Option<&Row>) -> PinInfo {
        self.shown.info(cid, pin, row, &self.daemon.borrow(), task::wall())
    }

    async fn recover_some(&self, cids: Vec<Cid>) -> Result<Vec<(Cid, Row)>, TrackerError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Recover { cids, reply }).await.map_err(|_| TrackerError::Ended)?;
        answer.await.map_err(|_| TrackerError::Ended)?
    }

    async fn recover_page(&self, after: Option<Vec<u8>>) -> Result<(Vec<PinInfo>, Option<Vec<u8>>), TrackerError> {
        let (rows, next) = self.ledger.unsettled(after.as_deref(), RECOVER_MAX)?;
        let failed = |status| matches!(status, Status::PinError | Status::UnpinError | Status::UnexpectedlyUnpinned);
        let cids = rows.into_iter().filter(|(_, row)| failed(row.status)).map(|(cid, _)| cid).collect();
        let mut infos = Vec::new();
        for (cid, row) in self.recover_some(cids).await? {
            infos.push(self.info(cid, self.wishes.pin(&cid)?.as_ref(), Some(&row)));
        }
        Ok((infos, next))
    }

    fn page(&self, filter: StatusFilter, place: Place) -> Result<(Vec<PinInfo>, Place), TrackerError> {
        match place {
            Place::Pins(None) if self.is_empty(filter)? => Ok((Vec::new(), Place::End)),
            Place::Pins(after) => self.page_of_pins(filter, after.as_deref()),
            Place::Going(after) => self.page_of_going(filter, after.as_deref()),
            Place::End => Ok((Vec::new(), Place::End)),
        }
    }

    /// Returns whether no row stands where `filter` looks, and no pin without a row would.
    fn is_empty(&self, filter: StatusFilter) -> Result<bool, TrackerError> {
        let without_row = [Status::PinQueued, Status::Remote, Status::Sharded];
        if filter == StatusFilter::ALL || without_row.into_iter().any(|status| filter.matches(status)) {
            return Ok(false);
        }
        let counts = self.ledger.counts()?;
        Ok(Status::ALL.into_iter().all(|status| status.bit() & filter.0 == 0 || counts.of(status) == 0))
    }

    fn page_of_pins(&self, filter: StatusFilter, after: Option<&[u8]>) -> Result<(Vec<PinInfo>, Place), TrackerError> {
        let (pins, next) = self.wishes.page(after, PAGE)?;
        let cids: Vec<Cid> = pins.iter().map(|pin| pin.cid).collect();
        let rows = self.ledger.get_many(&cids)?;
        let infos = pins.iter().zip(&rows).map(|(pin, row)| self.info(pin.cid, Some(pin), row.as_ref()));
        let infos = infos.filter(|info| filter.matches(info.short.status)).collect();
        let asks_for_going = filter != StatusFilter::ALL
            && [Status::UnpinQueued, Status::Unpinning, Status::UnpinError].into_iter().any(|s| filter.matches(s));
        let end = if asks_for_going { Place::Going(None) } else { Place::End };
        Ok((infos, next.map_or(end, |next| Place::Pins(Some(next)))))
    }

    fn page_of_going(&self, filter: StatusFilter, after: Option<&[u8]>) -> Result<(Vec<PinInfo>, Place), TrackerError> {
        let (rows, next) = self.ledger.unsettled(after, PAGE)?;
        let mut infos = Vec::new();
        for (cid, row) in rows.iter().filter(|(_, row)| is_unpin(row.status) && filter.matches(row.status)) {
            if self.wishes.pin(cid)?.is_none() {
                infos.push(self.info(*cid, None, Some(row)));
            }
        }
        Ok((infos, next.map_or(Place::End, |next| Place::Going(Some(next)))))
    }
}

/// Where a list stands.
enum Place {
    /// After this key of the pinset.
    Pins(Option<Vec<u8>>),
    /// After this key of what is not settled.
    Going(Option<Vec<u8>>),
    /// At its end.
    End,
}
