//! This peer's own pins and statuses as streams: page by page, each page one short read off the async threads.
use std::collections::BTreeMap;

use futures::channel::oneshot;
use futures::stream::{self, BoxStream, Stream, StreamExt};

use crate::cluster::Error;
use crate::cluster::pinset::Pinset;
use crate::model::{Cid, GlobalPinInfo, Pin, PinInfo, StatusFilter, UnixMillis};
use crate::tracker::Tracker;

/// Pins read in one transaction.
const PAGE: usize = 1024;

/// What this peer says of its own pins.
#[derive(Clone)]
pub struct Local {
    /// Its pinset.
    pub pinset: Pinset,
    /// Who knows where the pins stand.
    pub tracker: Tracker,
}

/// A stream of pages, each asked for with the cursor that the last one left.
fn paged<T, F, R>(start: Option<Vec<u8>>, read: F) -> impl Stream<Item = Result<T, Error>> + Send + 'static
where
    T: Send + 'static,
    F: Fn(Option<Vec<u8>>) -> R + Send + 'static,
    R: Future<Output = Result<(Vec<T>, Option<Vec<u8>>), Error>> + Send + 'static,
{
    stream::unfold(Some((start, read)), |state| async move {
        let (cursor, read) = state?;
        match read(cursor).await {
            Ok((rows, Some(next))) => Some((Ok(rows), Some((Some(next), read)))),
            Ok((rows, None)) => Some((Ok(rows), None)),
            Err(error) => Some((Err(error), None)),
        }
    })
    .flat_map(|page| match page {
        Ok(rows) => stream::iter(rows.into_iter().map(Ok).collect::<Vec<_>>()),
        Err(error) => stream::iter(vec![Err(error)]),
    })
}

/// Runs a read that may wait for the disk where it delays nobody.
pub async fn blocking<T: Send + 'static>(read: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(read).await.map_err(|error| Error::Other(error.to_string()))?
}

impl Local {
    /// Returns the pinset in key order, from after the key `start` on.
    pub fn pins(&self, start: Option<Vec<u8>>) -> BoxStream<'static, Result<Pin, Error>> {
        let pinset = self.pinset.clone();
        paged(start, move |cursor: Option<Vec<u8>>| {
            let pinset = pinset.clone();
            blocking(move || pinset.page(cursor.as_deref(), PAGE))
        })
        .boxed()
    }

    /// Returns this peer's status of every pin that `filter` matches, in key order.
    pub fn statuses(&self, filter: StatusFilter) -> BoxStream<'static, Result<PinInfo, Error>> {
        self.tracker.statuses(filter).map(|row| row.map_err(other)).boxed()
    }

    /// As [`Local::statuses`], from after the key `start` on, of what is in the pinset.
    pub fn statuses_from(
        &self,
        filter: StatusFilter,
        start: Option<Vec<u8>>,
    ) -> BoxStream<'static, Result<PinInfo, Error>> {
        self.tracker.statuses_from(filter, start).map(|row| row.map_err(other)).boxed()
    }

    /// Tries all that failed here again; returns what was queued anew.
    pub fn recover_all(&self) -> BoxStream<'static, Result<PinInfo, Error>> {
        self.tracker.recover_all().map(|row| row.map_err(other)).boxed()
    }

    /// This peer's status of one CID.
    pub async fn status(&self, cid: Cid) -> Result<PinInfo, Error> {
        let tracker = self.tracker.clone();
        blocking(move || tracker.status(&cid).map_err(other)).await
    }

    /// Tries one pin again here.
    pub async fn recover(&self, cid: &Cid) -> Result<PinInfo, Error> {
        self.tracker.recover(cid).await.map_err(other)
    }
}

fn other(error: impl std::fmt::Display) -> Error {
    Error::Other(error.to_string())
}

/// Splits a stream at its first error: the rows before it, and the error once they have been read.
pub fn first_error(
    rows: BoxStream<'static, Result<PinInfo, Error>>,
) -> (impl Future<Output = Option<Error>>, BoxStream<'static, Result<PinInfo, Error>>) {
    let (tell, told) = oneshot::channel();
    let rows = rows.scan(Some(tell), |tell, row| {
        let row = match row {
            Ok(row) => Some(Ok(row)),
            Err(error) => {
                if let Some(tell) = tell.take() {
                    let _ = tell.send(error);
                }
                None
            }
        };
        futures::future::ready(row)
    });
    (async { told.await.ok() }, rows.boxed())
}

/// The part of a row that is the same for all peers; without a pin it is "now and nobody".
pub fn global(cid: &Cid, pin: Option<&Pin>, now: UnixMillis) -> GlobalPinInfo {
    GlobalPinInfo {
        cid: *cid,
        name: pin.map_or_else(String::new, |pin| pin.name.clone()),
        allocations: pin.map_or_else(Vec::new, |pin| pin.allocations.clone()),
        origins: pin.map_or_else(Vec::new, |pin| pin.origins.clone()),
        created: pin.map_or(Some(now), |pin| pin.timestamp),
        metadata: pin.map_or_else(BTreeMap::new, |pin| pin.metadata.clone()),
        peer_map: BTreeMap::new(),
    }
}
