//! The statuses of many peers as one: sorted streams are merged row by row, so memory stays flat at any pinset.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::stream::{BoxStream, Stream, StreamExt, unfold};

use crate::cluster::peers::Names;
use crate::model::{Cid, GlobalPinInfo, PeerId, PinInfo, PinInfoShort, TrackerStatus};
use crate::task;

/// Why the statuses of a peer are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It does not let us ask, which is no fault: it is left out in silence.
    NotAllowed,
    /// It did not answer: its part of every row is an error.
    Failed(String),
}

/// One peer's statuses, in the order of the pinset's keys.
pub struct Source {
    /// Whose.
    pub peer: PeerId,
    /// Its label, for rows that say that it did not answer.
    pub names: Names,
    /// The rows.
    pub rows: Rows,
    /// How long rows of others wait for its next one, unless it is busy.
    pub patience: Duration,
    /// Whether it is known to be at work.
    pub busy: Busy,
}

/// Says of a source, while it has no row, that one is being made.
#[derive(Clone, Debug, Default)]
pub struct Busy(Arc<AtomicBool>);

impl Busy {
    /// From now on it is, or not any more.
    pub fn set(&self, is_busy: bool) {
        self.0.store(is_busy, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The statuses that a peer sends.
pub type Rows = BoxStream<'static, Result<PinInfo, Missing>>;

/// The order of the pinset's keys.
pub type KeyOf = Arc<dyn Fn(&Cid) -> Vec<u8> + Send + Sync>;

/// The rows, and an error in their place when none comes for `silence` though it is waited for.
pub fn unless_silent(rows: Rows, silence: Duration) -> Rows {
    let next = move |rows: Option<Rows>| async move {
        let mut rows = rows?;
        match tokio::time::timeout(silence, rows.next()).await {
            Ok(row) => Some((row?, Some(rows))),
            Err(_) => Some((Err(Missing::Failed(format!("no status arrived for {silence:?}"))), None)),
        }
    };
    unfold(Some(rows), next).boxed()
}

struct Merge {
    sources: Vec<Lane>,
    /// The peers whose part of a row is an error.
    failed: BTreeMap<PeerId, PinInfoShort>,
    /// The key of the latest row.
    told: Vec<u8>,
    key_of: KeyOf,
}

struct Lane {
    source: Source,
    head: Option<(Vec<u8>, PinInfo)>,
    /// The key of its latest row.
    last: Vec<u8>,
    /// The others do not wait for it.
    late: bool,
    ended: bool,
}

/// What a lane came to.
enum Came {
    /// It has its next row, or has ended well.
    Well,
    /// It says nothing for now, or has ended badly.
    Badly(PinInfoShort),
}

/// Merges the rows of all sources into one row a CID, in key order.
///
/// A source that fails, or has its rows out of order, is a `cluster_error` in every row that follows, and one that keeps
/// the others waiting is one until it goes on. Whatever peer its rows name, they count as the source's own.
pub fn merge(sources: Vec<Source>, key_of: KeyOf) -> impl Stream<Item = GlobalPinInfo> {
    let lane = |source| Lane { source, head: None, last: Vec::new(), late: false, ended: false };
    let sources = sources.into_iter().map(lane).collect();
    let merge = Merge { sources, failed: BTreeMap::new(), told: Vec::new(), key_of };
    unfold(merge, async |mut merge| merge.next().await.map(|row| (row, merge)))
}

impl Merge {
    async fn next(&mut self) -> Option<GlobalPinInfo> {
        self.fill(Lane::patience).await;
        if self.sources.iter().all(|lane| lane.head.is_none()) {
            // There is nothing that those who are late would hold up.
            self.fill(|_| Duration::MAX).await;
        }
        let least = self.sources.iter().filter_map(|lane| lane.head.as_ref()).map(|(key, _)| key).min()?.clone();
        let mut row: Option<GlobalPinInfo> = None;
        for lane in &mut self.sources {
            if let Some((_, info)) = lane.head.take_if(|(key, _)| *key == least) {
                row = Some(joined(row, info));
            }
        }
        self.told = least;
        let mut row = row?;
        for (peer, short) in &self.failed {
            row.peer_map.insert(*peer, short.clone());
        }
        Some(row)
    }

    /// Reads the next row of every source that has none, all at once.
    async fn fill(&mut self, patience: fn(&Lane) -> Duration) {
        let (key_of, told) = (&self.key_of, &self.told);
        let empty = self.sources.iter_mut().filter(|lane| lane.head.is_none() && !lane.ended);
        let reads = empty.map(|lane| async move { (lane.source.peer, lane.read(patience(lane), key_of, told).await) });
        for (peer, came) in futures::future::join_all(reads).await {
            match came {
                Came::Well => drop(self.failed.remove(&peer)),
                Came::Badly(short) => drop(self.failed.insert(peer, short)),
            }
        }
    }
}

impl Lane {
    fn patience(&self) -> Duration {
        if self.late { Duration::ZERO } else { self.source.patience }
    }

    /// Reads its next row after `told`: what came too late for its row is passed over.
    async fn read(&mut self, patience: Duration, key_of: &KeyOf, told: &[u8]) -> Came {
        loop {
            let patience = if self.source.busy.get() { self.source.patience } else { patience };
            match tokio::time::timeout(patience, self.source.rows.next()).await {
                Ok(Some(Ok(info))) => {
                    let key = key_of(&info.cid);
                    if key <= self.last {
                        return self.end("its statuses are out of order".into());
                    }
                    (self.last, self.late) = (key.clone(), false);
                    if *key > *told {
                        self.head = Some((key, PinInfo { peer: self.source.peer, ..info }));
                        return Came::Well;
                    }
                }
                Ok(Some(Err(Missing::Failed(error)))) => return self.end(error),
                Ok(Some(Err(Missing::NotAllowed)) | None) => {
                    self.ended = true;
                    return Came::Well;
                }
                Err(_) if self.source.busy.get() => (),
                Err(_) => {
                    self.late = true;
                    return self.error(format!("no status arrived for {:?}", self.source.patience));
                }
            }
        }
    }

    fn end(&mut self, error: String) -> Came {
        self.ended = true;
        self.error(error)
    }

    fn error(&self, error: String) -> Came {
        Came::Badly(self.source.names.row(TrackerStatus::ClusterError, error, task::wall()))
    }
}

/// Adds one peer's row; the fields of the pin come from the latest answer.
fn joined(row: Option<GlobalPinInfo>, info: PinInfo) -> GlobalPinInfo {
    let mut next = GlobalPinInfo::from(info);
    if let Some(row) = row {
        for (peer, short) in row.peer_map {
            next.peer_map.entry(peer).or_insert(short);
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UnixMillis;
    use futures::stream;

    fn cid(n: u8) -> Cid {
        let digest = multihash::Multihash::wrap(0x12, &[n; 32]).unwrap();
        Cid::new_v1(0x55, digest)
    }

    fn info(peer: PeerId, n: u8) -> PinInfo {
        PinInfo {
            cid: cid(n),
            name: String::new(),
            peer,
            allocations: vec![],
            origins: vec![],
            created: None,
            metadata: BTreeMap::new(),
            short: Names::default().row(TrackerStatus::Pinned, String::new(), UnixMillis(0)),
        }
    }

    fn source(peer: PeerId, rows: impl Stream<Item = Result<PinInfo, Missing>> + Send + 'static) -> Source {
        let rows = unless_silent(rows.boxed(), Duration::from_secs(15));
        Source { peer, names: Names::default(), rows, patience: Duration::from_secs(1), busy: Busy::default() }
    }

    fn merged(sources: Vec<Source>) -> impl Stream<Item = GlobalPinInfo> {
        merge(sources, Arc::new(Cid::to_bytes))
    }

    #[tokio::test]
    async fn rows_of_one_cid_become_one_row() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let left = stream::iter([1, 3].map(|n| Ok(info(a, n))));
        let right = stream::iter([1, 2, 3].map(|n| Ok(info(b, n))));
        let rows: Vec<_> = merged(vec![source(a, left), source(b, right)]).collect().await;
        let seen: Vec<_> = rows.iter().map(|r| (r.cid, r.peer_map.len())).collect();
        assert_eq!(seen, [(cid(1), 2), (cid(2), 1), (cid(3), 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_an_error_in_every_row_and_one_that_refuses_is_left_out() {
        let [a, silent, refusing] = [PeerId::random(), PeerId::random(), PeerId::random()];
        let sources = vec![
            source(a, stream::iter([1, 2].map(|n| Ok(info(a, n))))),
            source(silent, stream::pending()),
            source(refusing, stream::iter([Err(Missing::NotAllowed)])),
        ];
        let rows: Vec<_> = merged(sources).collect().await;
        assert_eq!(rows.len(), 2);
        for row in rows {
            assert_eq!(row.peer_map[&silent].status, TrackerStatus::ClusterError);
            assert!(!row.peer_map.contains_key(&refusing));
        }
    }

    /// Rows, and a silence of so many seconds before the one of that number.
    fn halting(
        peer: PeerId,
        rows: impl IntoIterator<Item = u8>,
        silent: (u8, u64),
    ) -> impl Stream<Item = Result<PinInfo, Missing>> {
        stream::iter(rows.into_iter().collect::<Vec<_>>()).then(move |n| async move {
            if n == silent.0 {
                tokio::time::sleep(Duration::from_secs(silent.1)).await;
            }
            Ok(info(peer, n))
        })
    }

    fn statuses(rows: &[GlobalPinInfo], peer: PeerId) -> Vec<Option<TrackerStatus>> {
        rows.iter().map(|row| row.peer_map.get(&peer).map(|short| short.status)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_for_a_second_is_an_error_until_he_goes_on() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let sources =
            vec![source(a, halting(a, 1..=6, (4, 10))), source(b, halting(b, (1..=6).filter(|n| *n != 5), (2, 5)))];
        let rows: Vec<_> = merged(sources).collect().await;
        let (well, error) = (Some(TrackerStatus::Pinned), Some(TrackerStatus::ClusterError));
        assert_eq!(statuses(&rows, a), [well; 6], "in the end nobody has anything, and is waited for");
        assert_eq!(statuses(&rows, b), [well, error, error, well, None, well]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_busy_or_alone_is_waited_for() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let slow = source(b, halting(b, 1..=2, (1, 10)));
        slow.busy.set(true);
        let rows: Vec<_> = merged(vec![source(a, stream::iter([Ok(info(a, 1))])), slow]).collect().await;
        assert_eq!(statuses(&rows, b), [Some(TrackerStatus::Pinned); 2]);
        let rows: Vec<_> = merged(vec![source(a, halting(a, 1..=2, (2, 10)))]).collect().await;
        assert_eq!(statuses(&rows, a), [Some(TrackerStatus::Pinned); 2]);
    }

    #[tokio::test]
    async fn a_peer_speaks_for_itself_alone() {
        let (own, liar) = (PeerId::random(), PeerId::random());
        let lie = PinInfo {
            short: Names::default().row(TrackerStatus::PinError, "a lie".into(), UnixMillis(0)),
            ..info(own, 1)
        };
        let sources = vec![source(own, stream::iter([Ok(info(own, 1))])), source(liar, stream::iter([Ok(lie)]))];
        let rows: Vec<_> = merged(sources).collect().await;
        assert_eq!(rows[0].peer_map[&own].status, TrackerStatus::Pinned);
        assert_eq!(rows[0].peer_map[&liar].status, TrackerStatus::PinError);
    }

    #[tokio::test]
    async fn rows_out_of_order_are_an_error_of_their_peer() {
        let (own, other) = (PeerId::random(), PeerId::random());
        let good = stream::iter([1, 2, 3].map(|n| Ok(info(own, n))));
        let odd = stream::iter([2, 1, 3].map(|n| Ok(info(other, n))));
        let rows: Vec<_> = merged(vec![source(own, good), source(other, odd)]).collect().await;
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[2].peer_map[&other].status, TrackerStatus::ClusterError);
    }
}
