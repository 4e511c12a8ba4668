//! What an operator sees of the replication, and the copy of the pinset that he takes away.
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use super::error::Error;
use super::handle::Cluster;
use super::peers::Spending;
use super::pinset::Pinset;
use super::status::blocking;
use crate::crdt::{Backup, BackupStep, Input, Notice, Summary};
use crate::model::{PeerId, UnixMillis};

/// How long a backup waits for a copy to be made before it asks again.
const BACKUP_WAIT: Duration = Duration::from_millis(200);

/// How often it asks: two barriers of a peer that waits for a state which a trusted peer attests.
const BACKUP_ASKS: usize = 600;

/// A backup begins again so often when a newer copy takes the place of the one that it reads.
const BACKUP_TRIES: usize = 3;

/// The replication of this peer.
#[derive(Clone, Debug)]
pub struct ReplicationHealth {
    /// Clock, digest, waiting changes, log.
    pub summary: Summary,
    /// What was noticed, newest first.
    pub notices: Vec<(UnixMillis, Notice)>,
    /// By how many milliseconds the clocks of other peers are ahead of this one's, as far as it is known.
    pub clocks: Vec<(PeerId, i64)>,
    /// How a follower with a byte budget spends it.
    pub spending: Option<Spending>,
}

impl Cluster {
    /// How the replication of this peer stands.
    #[must_use]
    pub fn replication(&self) -> ReplicationHealth {
        let summary = self.inner.pinset.summary().borrow().clone();
        ReplicationHealth {
            summary,
            notices: self.inner.notices.all(),
            clocks: self.inner.members.skews(),
            spending: self.inner.sharing.as_ref().map(|sharing| sharing.spending()),
        }
    }

    /// A copy of the whole pinset with all that is applied now, as a file that `state import --format snapshot` reads.
    ///
    /// It is read at the pace of its reader; an error is its last item, and what came before is nothing.
    #[must_use]
    pub fn snapshot(&self) -> BoxStream<'static, Result<Bytes, Error>> {
        copy_of(&self.inner.pinset)
    }
}

/// As [`Cluster::snapshot`], of a pinset alone.
pub(super) fn copy_of(pinset: &Pinset) -> BoxStream<'static, Result<Bytes, Error>> {
    let Some(backup) = pinset.sessions().backup() else {
        let error = Error::Other("this engine has no snapshots: use `ipfs-cluster-service state export`".into());
        return stream::once(std::future::ready(Err(error))).boxed();
    };
    let copy = Copy { pinset: pinset.clone(), backup: Some(backup), has_begun: false, asks: 0, tries: 0 };
    stream::unfold(Some(copy), next).boxed()
}

/// A copy on its way out.
struct Copy {
    pinset: Pinset,
    backup: Option<Box<dyn Backup>>,
    has_begun: bool,
    asks: usize,
    tries: usize,
}

async fn next(copy: Option<Copy>) -> Option<(Result<Bytes, Error>, Option<Copy>)> {
    let mut copy = copy?;
    match copy.next().await {
        Ok(Some(bytes)) => Some((Ok(bytes), Some(copy))),
        Ok(None) => None,
        Err(error) => Some((Err(error), None)),
    }
}

impl Copy {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.step().await? {
                BackupStep::Bytes(bytes) => {
                    self.has_begun = true;
                    return Ok(Some(bytes));
                }
                BackupStep::End => return Ok(None),
                BackupStep::Again => (),
                BackupStep::Later if self.asks < BACKUP_ASKS => {
                    self.asks += 1;
                    let _ = self.pinset.offer(Input::Tick);
                    tokio::time::sleep(BACKUP_WAIT).await;
                }
                BackupStep::Later => {
                    let why = "no copy could be made within two minutes: too many are lent, or no trusted peer attests \
                               this state; try again, or use `ipfs-cluster-service state export`";
                    return Err(Error::Other(why.into()));
                }
                BackupStep::Gone if !self.has_begun && self.tries < BACKUP_TRIES => {
                    self.tries += 1;
                    self.backup = self.pinset.sessions().backup();
                }
                BackupStep::Gone => {
                    return Err(Error::Other("a newer copy took the place of the one being read: try again".into()));
                }
            }
        }
    }

    async fn step(&mut self) -> Result<BackupStep, Error> {
        let mut backup = self.backup.take().ok_or(Error::Shutdown)?;
        let pinset = self.pinset.clone();
        let (backup, step) = blocking(move || {
            let step = pinset.read(|rows| backup.next(rows))?;
            Ok((backup, step))
        })
        .await?;
        self.backup = Some(backup);
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::{Lone, cid};
    use crate::crdt::automerge::MAGIC;
    use crate::model::PinOptions;

    #[tokio::test]
    async fn a_copy_has_all_that_was_applied_when_it_began() {
        let lone = Lone::start(|_| ()).await;
        for n in 0..30 {
            lone.cluster.pin(cid(n), PinOptions::default()).await.unwrap();
        }
        let parts: Vec<_> = lone.cluster.snapshot().collect().await;
        let bytes = parts.into_iter().collect::<Result<Vec<Bytes>, _>>().unwrap().concat();
        assert_eq!(bytes[..8], MAGIC);
        let replication = lone.cluster.replication();
        assert_eq!((replication.summary.entries, replication.summary.forks), (30, 0));
        assert!(replication.summary.snapshot.is_some() && replication.notices.is_empty());
        lone.stop().await;
    }
}
