//! The statuses of many peers as one: sorted streams are merged row by row, so memory stays flat at any pinset.
use std::collections::BTreeMap;
use std::sync::Arc;
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
    failed: BTreeMap<PeerId, PinInfoShort>,
    key_of: KeyOf,
}

struct Lane {
    source: Source,
    head: Option<(Vec<u8>, PinInfo)>,
    /// The key of its latest row.
    last: Vec<u8>,
    ended: bool,
}

/// Merges the rows of all sources into one row a CID, in key order.
///
/// A source that fails, or has its rows out of order, is a `cluster_error` in every row that follows; whatever peer its
/// rows name, they count as the source's own.
pub fn merge(sources: Vec<Source>, key_of: KeyOf) -> impl Stream<Item = GlobalPinInfo> {
    let sources =
        sources.into_iter().map(|source| Lane { source, head: None, last: Vec::new(), ended: false }).collect();
    let merge = Merge { sources, failed: BTreeMap::new(), key_of };
    unfold(merge, async |mut merge| merge.next().await.map(|row| (row, merge)))
}

impl Merge {
    async fn next(&mut self) -> Option<GlobalPinInfo> {
        self.fill().await;
        let least = self.sources.iter().filter_map(|lane| lane.head.as_ref()).map(|(key, _)| key).min()?.clone();
        let mut row: Option<GlobalPinInfo> = None;
        for lane in &mut self.sources {
            if let Some((_, info)) = lane.head.take_if(|(key, _)| *key == least) {
                row = Some(joined(row, info));
            }
        }
        let mut row = row?;
        for (peer, short) in &self.failed {
            row.peer_map.insert(*peer, short.clone());
        }
        Some(row)
    }

    /// Reads the next row of every source that has none, all at once.
    async fn fill(&mut self) {
        let key_of = &self.key_of;
        let empty = self.sources.iter_mut().filter(|lane| lane.head.is_none() && !lane.ended);
        let reads = empty.map(|lane| async move {
            match lane.source.rows.next().await {
                Some(Ok(info)) => lane.take(key_of(&info.cid), info),
                Some(Err(missing)) => lane.end(Some(missing)),
                None => lane.end(None),
            }
        });
        for (peer, short) in futures::future::join_all(reads).await.into_iter().flatten() {
            self.failed.insert(peer, short);
        }
    }
}

impl Lane {
    fn take(&mut self, key: Vec<u8>, info: PinInfo) -> Option<(PeerId, PinInfoShort)> {
        if key <= self.last {
            return self.end(Some(Missing::Failed("its statuses are out of order".into())));
        }
        self.last.clone_from(&key);
        self.head = Some((key, PinInfo { peer: self.source.peer, ..info }));
        None
    }

    fn end(&mut self, missing: Option<Missing>) -> Option<(PeerId, PinInfoShort)> {
        self.ended = true;
        match missing {
            Some(Missing::Failed(error)) => {
                let short = self.source.names.row(TrackerStatus::ClusterError, error, task::wall());
                Some((self.source.peer, short))
            }
            Some(Missing::NotAllowed) | None => None,
        }
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
        Source { peer, names: Names::default(), rows: unless_silent(rows.boxed(), Duration::from_secs(1)) }
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
