//! The one thread that writes the pinset: gathers inputs, runs a turn, commits, answers, lets the sends go.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use std::{io, thread};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{Span, info_span};

use super::batch::{Batch, Command, weight};
use super::failure::Failure;
use super::handle::Pinset;
use super::shared::{Shared, Slot, State};
use super::survey::{PARTS_MAX, Surveying};
use super::turn::{Committed, Exit, Outbound, commit, last_news};
use crate::cluster::Error;
use crate::crdt::{self, Engine, Input, Now, Rows, RowsError};
use crate::model::{PeerId, Trust, UnixMillis};
use crate::observe::{PinsetMeters, TRACE};
use crate::store::{PinsetDb, StoreError};
use crate::task::{self, Fatal};

/// Inputs that wait for a turn at most: more than one turn takes, so that the next one fills while this one commits.
const INPUTS_MAX: usize = 16_384;

/// Sendings that wait for the swarm at most; what finds it full is dropped, and sync repairs it.
const OUTBOUND_MAX: usize = 1_024;

/// Bytes that stay free on the disk whatever is written: redb writes new pages before it frees old ones.
const FREE_BYTES_MIN: u64 = 64 << 20;

/// Shortest and longest wait before the store is opened again after an error.
const REOPEN_WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Shortest and longest wait for a tick that an engine asks for: neither a busy loop, nor lost to a wall clock set back.
const TICK_WAIT: (Duration, Duration) = (Duration::from_millis(1), Duration::from_mins(1));

/// Opens an engine on its rows.
pub type OpenEngine = Box<dyn FnMut(&mut dyn Rows) -> Result<Box<dyn Engine>, RowsError> + Send>;

/// What a pinset is made of.
pub struct Args {
    /// Opens the store, at start and after each error.
    pub open_store: Box<dyn FnMut() -> Result<PinsetDb, StoreError> + Send>,
    /// Opens the engine on its rows, likewise.
    pub open_engine: OpenEngine,
    /// Reads the engine's rows.
    pub reader: Arc<dyn crdt::Pinset>,
    /// Bytes free on the disk of the store; an error is no reason not to write.
    pub free_space: Box<dyn Fn() -> io::Result<u64> + Send>,
    /// Times turns and writes.
    pub meters: PinsetMeters,
    /// Called between each commit that somebody waits for and its answers and news: where tests pull the plug.
    pub after_commit: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// The writer thread; it ends, and is waited for, with this.
#[derive(Debug)]
pub struct Writer {
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Opens store and engine, which may take as long as redb's check after a crash, and starts the thread.
///
/// # Errors
/// [`Failure`]: what the store or the engine says of its files.
pub fn spawn(args: Args) -> Result<(Pinset, mpsc::Receiver<Outbound>, Writer), Failure> {
    let (sender, commands) = mpsc::channel(INPUTS_MAX);
    let (outbound, exit) = mpsc::channel(OUTBOUND_MAX);
    let mut args = args;
    let Opened { db, engine, news } = open(&mut args)?;
    let shared = Arc::new(Shared::new(db, engine.as_ref(), news));
    let meters = args.meters.clone();
    let pinset = Pinset { commands: sender, shared: Arc::clone(&shared), reader: Arc::clone(&args.reader), meters };
    let actor = Actor::new(args, shared, engine, commands, Exit::new(outbound));
    let stop = CancellationToken::new();
    let (end, ended) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(Failure::Thread)?;
    let body = {
        let stop = stop.clone();
        move || {
            let _end = end;
            runtime.block_on(actor.run(stop));
        }
    };
    let thread = thread::Builder::new().name("pinset".into()).spawn(body).map_err(Failure::Thread)?;
    Ok((pinset, exit, Writer { stop, ended, thread: Some(thread) }))
}

impl Writer {
    /// Commits the writes that wait, closes the store, and returns when the thread has ended.
    ///
    /// # Errors
    /// That the thread panicked.
    pub async fn stop(mut self) -> Result<(), Fatal> {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits until the thread ends by itself.
    ///
    /// # Errors
    /// As [`Writer::stop`].
    pub async fn ended(&mut self) -> Result<(), Fatal> {
        // It is told once; who asks again hears the same at once.
        if self.thread.is_some() {
            let _ = (&mut self.ended).await;
        }
        self.join()
    }

    fn join(&mut self) -> Result<(), Fatal> {
        let ended = self.thread.take().map_or(Ok(()), thread::JoinHandle::join);
        ended.map_err(|_| "the thread that writes the pinset panicked".into())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Err(error) = self.join() {
            tracing::error!("{error}");
        }
    }
}

struct Opened {
    db: PinsetDb,
    engine: Box<dyn Engine>,
    news: u64,
}

fn open(args: &mut Args) -> Result<Opened, Failure> {
    let db = (args.open_store)()?;
    let engine = db.write::<_, Failure>(|rows| Ok((args.open_engine)(rows)?))?;
    let news = db.read::<_, RowsError>(|rows| last_news(rows))?;
    Ok(Opened { db, engine, news })
}

struct Actor {
    args: Args,
    shared: Arc<Shared>,
    /// Absent while the store is closed after an error.
    engine: Option<Box<dyn Engine>>,
    commands: mpsc::Receiver<Command>,
    exit: Exit,
    start: Instant,
    /// When the next tick is due, or the next opening.
    due: Option<Instant>,
    wait: Duration,
    opening: u64,
    /// What a new engine has to hear first.
    trust: Option<Trust>,
    peers: BTreeSet<PeerId>,
    /// Inputs of the next turn that nobody sent.
    own: Vec<Input>,
    surveying: Option<Surveying>,
    trimmed: u64,
    /// Whether the disk had too little space when something was last to be written.
    is_full: bool,
}

impl Actor {
    fn new(
        args: Args,
        shared: Arc<Shared>,
        engine: Box<dyn Engine>,
        commands: mpsc::Receiver<Command>,
        exit: Exit,
    ) -> Self {
        let start = task::now();
        Self {
            args,
            shared,
            engine: Some(engine),
            commands,
            exit,
            start,
            due: Some(start),
            wait: Duration::ZERO,
            opening: 0,
            trust: None,
            peers: BTreeSet::new(),
            own: Vec::new(),
            surveying: None,
            trimmed: 0,
            is_full: false,
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        loop {
            let first = tokio::select! { biased;
                () = stop.cancelled() => break,
                command = self.commands.recv() => match command {
                    Some(command) => Some(command),
                    None => break,
                },
                part = Surveying::next(&mut self.surveying) => {
                    self.own.push(Input::Found(part));
                    None
                }
                () = task::sleep_until(self.due) => None,
            };
            self.step(first);
        }
        drop(self.surveying.take());
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            self.step(Some(command));
        }
        drop(self.engine.take());
        self.shared.set_slot(Slot::Closed);
    }

    /// Gathers what waits and runs one turn on it; an idle peer's single write goes at once.
    fn step(&mut self, first: Option<Command>) {
        let mut batch = Batch::default();
        let since = task::now();
        let mut next = first;
        while let Some(command) = next {
            self.add(command, &mut batch);
            next = if batch.is_full(since, task::now()) { None } else { self.commands.try_recv().ok() };
        }
        // Callers come first in the loop; a survey under way is not to wait until there are none.
        let parts = std::iter::from_fn(|| Surveying::ready(&mut self.surveying));
        self.own.extend(parts.take(PARTS_MAX));
        if self.engine.is_none() && self.due.is_none_or(|due| due <= task::now()) {
            self.reopen();
        }
        if self.engine.is_some() {
            self.turn(batch);
        } else {
            self.refuse(batch);
        }
    }

    fn add(&mut self, command: Command, batch: &mut Batch) {
        match command {
            Command::Write { op, seen, reply, span } => batch.write(op, seen, reply, span),
            Command::Take { input } => {
                self.shared.release(weight(&input));
                self.note(&input);
                batch.take(input);
            }
            Command::Trust(trust) => {
                self.trust = Some(trust.clone());
                self.own.push(Input::Tick);
                self.trust(trust);
            }
            Command::ReadFailed { opening, error } => {
                if opening == self.opening && self.engine.is_some() {
                    self.fail(&error);
                }
            }
        }
    }

    fn trust(&mut self, trust: Trust) {
        let Some(engine) = &mut self.engine else { return };
        let told = Failure::caught(|| {
            engine.trust(trust);
            Ok(())
        });
        if let Err(failure) = told {
            self.fail(&failure.to_string());
        }
    }

    /// Remembers what an engine that is opened later could not know.
    fn note(&mut self, input: &Input) {
        match input {
            Input::PeerSeen(peer) => drop(self.peers.insert(*peer)),
            Input::PeerGone(peer) => drop(self.peers.remove(peer)),
            Input::Ended { peer, talk, .. } => self.exit.ended(*peer, *talk),
            Input::Write { .. } | Input::Checked { .. } | Input::Frame { .. } | Input::Found(_) | Input::Tick => (),
        }
    }

    fn turn(&mut self, mut batch: Batch) {
        if self.due.is_some_and(|due| due <= task::now()) {
            self.own.push(Input::Tick);
        }
        for input in self.own.drain(..) {
            batch.take(input);
        }
        self.exit.count("pinset_inputs_refused", self.shared.refused.swap(0, Ordering::Relaxed));
        let needed = FREE_BYTES_MIN + 2 * batch.bytes;
        let free = if batch.bytes == 0 { u64::MAX } else { (self.args.free_space)().unwrap_or(u64::MAX) };
        if batch.bytes > 0 {
            self.tell_space(free, needed);
        }
        if free < needed {
            batch.refuse(|| Error::NoSpace { free, needed });
            self.exit.count("pinset_inputs_without_space", batch.only_signals());
        }
        if batch.inputs.is_empty() {
            return;
        }
        let inputs = std::mem::take(&mut batch.inputs);
        let turn = |parent| info_span!(target: TRACE, parent: &parent, "pinset.turn", inputs = inputs.len());
        let turns: Vec<Span> = std::mem::take(&mut batch.spans).into_iter().map(turn).collect();
        let done = self.commit(inputs, free >= needed);
        drop(turns);
        match done {
            Ok(done) => self.let_go(batch, done),
            Err(failure) => {
                // First the state, then the answers: who was told of an error does not find the lost turn's store.
                self.fail(&failure.to_string());
                batch.refuse(|| failure.answer(free, needed));
            }
        }
    }

    /// Says once that the disk is full, and once that it is not any more.
    fn tell_space(&mut self, free: u64, needed: u64) {
        let was_full = std::mem::replace(&mut self.is_full, free < needed);
        if self.is_full && !was_full {
            tracing::warn!(free, needed, "no space left for the pinset: nothing is written until there is space");
        } else if was_full && !self.is_full {
            tracing::info!(free, "there is space for the pinset again");
        }
    }

    fn commit(&mut self, inputs: Vec<Input>, trim: bool) -> Result<Committed, Failure> {
        let worked_off = self.shared.worked_off.load(Ordering::Relaxed);
        let (began, count) = (task::now(), inputs.len());
        let now = Now { wall: task::wall(), mono: millis(began.duration_since(self.start)) };
        let engine = self.engine.as_mut().expect("a turn has an engine");
        let done = Failure::caught(|| {
            let slot = self.shared.slot();
            let Slot::Open { db, .. } = &*slot else { unreachable!("an engine has its store") };
            let off = (trim && worked_off > self.trimmed).then_some(worked_off);
            let mut done = commit(db, engine.as_mut(), inputs, now, off)?;
            // Nobody else writes: these are the rows of that commit.
            let survey = done.turn.survey.take().map(|survey| Surveying::begin(survey, db.freeze()?)).transpose()?;
            let awaited = !done.turn.answers.is_empty() || done.turn.news > 0;
            if let Some(hook) = self.args.after_commit.as_ref().filter(|_| awaited) {
                hook();
            }
            Ok((done, survey, engine.summary()))
        });
        let (done, survey, summary) = done?;
        self.args.meters.turned(count, task::now().duration_since(began));
        if survey.is_some() {
            self.surveying = survey;
        }
        if trim && done.trimmed {
            self.trimmed = worked_off;
        }
        self.shared.tell_summary(summary);
        Ok(done)
    }

    /// Wants a tick soon, because work is left that no input brings.
    fn soon(&mut self) {
        let soon = task::now() + TICK_WAIT.0;
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }

    /// What waits for a commit: first the callers, then the tracker, then other peers.
    fn let_go(&mut self, mut batch: Batch, done: Committed) {
        let Committed { turn, news, trimmed } = done;
        self.wait = Duration::ZERO;
        self.due = turn.tick_at.map(due);
        if !trimmed {
            self.soon();
        }
        for (ticket, answer) in turn.answers {
            if let Some(reply) = batch.replies.remove(&ticket) {
                let _ = reply.send(answer.map_err(write_error));
            }
        }
        if news > 0 {
            self.shared.tell_news(news);
        }
        for (name, n) in turn.counts {
            self.exit.count(name, n);
        }
        let broken = self.exit.send(turn.sends, turn.notices);
        if !broken.is_empty() {
            let ended = |(peer, talk)| Input::Ended { peer, talk, complete: false };
            self.own.extend(broken.into_iter().map(ended));
            self.soon();
        }
    }

    /// Closes engine and store; they are opened again after a wait that doubles from failure to failure.
    fn fail(&mut self, error: &str) {
        tracing::error!("the pinset failed and is opened again: {error}");
        let engine = self.engine.take();
        let dropped = Failure::caught(|| {
            drop(engine);
            Ok(())
        });
        if let Err(again) = dropped {
            tracing::error!("while the engine was dropped: {again}");
        }
        self.exit.count("pinset_failures", 1);
        self.exit.close_all();
        drop(self.surveying.take());
        self.wait_to_reopen(error);
    }

    fn wait_to_reopen(&mut self, error: &str) {
        self.wait = (self.wait * 2).clamp(REOPEN_WAIT.0, REOPEN_WAIT.1);
        self.due = Some(task::now() + self.wait);
        let closed = Failure::caught(|| {
            self.shared.set_slot(Slot::Reopening(error.to_owned()));
            Ok(())
        });
        if let Err(again) = closed {
            tracing::error!("while the store was closed: {again}");
            self.shared.state.send_replace(State::Reopening { error: error.to_owned() });
        }
    }

    fn reopen(&mut self) {
        let opened = Failure::caught(|| {
            let mut opened = open(&mut self.args)?;
            if let Some(trust) = &self.trust {
                opened.engine.trust(trust.clone());
            }
            let summary = opened.engine.summary();
            self.shared.lend(opened.engine.as_ref());
            Ok((opened, summary))
        });
        match opened {
            Ok((Opened { db, engine, news }, summary)) => {
                tracing::info!("the pinset is open again");
                self.opening += 1;
                self.engine = Some(engine);
                self.due = Some(task::now());
                self.own = self.peers.iter().copied().map(Input::PeerSeen).collect();
                self.shared.tell_summary(summary);
                self.shared.set_slot(Slot::Open { db, opening: self.opening });
                self.shared.tell_news(news);
            }
            Err(failure) => {
                tracing::error!("the pinset does not open: {failure}");
                self.wait_to_reopen(&failure.to_string());
            }
        }
    }

    fn refuse(&mut self, mut batch: Batch) {
        let state = self.shared.state.borrow().clone();
        batch.refuse(|| match &state {
            State::Reopening { error } => Error::Reopening(error.clone()),
            State::Open | State::Closed => Error::Shutdown,
        });
        self.exit.count("pinset_inputs_refused", batch.only_signals());
    }
}

fn due(at: UnixMillis) -> Instant {
    let wait = u64::try_from(at.0.saturating_sub(task::wall().0)).map_or(Duration::ZERO, Duration::from_millis);
    task::now() + wait.clamp(TICK_WAIT.0, TICK_WAIT.1)
}

fn millis(since: Duration) -> u64 {
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Nothing to unpin has a status code of its own.
fn write_error(error: crdt::WriteError) -> Error {
    if error == crdt::WriteError::NotFound { Error::NotFound } else { Error::Write(error) }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
