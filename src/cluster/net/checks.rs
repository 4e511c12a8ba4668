//! The pool of workers beside the writer thread: every message from the network is checked and decoded here.
//!
//! A decoder that panics ends a message, never the peer, and never meets an open transaction.
mod starts;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use starts::Starts;

use super::counts::Counts;
use crate::cluster::peers::Members;
use crate::cluster::pinset::Pinset;
use crate::crdt::{Checked, Input, Refused, Talk};
use crate::model::{PeerId, Trust};
use crate::swarm::{MessageToken, Swarm, Verdict};
use crate::{task, wire};

/// Messages that wait for a worker; a full queue drops gossip, which sync repairs.
const QUEUE_MAX: usize = 1024;

/// Workers: one a core, and at most four, because the writer thread behind them is one.
const WORKERS_MAX: usize = 4;

/// The topic of metrics, the same for every engine and cluster.
pub const METRICS_TOPIC: &str = "monitor.metrics";

/// The index of the engine's topic that carries changes; its others carry heartbeats.
const CHANGES: usize = 0;

/// A handle on the pool.
#[derive(Clone)]
pub struct Checks {
    jobs: mpsc::Sender<Job>,
    counts: Arc<Counts>,
}

/// A message of gossip whose signature is good.
pub struct Gossip {
    /// The topic.
    pub topic: Arc<str>,
    /// Who signed it.
    pub source: PeerId,
    /// The neighbour that sent it to us.
    pub relay: PeerId,
    /// For its verdict.
    pub token: MessageToken,
    /// The payload.
    pub bytes: Bytes,
}

enum Job {
    Gossip(Box<Gossip>),
    Frame(Talk, Bytes, oneshot::Sender<Result<Checked, Refused>>),
}

/// What the workers need.
pub struct Args {
    /// The engine's topics, by index.
    pub topics: Vec<String>,
    /// This peer.
    pub own: PeerId,
    /// Whose changes are forwarded.
    pub trust: Arc<RwLock<Trust>>,
    /// Who takes what passed.
    pub pinset: Pinset,
    /// Who takes metrics.
    pub members: Arc<Members>,
    /// Which starts' changes are forwarded.
    pub starts: Mutex<Starts>,
    /// When this peer began: what time is counted from.
    pub began: Instant,
    /// Who is told what to forward.
    pub swarm: Swarm,
    /// Where refusals are counted.
    pub counts: Arc<Counts>,
}

impl Checks {
    /// Starts the workers; they end when the last handle is dropped.
    ///
    /// # Errors
    /// The operating system's, when it has no thread to give.
    pub fn spawn(args: Args) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let counts = args.counts.clone();
        let (args, queue) = (Arc::new(args), Arc::new(Mutex::new(queue)));
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
        for _ in 0..workers {
            let (args, queue) = (args.clone(), queue.clone());
            std::thread::Builder::new().name("check".into()).spawn(move || work(&args, &queue))?;
        }
        Ok(Self { jobs, counts })
    }

    /// Hands a gossip message to a worker; when all are busy and the queue is full it is dropped and counted.
    pub fn gossip(&self, message: Gossip) {
        if self.jobs.try_send(Job::Gossip(Box::new(message))).is_err() {
            self.counts.add("gossip_dropped", 1);
        }
    }

    /// Checks a frame of a stream that we opened.
    ///
    /// # Errors
    /// Why the stream has to end.
    pub async fn frame(&self, talk: Talk, bytes: Bytes) -> Result<Checked, Refused> {
        let (reply, answer) = oneshot::channel();
        let gone = Refused::Foreign("this peer is going down");
        match self.jobs.send(Job::Frame(talk, bytes, reply)).await {
            Ok(()) => answer.await.unwrap_or(Err(gone)),
            Err(_) => Err(gone),
        }
    }
}

fn work(args: &Args, queue: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let job = queue.lock().expect("a worker never panics while it waits").blocking_recv();
        match job {
            Some(Job::Gossip(message)) => gossip(args, *message),
            Some(Job::Frame(talk, bytes, reply)) => {
                let checked = guarded(|| args.pinset.check().frame(talk, &bytes));
                if checked.is_err() {
                    args.counts.add("frames_refused", 1);
                }
                // The asker may have given up meanwhile.
                let _ = reply.send(checked);
            }
            None => return,
        }
    }
}

fn guarded<T>(check: impl FnOnce() -> Result<T, Refused>) -> Result<T, Refused> {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or(Err(Refused::Panicked))
}

fn gossip(args: &Args, message: Gossip) {
    let verdict = match args.topics.iter().position(|topic| **topic == *message.topic) {
        Some(topic) => delta(args, topic, message.relay, &message.bytes),
        None if &*message.topic == METRICS_TOPIC => metric(args, message.source, &message.bytes),
        None => Verdict::Ignore,
    };
    args.swarm.verdict(message.token, verdict);
}

/// What the engine sends: forwarded as soon as its stateless check passes, whatever the engine makes of it later.
fn delta(args: &Args, topic: usize, relay: PeerId, bytes: &[u8]) -> Verdict {
    match guarded(|| args.pinset.check().gossip(topic, bytes)) {
        Ok(item) => {
            let trust = args.trust.read().expect("no code panics while it holds the trust list");
            let trusted = item.signer.is_some_and(|signer| trust.trusts(&args.own, &signer));
            drop(trust);
            let start = item.signer.zip(item.start);
            if args.pinset.offer(Input::Checked { from: relay, item }).is_err() {
                args.counts.add("changes_dropped", 1);
            }
            if topic == CHANGES && !trusted {
                args.counts.add("changes_untrusted", 1);
                return Verdict::Ignore;
            }
            if start.is_some_and(|(signer, start)| !forwards(args, signer, start)) {
                args.counts.add("changes_of_new_starts_held", 1);
                return Verdict::Ignore;
            }
            Verdict::Accept
        }
        Err(Refused::Foreign(what)) => {
            tracing::debug!(%relay, what, "a message of another epoch or version");
            args.counts.add("gossip_foreign", 1);
            Verdict::Ignore
        }
        Err(refused @ (Refused::Malformed(_) | Refused::Panicked)) => {
            tracing::debug!(%relay, %refused, "gossip refused");
            args.counts.add("gossip_refused", 1);
            Verdict::Reject
        }
    }
}

fn forwards(args: &Args, signer: PeerId, start: [u8; 8]) -> bool {
    let mut starts = args.starts.lock().unwrap_or_else(PoisonError::into_inner);
    starts.forwards(signer, start, task::now().saturating_duration_since(args.began))
}

/// A metric counts when the peer that it names has signed it.
fn metric(args: &Args, source: PeerId, bytes: &[u8]) -> Verdict {
    let decode = || wire::metric::decode(bytes).map_err(|_| Refused::Malformed("a metric"));
    let (verdict, counter) = match guarded(decode) {
        Ok(metric) if metric.peer != source => (Verdict::Reject, "metrics_forged"),
        Ok(metric) => {
            let kept = args.members.receive(metric, task::wall());
            // What we have no room for, others may keep.
            (Verdict::Accept, if kept { "metrics_received" } else { "metrics_dropped" })
        }
        Err(_) => (Verdict::Reject, "metrics_refused"),
    };
    args.counts.add(counter, 1);
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::{Lone, metric_of};
    use crate::model::Metric;

    async fn lone() -> (Lone, Args) {
        let lone = Lone::start(|_| ()).await;
        let inner = &lone.cluster.inner;
        let args = Args {
            topics: inner.pinset.topics(),
            own: inner.own,
            trust: inner.trust.clone(),
            pinset: inner.pinset.clone(),
            members: inner.members.clone(),
            starts: Mutex::default(),
            began: task::now(),
            swarm: inner.swarm.clone(),
            counts: inner.counts.clone(),
        };
        (lone, args)
    }

    #[tokio::test]
    async fn a_metric_counts_only_when_the_peer_that_it_names_has_signed_it() {
        let (lone, args) = lone().await;
        let (peer, other) = (PeerId::random(), PeerId::random());
        let bytes = wire::metric::encode(&metric_of("ping", peer, 0));
        assert_eq!(metric(&args, other, &bytes), Verdict::Reject);
        assert!(!lone.cluster.inner.members.peerset(task::wall()).contains(&peer));
        assert_eq!(metric(&args, peer, &bytes), Verdict::Accept);
        assert!(lone.cluster.inner.members.peerset(task::wall()).contains(&peer));
        assert_eq!(metric(&args, peer, b"rubbish"), Verdict::Reject);
        let huge = Metric { value: "x".repeat(70_000), ..metric_of("ping", other, 0) };
        metric(&args, other, &wire::metric::encode(&huge));
        let counts = lone.cluster.counts();
        assert_eq!((counts["metrics_forged"], counts["metrics_received"]), (1, 1));
        assert_eq!(counts["metrics_refused"] + counts.get("metrics_dropped").copied().unwrap_or_default(), 2);
        lone.stop().await;
    }

    #[tokio::test]
    async fn bytes_that_are_no_change_are_not_forwarded_and_counted() {
        let (lone, args) = lone().await;
        for topic in 0..args.topics.len() {
            assert_ne!(delta(&args, topic, PeerId::random(), b"rubbish"), Verdict::Accept);
        }
        let counts = lone.cluster.counts();
        let refused = ["gossip_refused", "gossip_foreign"].map(|name| counts.get(name).copied().unwrap_or_default());
        assert_eq!(refused.iter().sum::<u64>(), args.topics.len() as u64);
        lone.stop().await;
    }

    #[test]
    fn a_decoder_that_panics_ends_its_message_alone() {
        assert_eq!(guarded(|| -> Result<(), Refused> { panic!("a bad byte") }).unwrap_err(), Refused::Panicked);
    }
}
