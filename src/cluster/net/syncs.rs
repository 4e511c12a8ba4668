//! The shell of syncs and snapshots: frames between the engine and a peer's stream, both ways.
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::checks::Checks;
use super::counts::Counts;
use super::pace::Pace;
use crate::cluster::pinset::Pinset;
use crate::crdt::{Input, Sending, Session, Talk};
use crate::model::PeerId;
use crate::swarm::streams::{read_frame, write_frame};
use crate::swarm::{Stream, Swarm};
use crate::task::{Fatal, Task};
use std::sync::Arc;

/// Commands that wait for the actor.
const COMMANDS_MAX: usize = 1024;

/// Frames of ours that wait for a stream which we opened; the engine says a few a sync.
const FRAMES_MAX: usize = 64;

/// Syncs that peers asked us for at a time; a further stream is reset and comes again with a later heartbeat.
const ANSWERS_MAX: usize = 32;

/// How long the engine may take to see the last frame after the stream ended; without one the sync ended early.
const LAST_FRAME_MAX: Duration = Duration::from_secs(2);

/// A handle on the syncs.
#[derive(Clone)]
pub struct Syncs {
    commands: mpsc::Sender<Command>,
}

enum Command {
    Ask(Sending),
    Answer(PeerId, Talk, Stream),
}

/// What the actor needs.
pub struct Args {
    /// Who opens streams.
    pub swarm: Swarm,
    /// The engine's stream protocols, in the order of [`Talk::ALL`].
    pub protocols: [libp2p::StreamProtocol; 2],
    /// Who takes frames, and who answers them.
    pub pinset: Pinset,
    /// Who checks them.
    pub checks: Checks,
    /// Where faults are counted.
    pub counts: Arc<Counts>,
    /// How fast snapshots are lent.
    pub pace: Pace,
}

struct Actor {
    args: Arc<Args>,
    commands: mpsc::Receiver<Command>,
    asked: BTreeMap<Key, mpsc::Sender<Bytes>>,
    asks: JoinSet<Key>,
    answers: JoinSet<()>,
    answering: BTreeMap<Key, AbortHandle>,
}

/// One stream a peer and purpose.
type Key = (PeerId, Talk);

/// Starts the actor.
pub fn spawn(args: Args) -> (Syncs, Task) {
    let (sender, commands) = mpsc::channel(COMMANDS_MAX);
    let actor = Actor {
        args: Arc::new(args),
        commands,
        asked: BTreeMap::new(),
        asks: JoinSet::new(),
        answers: JoinSet::new(),
        answering: BTreeMap::new(),
    };
    (Syncs { commands: sender }, Task::spawn(|stop| actor.run(stop)))
}

impl Syncs {
    /// Takes a sending of the engine that belongs to a sync; a full queue drops it, and the sync ends by its silence.
    pub fn send(&self, sending: Sending) {
        if self.commands.try_send(Command::Ask(sending)).is_err() {
            tracing::warn!("a frame of a sync was dropped: too many wait");
        }
    }

    /// Takes a stream that `peer` opened to hear from us.
    pub fn answer(&self, peer: PeerId, talk: Talk, stream: Stream) {
        if self.commands.try_send(Command::Answer(peer, talk, stream)).is_err() {
            tracing::warn!(%peer, "a sync was refused: too many wait");
        }
    }
}

impl Actor {
    async fn run(mut self, stop: CancellationToken) -> Result<(), Fatal> {
        loop {
            tokio::select! { biased;
                () = stop.cancelled() => break,
                Some(ended) = self.asks.join_next(), if !self.asks.is_empty() => self.ended(ended),
                Some(ended) = self.answers.join_next(), if !self.answers.is_empty() => self.answered(&ended),
                command = self.commands.recv() => match command {
                    Some(Command::Ask(sending)) => self.ask(sending),
                    Some(Command::Answer(peer, talk, stream)) => self.answer((peer, talk), stream),
                    None => break,
                },
            }
        }
        self.asks.shutdown().await;
        self.answers.shutdown().await;
        Ok(())
    }

    fn ask(&mut self, sending: Sending) {
        match sending {
            Sending::Open { peer, talk, hello } => {
                let (frames, outgoing) = mpsc::channel(FRAMES_MAX);
                self.asked.insert((peer, talk), frames);
                self.asks.spawn(ask(self.args.clone(), (peer, talk), hello, outgoing));
            }
            Sending::Frame { peer, talk, bytes } => {
                if let Some(frames) = self.asked.get(&(peer, talk))
                    && frames.try_send(bytes).is_err()
                {
                    self.asked.remove(&(peer, talk));
                }
            }
            // The job sees its queue closed, and closes the stream.
            Sending::Close { peer, talk } => drop(self.asked.remove(&(peer, talk))),
            Sending::Gossip { .. } => (),
        }
    }

    /// Forgets a sync of ours that ended; one that was opened meanwhile has a queue which is still open.
    fn ended(&mut self, ended: Result<Key, JoinError>) {
        match ended {
            Ok(key) if self.asked.get(&key).is_some_and(mpsc::Sender::is_closed) => drop(self.asked.remove(&key)),
            Ok(_) => (),
            Err(error) => tracing::error!(%error, "a sync failed"),
        }
    }

    /// A panic of the engine's answering side ends this one answer, and is said.
    fn answered(&self, ended: &Result<(), JoinError>) {
        if let Err(error) = ended
            && error.is_panic()
        {
            self.args.counts.add("sync_answers_failed", 1);
            tracing::error!(%error, "answering a sync failed");
        }
    }

    /// Answers one sync a peer, its newest: who holds many open keeps nobody else from theirs.
    fn answer(&mut self, key: Key, stream: Stream) {
        self.answering.retain(|_, job| !job.is_finished());
        if let Some(older) = self.answering.remove(&key) {
            self.args.counts.add("syncs_replaced", 1);
            older.abort();
        } else if self.answering.len() >= ANSWERS_MAX {
            self.args.counts.add("syncs_refused", 1);
            return;
        }
        let job = self.answers.spawn(answer(self.args.clone(), key, stream));
        self.answering.insert(key, job);
    }
}

/// Asks `peer` until it or the engine ends the sync; the engine is told in any case.
async fn ask(args: Arc<Args>, key: Key, hello: Bytes, mut outgoing: mpsc::Receiver<Bytes>) -> Key {
    let (peer, talk) = key;
    let complete = match converse(&args, key, hello, &mut outgoing).await {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(%peer, %error, "a sync ended early");
            args.counts.add("syncs_failed", 1);
            false
        }
    };
    drop(outgoing);
    args.pinset.input(Input::Ended { peer, talk, complete }).await;
    key
}

async fn converse(args: &Args, key: Key, hello: Bytes, outgoing: &mut mpsc::Receiver<Bytes>) -> Result<(), Fatal> {
    let (peer, talk) = key;
    let (mut from, mut to) = args.swarm.open(peer, args.protocols[talk as usize].clone()).await?.split();
    let write = async {
        write_frame(&mut to, &hello).await?;
        // The queue is closed when the engine has heard enough.
        while let Some(frame) = outgoing.recv().await {
            write_frame(&mut to, &frame).await?;
        }
        Ok::<(), Fatal>(())
    };
    let read = async {
        while let Some(bytes) = read_frame(&mut from).await? {
            let frame = args.checks.frame(talk, bytes).await?;
            args.pinset.input(Input::Frame { peer, talk, frame }).await;
        }
        tokio::time::sleep(LAST_FRAME_MAX).await;
        Err("the stream ended before its last frame".into())
    };
    tokio::select! { biased;
        done = read => done,
        done = write => done,
    }
}

/// Answers what `peer` asks, a short read transaction a frame; the peer's reading sets the pace.
async fn answer(args: Arc<Args>, key: Key, stream: Stream) {
    if let Err(error) = serve(&args, key, stream).await {
        tracing::debug!(peer = %key.0, %error, "a sync that a peer asked for ended early");
        args.counts.add("sync_answers_failed", 1);
    }
}

async fn serve(args: &Args, (peer, talk): Key, mut stream: Stream) -> Result<(), Fatal> {
    let mut session = args.pinset.sessions().session(peer, talk);
    while !session.done() {
        let Some(frame) = read_frame(&mut stream).await? else { break };
        session.receive(&frame)?;
        loop {
            let frame;
            (session, frame) = next(args.pinset.clone(), session).await?;
            match frame {
                Some(bytes) => {
                    if talk == Talk::Snapshot {
                        args.pace.wait_for(bytes.len()).await;
                    }
                    write_frame(&mut stream, &bytes).await?;
                }
                None => break,
            }
        }
    }
    stream.close().await?;
    Ok(())
}

/// One frame a read transaction, at most 1 MiB and some milliseconds, where it delays nobody.
async fn next(pinset: Pinset, mut session: Box<dyn Session>) -> Result<(Box<dyn Session>, Option<Bytes>), Fatal> {
    let read = move || {
        let frame = pinset.read(|rows| session.next(rows))?;
        Ok((session, frame))
    };
    tokio::task::spawn_blocking(read).await?
}
