//! Where the pins stand, here and on the other peers.
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};

use super::local;
use super::merge::{Busy, KeyOf, Missing, Rows, Source, merge, unless_silent};
use crate::cluster::Error;
use crate::cluster::handle::{Cluster, FAN_OUT_MAX};
use crate::cluster::peers::Names;
use crate::model::{Cid, GlobalPinInfo, PeerId, Pin, PinInfo, Replication, StatusFilter, TrackerStatus, UnixMillis};
use crate::swarm::calls::{CallError, Calls, Order};
use crate::task;

/// How long a peer may say nothing in the middle of its statuses before it is given up: it may have to read all its pins
/// to find one that matches.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How long the rows of others wait for a peer all of whose pins match: it is a `cluster_error` in them until it goes on.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long one peer may take to answer about one pin, as in Go.
const CALL_MAX: Duration = Duration::from_secs(15);

/// Where the pins stand.
impl Cluster {
    /// Returns the status of one CID, on all its peers or (`local`) on this one.
    ///
    /// # Errors
    /// When the pinset or the ledger cannot be read.
    pub async fn status(&self, cid: Cid, local: bool) -> Result<GlobalPinInfo, Error> {
        if local {
            return Ok(self.inner.local.status(cid).await?.into());
        }
        let pin = self.inner.pinset.get(&cid)?.map(|(pin, _)| pin);
        self.gather(cid, pin, |cluster, peer| async move {
            if peer == cluster.inner.own {
                return cluster.inner.local.status(cid).await.map(Some).map_err(|e| e.to_string());
            }
            unless_refused(cluster.inner.calls.status(peer, &cid).await)
        })
        .await
    }

    /// Tries a failed pin again, on all its peers or (`local`) on this one; returns where it stands then.
    ///
    /// # Errors
    /// [`Error::NotFound`] when `local` and it is not in the pinset.
    pub async fn recover(&self, cid: Cid, local: bool) -> Result<GlobalPinInfo, Error> {
        let pin = self.inner.pinset.get(&cid)?.map(|(pin, _)| pin);
        if local {
            pin.ok_or(Error::NotFound)?;
            return Ok(self.inner.local.recover(&cid).await?.into());
        }
        self.gather(cid, pin, |cluster, peer| async move {
            if peer == cluster.inner.own {
                return cluster.inner.local.recover(&cid).await.map(Some).map_err(|e| e.to_string());
            }
            unless_refused(cluster.inner.calls.recover(peer, &cid).await)
        })
        .await
    }

    /// Asks every peer that holds the pin; the others are `remote`, and all are `unpinned` when there is no pin.
    /// A follower is all that it asks.
    async fn gather<F, R>(&self, cid: Cid, pin: Option<Pin>, ask: F) -> Result<GlobalPinInfo, Error>
    where
        F: Fn(Self, PeerId) -> R,
        R: Future<Output = Result<Option<PinInfo>, String>>,
    {
        let now = task::wall();
        let mut row = local::global(&cid, pin.as_ref(), now);
        let peerset = self.visible(now);
        let Some(pin) = pin else {
            for peer in peerset {
                row.peer_map.insert(peer, self.names(&peer).row(TrackerStatus::Unpinned, String::new(), now));
            }
            return Ok(row);
        };
        let asked: Vec<PeerId> = match pin.replication {
            Replication::Between { .. } if !self.inner.follower => pin.allocations,
            Replication::Between { .. } | Replication::Everywhere => peerset.clone(),
        };
        for peer in peerset.iter().filter(|peer| !asked.contains(peer)) {
            row.peer_map.insert(*peer, self.names(peer).row(TrackerStatus::Remote, String::new(), now));
        }
        let answers: Vec<_> = asked
            .into_iter()
            .map(|peer| {
                let answer = tokio::time::timeout(CALL_MAX, ask(self.clone(), peer));
                async move { (peer, answer.await.unwrap_or_else(|_| Err(format!("no answer within {CALL_MAX:?}")))) }
            })
            .collect();
        let mut answers = stream::iter(answers).buffer_unordered(FAN_OUT_MAX);
        while let Some((peer, answer)) = answers.next().await {
            match answer {
                Ok(Some(info)) => drop(row.peer_map.insert(peer, info.short)),
                Ok(None) => (),
                Err(error) => {
                    let short = self.names(&peer).row(TrackerStatus::ClusterError, error, task::wall());
                    row.peer_map.insert(peer, short);
                }
            }
        }
        Ok(row)
    }

    /// Returns the status of every pin, in key order, on all members or (`local`) on this one.
    #[must_use]
    pub fn status_all(&self, filter: StatusFilter, local: bool) -> BoxStream<'static, Result<GlobalPinInfo, Error>> {
        let own = self.inner.local.statuses(filter);
        if local {
            return own.map(|row| row.map(GlobalPinInfo::from)).boxed();
        }
        let patience = if filter == StatusFilter::ALL { PATIENCE } else { SILENCE_MAX };
        self.merged(own, patience, move |calls, peer, order| calls.status_all(peer, filter, order))
    }

    /// Tries everything that failed again; returns what was queued anew.
    #[must_use]
    pub fn recover_all(&self, local: bool) -> BoxStream<'static, Result<GlobalPinInfo, Error>> {
        let own = self.inner.local.recover_all();
        if local {
            return own.map(|row| row.map(GlobalPinInfo::from)).boxed();
        }
        self.merged(own, SILENCE_MAX, Calls::recover_all)
    }

    /// Merges this peer's rows with those that each other member sends.
    fn merged(
        &self,
        own: BoxStream<'static, Result<PinInfo, Error>>,
        patience: Duration,
        ask: impl Fn(&Calls, PeerId, Order) -> BoxStream<'static, Result<PinInfo, CallError>> + Copy + Send + Sync + 'static,
    ) -> BoxStream<'static, Result<GlobalPinInfo, Error>> {
        let peerset = self.visible(task::wall());
        let others = peerset.into_iter().filter(|peer| *peer != self.inner.own).map(|peer| {
            let busy = Busy::default();
            let rows = self.in_order(move |calls, order| ask(calls, peer, order), busy.clone());
            Source { peer, names: self.names(&peer), rows, patience, busy }
        });
        let (failed, own) = local::first_error(own);
        let own = Source {
            peer: self.inner.own,
            names: self.names(&self.inner.own),
            rows: limited(own.map(|row| row.map_err(|error| Missing::Failed(error.to_string()))).boxed()),
            patience: SILENCE_MAX,
            busy: Busy::default(),
        };
        let rows = merge(std::iter::once(own).chain(others).collect(), self.key_of());
        // An error of this peer's own ledger or pinset ends the answer as an error: others' rows alone would look whole.
        rows.map(Ok).chain(stream::once(failed).filter_map(|e| futures::future::ready(e.map(Err)))).boxed()
    }

    /// What a peer answers, in the order of the keys: Go's peers have another one, and are asked anew for it.
    fn in_order(
        &self,
        ask: impl Fn(&Calls, Order) -> BoxStream<'static, Result<PinInfo, CallError>> + Send + 'static,
        busy: Busy,
    ) -> Rows {
        let (calls, spool, key_of) = (self.inner.calls.clone(), self.inner.spool.clone(), self.key_of());
        let answer = async move {
            let mut rows = ask(&calls, Order::Keys);
            match tokio::time::timeout(SILENCE_MAX, rows.next()).await {
                Ok(Some(Err(CallError::Unknown(_) | CallError::Refused(_)))) => {
                    spool.sorted(limited(told(ask(&calls, Order::Any))), key_of, busy)
                }
                Ok(first) => limited(told(stream::iter(first).chain(rows).boxed())),
                Err(_) => told(stream::iter([Err(CallError::Deadline(SILENCE_MAX))]).boxed()),
            }
        };
        stream::once(answer).flatten().boxed()
    }

    fn key_of(&self) -> KeyOf {
        let pinset = self.inner.pinset.clone();
        Arc::new(move |cid| pinset.key(cid))
    }

    /// The members whose statuses this peer shows: a follower shows its own alone.
    fn visible(&self, now: UnixMillis) -> Vec<PeerId> {
        if self.inner.follower { vec![self.inner.own] } else { self.inner.members.peerset(now) }
    }

    /// What a peer last said of itself.
    fn names(&self, peer: &PeerId) -> Names {
        let mut names = self.inner.members.names(peer);
        if *peer == self.inner.own {
            names.peername.clone_from(&self.inner.peername);
        }
        names
    }
}

fn told(rows: BoxStream<'static, Result<PinInfo, CallError>>) -> Rows {
    rows.map(|row| row.map_err(|error| missing(&error))).boxed()
}

fn limited(rows: Rows) -> Rows {
    unless_silent(rows, SILENCE_MAX)
}

fn missing(error: &CallError) -> Missing {
    if matches!(error, CallError::Refused(_)) { Missing::NotAllowed } else { Missing::Failed(error.to_string()) }
}

/// A peer that does not let us ask is left out in silence, as in Go.
fn unless_refused(answer: Result<PinInfo, CallError>) -> Result<Option<PinInfo>, String> {
    match answer {
        Ok(info) => Ok(Some(info)),
        Err(CallError::Refused(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
