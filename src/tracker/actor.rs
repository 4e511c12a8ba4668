//! The loop around the queue: it waits for many things, and never for the daemon.
mod clock;
mod health;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::clock::Clock;
use self::health::Health;
use super::args::{Args, Command, TrackerError};
use super::book::Book;
use super::core::{Effect, Kind, Limits, Load, Next, Outcome, Queue};
use super::daemon::{Room, View};
use super::feed::{Feed, Step};
use super::jobs::{Call, Jobs, Told};
use super::sweep::{self, Found, Sweep};
use super::wishes::{Wanted, Wishes};
use crate::ipfs::Connector;
use crate::model::{Cid, Happening, MaxDepth, Pin, TrackerStatus, UnixMillis};
use crate::store::StoreError;
use crate::store::ledger::{Due, Row};
use crate::task::{self, Fatal};

/// Pins that wait for their first block: each is one request to the daemon.
const PROBES_MAX: usize = 256;
/// Unpins at one time: the daemon does one after the other anyway.
const UNPINS_MAX: usize = 4;
/// CIDs that wait in memory, about 200 bytes each; the rest waits in the ledger.
const WINDOW_MAX: usize = 10_000;
/// What jobs told and nobody could take up, because the ledger cannot be read: then jobs wait.
const UNHEARD_MAX: usize = 1_000;
/// How long to wait after ledger or pinset failed, and after a sweep broke off.
const PAUSE: Duration = Duration::from_secs(1);
const SWEEP_AGAIN: Duration = Duration::from_mins(1);

/// The state of the loop.
pub(super) struct Actor {
    ipfs: Arc<dyn Connector>,
    wishes: Arc<dyn Wishes>,
    wanted: Wanted,
    recover_interval: Duration,
    commands: mpsc::Receiver<Command>,
    changed: watch::Receiver<u64>,
    clock: Clock,
    queue: Queue,
    book: Book,
    jobs: Jobs,
    feed: Feed,
    /// Whether the feed may have something.
    hungry: bool,
    health: Health,
    sweep: Option<Sweep>,
    sweep_at: UnixMillis,
    generation: u32,
    /// When a row of the ledger becomes due.
    due_at: Option<UnixMillis>,
    /// Nothing is started or read before, because ledger or pinset failed.
    paused_until: UnixMillis,
    /// What jobs told and nobody heard yet.
    unheard: VecDeque<Told>,
    /// What waits and what runs, for whoever asks.
    load: watch::Sender<Load>,
    /// Rung when events are on disk.
    news: watch::Sender<()>,
    /// Whether a walk over the whole pinset is news: not the first one of a new ledger.
    walk_is_news: bool,
    /// The ledger's due rows are all known here, as far as they are committed.
    loaded: bool,
}

impl Actor {
    /// An actor that takes up what the last process left.
    pub fn new(
        args: Args,
        commands: mpsc::Receiver<Command>,
        daemon: watch::Sender<View>,
        (news, load): (watch::Sender<()>, watch::Sender<Load>),
    ) -> Result<Self, StoreError> {
        let clock = Clock::start();
        let limits = Limits {
            transfers: args.concurrent_pins.get(),
            probes: PROBES_MAX,
            unpins: UNPINS_MAX,
            window: WINDOW_MAX,
        };
        let queued_max = args.max_queue.map(|max| max.get() as u64);
        let book = Book::new(args.ledger.clone(), queued_max, args.share.clone(), clock.now())?;
        let mut queue = Queue::new(limits);
        queue.set_full(book.is_queue_full());
        Ok(Self {
            walk_is_news: args.ledger.cursor()?.is_some(),
            news,
            load,
            feed: Feed::new(args.ledger.cursor()?, &*args.wishes),
            generation: args.ledger.generation()?,
            changed: args.wishes.changed(),
            jobs: Jobs::new(args.ipfs.clone(), args.others, args.share.clone()),
            health: Health::new(args.ipfs.clone(), args.disk_high_water, daemon, clock.now()),
            book,
            ipfs: args.ipfs,
            wishes: args.wishes,
            wanted: Wanted { own: args.own, share: args.share },
            recover_interval: args.recover_interval,
            commands,
            clock,
            queue,
            hungry: true,
            sweep: None,
            sweep_at: clock.now(),
            due_at: None,
            paused_until: clock.now(),
            unheard: VecDeque::new(),
            loaded: false,
        })
    }

    /// Works until it is stopped.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Fatal> {
        loop {
            self.schedule();
            let (wake, busy, room, clock) = (self.wake(), self.is_busy(), self.book.has_room(), self.clock);
            tokio::select! { biased;
                () = stop.cancelled() => break,
                committed = self.book.committed(|| clock.now()) => self.committed(committed),
                Some(command) = self.commands.recv() => self.handle(command),
                answer = self.health.answer() => self.health.answered(answer, clock.now()),
                told = self.jobs.next(), if self.unheard.len() < UNHEARD_MAX => self.unheard.push_back(told),
                Ok(()) = self.changed.changed() => self.hungry = true,
                found = next_found(&mut self.sweep, room) => self.found(found),
                () = tokio::task::yield_now(), if busy => self.work(),
                () = task::sleep_until(wake) => (),
            }
        }
        self.jobs.shutdown().await;
        self.close().await;
        Ok(())
    }

    /// Writes what is noted: the next start then has less to do again.
    async fn close(&mut self) {
        let clock = self.clock;
        while !self.book.is_clean() {
            self.book.hurry();
            self.book.flush(clock.now());
            if let Err(error) = self.book.committed(|| clock.now()).await {
                tracing::warn!(%error, "the last statuses are not written: they are found anew at the next start");
                return;
            }
        }
    }

    /// Does all that can be done without waiting.
    fn schedule(&mut self) {
        let now = self.clock.now();
        self.health.ask(now);
        if now >= self.paused_until {
            self.hear();
            self.load(now);
            while self.health.is_good() && now >= self.paused_until {
                match self.queue.next(self.health.room(now), now) {
                    Some(Next::Start(cid, kind)) => self.start(cid, kind, now),
                    Some(Next::Cancel(cid)) => self.apply(vec![Effect::Cancel(cid)], now),
                    None => break,
                }
            }
            if self.sweep.is_none() && self.health.is_good() && now >= self.sweep_at {
                self.generation = self.generation.wrapping_add(1);
                self.sweep = Some(Sweep::begin(self.ipfs.clone(), self.generation, now));
            }
        }
        if self.book.flush(now) {
            self.jobs.arm();
        }
        self.load.send_replace(self.queue.load_now());
    }

    /// Fills the window over the ledger's due rows.
    fn load(&mut self, now: UnixMillis) {
        if self.due_at.is_some_and(|at| at <= now) {
            self.due_at = None;
            self.loaded = false;
            self.queue.came_due();
        }
        if self.loaded || !self.queue.wants_load() {
            return;
        }
        let max = self.queue.load_max();
        match self.due_rows(now, max) {
            Ok((rows, read)) => {
                // A head of rows that are settled in the next commit hides what is behind them until then.
                self.loaded = rows.is_empty();
                self.queue.load(rows, read < max);
            }
            Err(error) => self.pause(&error),
        }
    }

    fn due_rows(&mut self, now: UnixMillis, max: usize) -> Result<(Vec<(Cid, Row)>, usize), StoreError> {
        let committed = self.book.ledger().due(now, max)?;
        self.due_at = self.book.ledger().next_due(now)?;
        let read = committed.len();
        let mut rows = Vec::new();
        for (cid, _) in committed {
            let row = self.book.row(&cid)?;
            rows.extend(row.filter(|row| matches!(row.due, Due::At(at) if at <= now)).map(|row| (cid, row)));
        }
        Ok((rows, read))
    }

    fn start(&mut self, cid: Cid, kind: Kind, now: UnixMillis) {
        let (row, pin) = match self.look(&cid) {
            Ok(found) => found,
            Err(error) => {
                self.queue.put_back(cid, kind);
                return self.pause(&error);
            }
        };
        let effects = match (kind, pin, row) {
            (Kind::Pin, Ok(pin), Some(row)) => {
                let direct = pin.max_depth == MaxDepth::Direct;
                self.jobs.prepare(cid, Call::pin(pin, row.bytes));
                self.queue.start(cid, kind, Row { direct, ..row }, now)
            }
            (Kind::Unpin, Err(call), Some(row)) => {
                self.jobs.prepare(cid, call);
                self.queue.start(cid, kind, row, now)
            }
            (_, Ok(pin), row) => {
                self.queue.drop_start(&cid);
                self.queue.want(cid, pin.max_depth == MaxDepth::Direct, true, row, now)
            }
            (_, Err(_), row) => {
                self.queue.drop_start(&cid);
                self.queue.forget(cid, row, now)
            }
        };
        self.book.hurry();
        self.apply(effects, now);
    }

    /// The row of a CID, and its pin if the daemon is to hold it; if it is not, how the daemon lets go of it.
    fn look(&self, cid: &Cid) -> Result<(Option<Row>, Result<Pin, Call>), TrackerError> {
        let row = self.book.row(cid)?;
        let wish = match self.wishes.pin(cid)? {
            Some(pin) if self.wanted.is_wanted(&pin, row.as_ref()) => Ok(pin),
            Some(pin) if pin.is_remote(&self.wanted.own) => Err(Call::leave(&pin)),
            Some(_) | None => Err(Call::Unpin),
        };
        Ok((row, wish))
    }

    fn apply(&mut self, effects: Vec<Effect>, now: UnixMillis) {
        for effect in effects {
            if self.book.note(&effect, now) {
                self.queue.set_full(self.book.is_queue_full());
                continue;
            }
            if let Effect::Cancel(cid) = effect
                && self.jobs.cancel(&cid)
            {
                self.unheard.push_back(Told::Ended(cid, Outcome::Cancelled));
            }
        }
    }

    fn pause(&mut self, error: &dyn std::error::Error) {
        tracing::warn!(%error, "the tracker waits");
        self.paused_until = self.clock.now().plus(PAUSE);
    }

    fn committed(&mut self, result: Result<Option<u64>, StoreError>) {
        self.loaded = false;
        match result {
            Ok(cursor) => {
                self.news.send_replace(());
                self.jobs.launch();
                if let Some(cursor) = cursor {
                    self.wishes.worked_off(cursor);
                }
                match self.book.ledger().next_due(self.clock.now()) {
                    Ok(due_at) => self.due_at = due_at,
                    Err(error) => self.pause(&error),
                }
            }
            Err(error) => {
                self.jobs.disarm();
                tracing::warn!(%error, "statuses are not written yet");
            }
        }
    }

    fn handle(&mut self, command: Command) {
        self.health.look_again(self.clock.now());
        match command {
            Command::Recover { cids, reply } => {
                let queued = self.recover(cids);
                // Who asked may be gone: the work is done all the same.
                let _ = reply.send(queued);
            }
            Command::Sweep => self.sweep_at = self.clock.now(),
            Command::Look { cids, reply } => {
                let now = self.clock.now();
                let looked = cids.iter().try_for_each(|cid| self.wish(cid, false, now).map(drop));
                let _ = reply.send(looked);
            }
        }
    }

    fn recover(&mut self, cids: Vec<Cid>) -> Result<Vec<(Cid, Row)>, TrackerError> {
        let now = self.clock.now();
        let mut queued = Vec::new();
        for cid in cids {
            let (row, pin) = self.look(&cid)?;
            let effects = match (row, pin) {
                (None, Ok(pin)) => self.queue.want(cid, pin.max_depth == MaxDepth::Direct, true, None, now),
                (row, _) => self.queue.recover(cid, row, now),
            };
            self.apply(effects.clone(), now);
            queued.extend(effects.into_iter().filter_map(|effect| match effect {
                Effect::Put(cid, row) => Some((cid, row)),
                Effect::Remove(_) | Effect::Cancel(_) => None,
            }));
        }
        Ok(queued)
    }

    /// Hears what jobs told, which waits while the ledger cannot be read.
    fn hear(&mut self) {
        while let Some(told) = self.unheard.pop_front() {
            let (Told::Progress(cid, _) | Told::Ended(cid, _)) = &told;
            match self.book.row(cid) {
                Ok(row) => self.heard(told, row),
                Err(error) => {
                    self.unheard.push_front(told);
                    return self.pause(&error);
                }
            }
        }
    }

    fn heard(&mut self, told: Told, row: Option<Row>) {
        let now = self.clock.now();
        let is_pin = row.as_ref().is_some_and(|row| row.status == TrackerStatus::Pinning);
        self.health.heard(&told, is_pin, now);
        let (ended, effects) = match told {
            Told::Progress(cid, progress) => (None, self.queue.progress(cid, progress, row, now)),
            Told::Ended(cid, outcome) => (Some(cid), self.queue.done(cid, outcome, row, now)),
        };
        self.apply(effects, now);
        // Not before what is held is counted: no other transfer may take its room meanwhile.
        self.jobs.close(ended.as_ref());
    }

    /// Whether there are wishes to read or rows to judge.
    fn is_busy(&self) -> bool {
        // Marks that are not committed are not in the pages that are judged.
        let judging = self.sweep.as_ref().is_some_and(|sweep| sweep.judging) && !self.book.has_marks();
        (self.hungry || judging) && self.book.has_room() && self.clock.now() >= self.paused_until
    }

    fn work(&mut self) {
        let worked = if self.hungry { self.read_wishes() } else { self.judge() };
        if let Err(error) = worked {
            self.pause(&error);
        }
    }

    fn read_wishes(&mut self) -> Result<(), TrackerError> {
        let now = self.clock.now();
        let (step, mut feed) = self.feed.step(&*self.wishes)?;
        match step {
            Step::Nothing => self.hungry = false,
            Step::Changed(cids, commit) => {
                let (place, mut changes) = (self.book.events(), Vec::with_capacity(cids.len()));
                for cid in cids {
                    let is_wished = self.wish(&cid, true, now)?;
                    changes.push(if is_wished { Happening::Wished(cid) } else { Happening::Dropped(cid) });
                }
                // Only now: a step that failed is taken again.
                self.book.happened(place, changes, now);
                self.book.move_cursor(commit);
            }
            Step::Pins(pins) => {
                for pin in pins {
                    self.wish(&pin.cid, false, now)?;
                }
            }
            Step::Rows(after, limit) => {
                let rows = self.book.ledger().page(after.as_ref(), limit)?;
                // What is wanted no more may have a row that is not on disk yet, which no page has.
                let unwritten = if after.is_none() { self.book.unwritten() } else { Vec::new() };
                for cid in rows.iter().map(|(cid, _)| cid).chain(&unwritten) {
                    self.wish(cid, false, now)?;
                }
                let (next, walked) = feed.looked_at(rows.last().map(|(cid, _)| *cid));
                feed = next;
                if let Some(commit) = walked {
                    let is_news = std::mem::replace(&mut self.walk_is_news, true);
                    self.book.happened(self.book.events(), is_news.then_some(Happening::Everything), now);
                    self.book.move_cursor(commit);
                }
            }
        }
        self.feed = feed;
        Ok(())
    }

    /// Takes up what is wished of one CID; `again` when it is news. Returns whether it is in the pinset.
    fn wish(&mut self, cid: &Cid, again: bool, now: UnixMillis) -> Result<bool, TrackerError> {
        let (pin, row) = (self.wishes.pin(cid)?, self.book.row(cid)?);
        let is_wished = pin.is_some();
        let effects = match pin.filter(|pin| self.wanted.is_wanted(pin, row.as_ref())) {
            Some(pin) => self.queue.want(*cid, pin.max_depth == MaxDepth::Direct, again, row, now),
            None => self.queue.forget(*cid, row, now),
        };
        self.apply(effects, now);
        Ok(is_wished)
    }

    fn found(&mut self, found: Found) {
        let now = self.clock.now();
        match found {
            Found::Pins(pins) => self.book.mark(pins, self.generation),
            Found::Complete => {
                if let Some(sweep) = &mut self.sweep {
                    sweep.judging = true;
                }
            }
            Found::Broken(error) => {
                tracing::warn!(%error, "the daemon's pins could not be listed: another try follows");
                (self.sweep, self.sweep_at) = (None, now.plus(SWEEP_AGAIN));
            }
        }
    }

    /// Looks at a page of rows: what is pinned since before the sweep, and was not found by it, is not pinned.
    fn judge(&mut self) -> Result<(), TrackerError> {
        let now = self.clock.now();
        let Some(sweep) = &mut self.sweep else { return Ok(()) };
        let rows = self.book.ledger().page(sweep.after.as_ref(), sweep::PAGE)?;
        let (generation, began) = (sweep.generation, sweep.began);
        if let Some((last, _)) = rows.last() {
            sweep.after = Some(*last);
        } else {
            (self.sweep, self.sweep_at) = (None, now.plus(self.recover_interval));
        }
        for (cid, _) in rows {
            // A row that changed since the page was committed is younger than the sweep.
            let Some(row) = self.book.row(&cid)? else { continue };
            if row.generation != generation && row.since < began {
                let effects = self.queue.missing(cid, &row, now);
                self.apply(effects, now);
            }
        }
        Ok(())
    }

    /// When the loop has something to do though nothing happens.
    fn wake(&self) -> Option<Instant> {
        let now = self.clock.now();
        let starts = self.health.is_good();
        let held_up = [
            self.due_at,
            self.queue.next_wake().filter(|_| starts && self.health.room(now) == Room::Enough),
            self.health.more_at(now).filter(|_| starts),
            (starts && self.sweep.is_none()).then_some(self.sweep_at),
            (!self.unheard.is_empty()).then_some(now),
            (self.paused_until > now).then_some(now),
        ];
        let held_up = held_up.into_iter().flatten().map(|moment| moment.max(self.paused_until));
        let moments = held_up.chain(self.health.ask_at()).chain(self.book.flush_at());
        moments.min().map(|moment| self.clock.instant(moment))
    }
}

/// What a sweep finds next; for ever without one, or without room for it.
async fn next_found(sweep: &mut Option<Sweep>, room: bool) -> Found {
    match sweep {
        Some(sweep) if room => sweep.next().await,
        Some(_) | None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
