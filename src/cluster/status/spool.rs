//! Statuses that come in an order of their own, as those of Go's peers do: sorted on disk before they are merged.
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::{self, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::local::blocking;
use super::merge::{Busy, KeyOf, Missing, Rows};
use crate::cluster::Error;
use crate::model::PinInfo;
use crate::store::{Scratch, ScratchRow};
use crate::wire::gorpc;

/// Lists that are sorted at a time: each has some megabytes of memory, and its disk until it is read to the end.
const LISTS_MAX: usize = 64;
/// Bytes of all of them: some ten million statuses.
const BYTES_MAX: usize = 4 << 30;
/// Statuses that are handed to the disk, and read from it, at once.
const BATCH: usize = 1_024;
/// Batches that wait for the disk.
const BATCHES_MAX: usize = 2;

/// Where lists are sorted.
#[derive(Clone, Debug)]
pub struct Spool {
    dir: PathBuf,
    turns: Arc<Semaphore>,
    /// Bytes that lists have.
    used: Arc<AtomicUsize>,
}

impl Spool {
    /// Sorts in `dir`.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, turns: Arc::new(Semaphore::new(LISTS_MAX)), used: Arc::default() }
    }

    /// The same rows in the order of their keys. The first comes when all of them are here; an error among them is all
    /// that comes then. It is `busy` until then.
    pub fn sorted(&self, rows: Rows, key_of: KeyOf, busy: Busy) -> Rows {
        let spool = self.clone();
        let gather = async move {
            busy.set(true);
            let gathered = spool.gather(rows, key_of).await;
            busy.set(false);
            gathered
        };
        stream::once(gather)
            .flat_map(|gathered| match gathered {
                Ok(sorted) => pages(sorted),
                Err(missing) => stream::once(async { Err(missing) }).boxed(),
            })
            .boxed()
    }

    async fn gather(self, mut rows: Rows, key_of: KeyOf) -> Result<Sorted, Missing> {
        let busy = |_| unsorted(format!("{LISTS_MAX} lists are being sorted already: try again"));
        let mut room = Room { _turn: self.turns.try_acquire_owned().map_err(busy)?, used: self.used, bytes: 0 };
        let (tell, mut told) = mpsc::channel::<Vec<ScratchRow>>(BATCHES_MAX);
        let dir = self.dir;
        let sort = move || Scratch::sort(&dir, std::iter::from_fn(|| told.blocking_recv()));
        let mut sorting = JoinSet::new();
        sorting.spawn_blocking(sort);
        let mut batch = Vec::new();
        while let Some(info) = rows.next().await {
            let info = info?;
            let row = (key_of(&info.cid), gorpc::encode_pin_info(&info));
            room.take(row.0.len() + row.1.len())?;
            batch.push(row);
            if batch.len() >= BATCH && tell.send(std::mem::take(&mut batch)).await.is_err() {
                // The disk failed: its end says how.
                break;
            }
        }
        // Who sorts may have failed, and says so himself.
        let _ = tell.send(batch).await;
        drop(tell);
        match sorting.join_next().await {
            Some(Ok(Ok(scratch))) => Ok(Sorted { scratch: Arc::new(scratch), _room: room }),
            Some(Ok(Err(error))) => Err(unsorted(error)),
            Some(Err(error)) => Err(unsorted(error)),
            None => Err(unsorted("nobody does")),
        }
    }
}

struct Sorted {
    scratch: Arc<Scratch>,
    _room: Room,
}

/// A list's part of the bounds, until it is dropped.
struct Room {
    _turn: OwnedSemaphorePermit,
    used: Arc<AtomicUsize>,
    bytes: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), Missing> {
        self.bytes += bytes;
        if self.used.fetch_add(bytes, Ordering::Relaxed) + bytes > BYTES_MAX {
            return Err(unsorted(format!("they and others are more than {BYTES_MAX} bytes")));
        }
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn pages(sorted: Sorted) -> Rows {
    let next = |state: Option<(Sorted, Option<Vec<u8>>)>| async move {
        let (sorted, after) = state?;
        let scratch = sorted.scratch.clone();
        match blocking(move || scratch.page(after.as_deref(), BATCH).map_err(|error| Error::Other(error.to_string())))
            .await
        {
            Ok(page) => {
                let last = page.last()?.0.clone();
                Some((page.into_iter().map(read).collect(), Some((sorted, Some(last)))))
            }
            Err(error) => Some((vec![Err(unsorted(error))], None)),
        }
    };
    stream::unfold(Some((sorted, None)), next).flat_map(stream::iter::<Vec<_>>).boxed()
}

fn read((_, value): ScratchRow) -> Result<PinInfo, Missing> {
    let info = gorpc::decode_pin_info(&value).map_err(|error| Missing::Failed(error.to_string()))?;
    info.ok_or_else(|| Missing::Failed("a status without a CID".into()))
}

fn unsorted(error: impl Display) -> Missing {
    Missing::Failed(format!("its statuses could not be sorted: {error}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cluster::peers::Names;
    use crate::cluster::testing::cid;
    use crate::model::{Cid, PeerId, TrackerStatus, UnixMillis};

    fn info(n: u64) -> PinInfo {
        PinInfo {
            cid: cid(n),
            name: format!("number {n}"),
            peer: PeerId::from_bytes(&[0, 1, 1]).unwrap(),
            allocations: vec![],
            origins: vec![],
            created: None,
            metadata: BTreeMap::new(),
            short: Names::default().row(TrackerStatus::Pinned, String::new(), UnixMillis(0)),
        }
    }

    fn key_of() -> KeyOf {
        Arc::new(Cid::to_bytes)
    }

    fn rows(order: impl IntoIterator<Item = u64>) -> Rows {
        stream::iter(order.into_iter().map(|n| Ok(info(n))).collect::<Vec<_>>()).boxed()
    }

    async fn cids(rows: Rows) -> Vec<Cid> {
        rows.map(|row| row.unwrap().cid).collect().await
    }

    #[tokio::test]
    async fn what_comes_in_any_order_goes_on_in_that_of_the_keys() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path().into());
        let mut expected: Vec<Cid> = (0..256).map(cid).collect();
        expected.sort_by_key(Cid::to_bytes);
        let many = (0..10).flat_map(|_| (0..256).rev().map(|n| n * 77 % 256));
        assert_eq!(cids(spool.sorted(rows(many), key_of(), Busy::default())).await, expected, "each once");
        assert_eq!(spool.sorted(rows([7]), key_of(), Busy::default()).next().await.unwrap(), Ok(info(7)));
        assert_eq!(cids(spool.sorted(rows([]), key_of(), Busy::default())).await, []);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn an_error_is_all_that_comes() {
        let dir = tempfile::tempdir().unwrap();
        let gone = || Err(Missing::Failed("gone".into()));
        let broken = rows([3, 1]).chain(stream::once(async move { gone() })).boxed();
        let told: Vec<_> = Spool::new(dir.path().into()).sorted(broken, key_of(), Busy::default()).collect().await;
        assert_eq!(told, [gone()]);
        let nowhere: Vec<_> =
            Spool::new(dir.path().join("nowhere")).sorted(rows([1]), key_of(), Busy::default()).collect().await;
        assert!(
            matches!(&nowhere[..], [Err(Missing::Failed(text))] if text.starts_with("its statuses could not be sorted: "))
        );
    }

    #[tokio::test]
    async fn lists_and_their_bytes_are_bounded_until_they_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path().into());
        let first = async |order: [u64; 2]| {
            let mut sorted = spool.sorted(rows(order), key_of(), Busy::default());
            let row = sorted.next().await.unwrap();
            (sorted, row)
        };
        let mut lists = Vec::new();
        for _ in 0..LISTS_MAX {
            let (list, row) = first([2, 1]).await;
            assert!(row.is_ok());
            lists.push(list);
        }
        assert!(first([2, 1]).await.1.is_err());
        lists.clear();
        assert_eq!(spool.used.load(Ordering::Relaxed), 0);
        assert!(first([2, 1]).await.1.is_ok());
        spool.used.store(BYTES_MAX - 1, Ordering::Relaxed);
        assert!(first([2, 1]).await.1.is_err());
        assert_eq!(spool.used.load(Ordering::Relaxed), BYTES_MAX - 1, "it gives back what it took");
    }
}
