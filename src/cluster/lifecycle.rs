//! Builds a peer bottom-up, watches its parts, stops them top-down.
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libp2p::StreamProtocol;
use libp2p::identity::Keypair;
use tokio::sync::{mpsc, watch};

use super::build::Parts;
use super::chores::repair;
use super::handle::{Cluster, Inner};
use super::net::{Answers, Checks, ChecksArgs, Epochs, Inlet, Outlet, Pace, SyncsArgs, spawn_syncs};
use super::peers::spawn_informers;
use super::pinset::{Outbound, Writer};
use super::{build, chores};
use crate::config::Config;
use crate::model::Multiaddr;
use crate::observe::Meters;
use crate::swarm::{self, Event, calls};
use crate::task::{self, Fatal, Task};

/// A peer has stopped this long after it was told to, its front ends, too, which stop first; a peer that is killed loses
/// nothing, so the bound is short.
pub const STOP_MAX: Duration = Duration::from_secs(8);

/// Of that the writer has so long, whatever the parts above it do: it commits what waits and closes the store.
const WRITER_MAX: Duration = Duration::from_secs(1);

/// What a peer is made of.
pub struct Args {
    /// How it runs.
    pub config: Config,
    /// Who it is.
    pub keypair: Keypair,
    /// Peers to dial first, from the command line.
    pub bootstrap: Vec<Multiaddr>,
    /// What its parts count and time.
    pub meters: Meters,
}

/// A peer that runs.
pub struct Peer {
    cluster: Cluster,
    /// Top-down: users before what they use.
    tasks: Parts,
    writer: Writer,
}

/// Starts a peer. It accepts pins when this returns, also with its IPFS daemon away.
///
/// # Errors
/// What an operator has to mend: the store, the listen addresses, the daemon's address.
pub async fn start(args: Args) -> Result<Peer, Fatal> {
    let Args { config, keypair, bootstrap, meters } = args;
    let own = keypair.public().to_peer_id();
    let (of, key, of_pinset) = (config.clone(), keypair.clone(), meters.pinset.clone());
    // Stores that a crash left are repaired first, which may take seconds.
    let open = move || Ok::<_, Fatal>((build::open_pinset(&of, &key, &of_pinset)?, build::open_ledger(&of)?));
    let ((pinset, outbound, writer), ledger) = tokio::task::spawn_blocking(open).await??;
    let (swarm, events, swarm_task) = swarm::spawn(build::swarm_args(&config, keypair, bootstrap, &pinset)?).await?;
    let (cluster, lower) = build::open_cluster(&config, own, (pinset, ledger), swarm, meters)?;
    let mut tasks = spawn_users(&config, &cluster, events, outbound)?;
    // The outlet stays to the end: the parts above it still have something to say.
    let outlet = tasks.len() - 1;
    tasks.splice(outlet..outlet, lower);
    tasks.push(("swarm", swarm_task));
    tracing::info!(id = %own, "** IPFS Cluster is READY **");
    Ok(Peer { cluster, tasks, writer })
}

/// Spawns what uses pinset, swarm and tracker, and the pipes between them, top-down.
fn spawn_users(
    config: &Config,
    cluster: &Cluster,
    events: mpsc::Receiver<Event>,
    outbound: mpsc::Receiver<Outbound>,
) -> Result<Parts, Fatal> {
    let Inner { own, pinset, swarm, members, trust, counts, notices, meters, .. } = &*cluster.inner;
    let (pinset, swarm, counts) = (pinset.clone(), swarm.clone(), counts.clone());
    let checks = Checks::spawn(ChecksArgs {
        topics: pinset.topics(),
        own: *own,
        trust: trust.clone(),
        pinset: pinset.clone(),
        members: members.clone(),
        starts: Mutex::default(),
        began: task::now(),
        swarm: swarm.clone(),
        counts: counts.clone(),
    })?;
    let (syncs, syncs_task) = spawn_syncs(SyncsArgs {
        swarm: swarm.clone(),
        protocols: {
            let [sync, snapshot] = pinset.protocols().map(StreamProtocol::try_from_owned);
            [sync?, snapshot?]
        },
        pinset: pinset.clone(),
        checks: checks.clone(),
        counts: counts.clone(),
        pace: Pace::new(config.crdt.snapshot_rate),
    });
    let bell = watch::Sender::new(());
    let informers = spawn_informers(build::informer_args(config, cluster, bell.clone()));
    let (neighbours, chores) = chores::spawn(cluster.clone(), build::periods(config));
    let (answers, answers_task) = calls::spawn(&swarm, Arc::new(Answers(cluster.clone())), meters.calls.clone());
    let epochs = Epochs::new(build::epoch(config)?, counts.clone());
    let inlet = Inlet {
        pinset: pinset.clone(),
        checks,
        syncs: syncs.clone(),
        answers,
        neighbours,
        bell,
        epochs,
        notices: notices.clone(),
    };
    let inlet = Task::spawn(|stop| inlet.run(events, stop));
    let outlet = Outlet { pinset, swarm, syncs, counts, notices: notices.clone() };
    let outlet = Task::spawn(|stop| outlet.run(outbound, stop));
    let repairs = build::repairs(config).map(|args| ("repairs", repair::spawn(cluster.clone(), args)));
    Ok(repairs
        .into_iter()
        .chain([
            ("chores", chores),
            ("informers", informers),
            ("inlet", inlet),
            ("answers", answers_task),
            ("syncs", syncs_task),
            ("outlet", outlet),
        ])
        .collect())
}

impl Peer {
    /// The handle that front ends call.
    #[must_use]
    pub fn cluster(&self) -> Cluster {
        self.cluster.clone()
    }

    /// Waits until a part ends by itself, which none should; returns which, and why.
    pub async fn failed(&mut self) -> Fatal {
        let Self { tasks, writer, .. } = self;
        let ends = tasks.iter_mut().map(|(name, task)| {
            Box::pin(async move {
                match task.ended().await {
                    Ok(()) => Fatal::from(format!("the {name} ended")),
                    Err(error) => Fatal::from(format!("the {name} failed: {error}")),
                }
            })
        });
        tokio::select! {
            (error, _, _) = futures::future::select_all(ends) => error,
            ended = writer.ended() => match ended {
                Ok(()) => "the pinset's writer ended".into(),
                Err(error) => error,
            },
        }
    }

    /// Stops every part, users before what they use, within [`STOP_MAX`]; what was accepted is on disk already.
    ///
    /// # Errors
    /// The first part that ended badly, or that did not end in time.
    pub async fn stop(self) -> Result<(), Fatal> {
        self.stop_by(task::now() + STOP_MAX).await
    }

    /// As [`Peer::stop`], until `deadline`.
    ///
    /// # Errors
    /// As [`Peer::stop`].
    pub async fn stop_by(self, deadline: Instant) -> Result<(), Fatal> {
        let Self { cluster, tasks, writer } = self;
        drop(cluster);
        let (parts, end) =
            (deadline.checked_sub(WRITER_MAX).unwrap_or(deadline), deadline.max(task::now() + WRITER_MAX));
        let mut first = Ok(());
        for (name, task) in tasks {
            let stopped = tokio::time::timeout_at(parts.into(), task.stop()).await;
            if let Err(error) = stopped.unwrap_or_else(|_| Err(format!("the {name} did not end in time").into())) {
                tracing::warn!(part = name, %error, "a part ended badly");
                first = first.and(Err(error));
            }
        }
        let closed = tokio::time::timeout_at(end.into(), writer.stop()).await;
        first.and(closed.unwrap_or_else(|_| Err("the pinset's writer did not end in time".into())))
    }
}
