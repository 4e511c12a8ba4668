//! The pinset and its statuses from a pin on: what pages are made of.
use futures::stream::{BoxStream, StreamExt};

use super::{Cluster, Error};
use crate::model::{Cid, GlobalPinInfo, Pin, PinTypes, StatusFilter};

/// Pins of a page whose statuses are asked for at a time: each asks up to all its holders.
const LOOKUPS_MAX: usize = 32;

impl Cluster {
    /// As [`Cluster::allocations`], from after `after` on, whether it is still pinned or not.
    #[must_use]
    pub fn allocations_after(&self, types: PinTypes, after: Option<Cid>) -> BoxStream<'static, Result<Pin, Error>> {
        let pins = self.inner.local.pins(self.place(after));
        pins.filter(move |pin| {
            let keep = pin.as_ref().map_or(true, |pin| types.contains(pin.kind));
            futures::future::ready(keep)
        })
        .boxed()
    }

    /// As [`Cluster::status_all`], from after `after` on. `filter` must ask for nothing that is being let go of, which
    /// has no place in the order of the pinset: see [`StatusFilter::staying`].
    ///
    /// Without a filter the peers are asked for each pin, so that a page costs what is in it. With one they are asked
    /// for all that match, which are few where a filter is of use.
    #[must_use]
    pub fn status_after(
        &self,
        filter: StatusFilter,
        local: bool,
        after: Option<Cid>,
    ) -> BoxStream<'static, Result<GlobalPinInfo, Error>> {
        let place = self.place(after);
        if local {
            let rows = self.inner.local.statuses_from(filter, place);
            return rows.map(|row| row.map(GlobalPinInfo::from)).boxed();
        }
        let cluster = self.clone();
        if filter != StatusFilter::ALL {
            let is_before = move |row: &GlobalPinInfo| place.as_ref() >= Some(&cluster.inner.pinset.key(&row.cid));
            let rows = self.status_all(filter, false);
            return rows.filter(move |row| futures::future::ready(!row.as_ref().is_ok_and(&is_before))).boxed();
        }
        let status = move |pin: Result<Pin, Error>| {
            let cluster = cluster.clone();
            async move { cluster.status(pin?.cid, false).await }
        };
        self.inner.local.pins(place).map(status).buffered(LOOKUPS_MAX).boxed()
    }

    fn place(&self, after: Option<Cid>) -> Option<Vec<u8>> {
        after.map(|cid| self.inner.pinset.key(&cid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::{Lone, cid};
    use crate::model::{PinOptions, TrackerStatus};

    const PINS: u64 = 50;

    /// Reads by pages of 7, each from after the last of the one before.
    async fn by_pages(read: impl Fn(Option<Cid>) -> BoxStream<'static, Result<Cid, Error>>) -> Vec<Cid> {
        let mut all: Vec<Cid> = Vec::new();
        loop {
            let page: Vec<_> = read(all.last().copied()).take(7).collect().await;
            if page.is_empty() {
                return all;
            }
            all.extend(page.into_iter().map(Result::unwrap));
        }
    }

    #[tokio::test]
    async fn pages_are_the_list_cut_in_parts_whoever_is_asked() {
        let lone = Lone::start(|_| ()).await;
        for n in 0..PINS {
            lone.cluster.pin(cid(n), PinOptions::default()).await.unwrap();
        }
        let cluster = lone.cluster.clone();
        let whole: Vec<Cid> = cluster.allocations(PinTypes::ALL).map(|pin| pin.unwrap().cid).collect().await;
        assert_eq!(whole.len() as u64, PINS);
        let pins = |after| cluster.allocations_after(PinTypes::ALL, after).map(|pin| Ok(pin?.cid)).boxed();
        assert_eq!(by_pages(pins).await, whole);
        let queued = StatusFilter(TrackerStatus::PinQueued.bit() | TrackerStatus::Pinning.bit());
        for (filter, local) in [(StatusFilter::ALL, false), (StatusFilter::ALL, true), (queued, false), (queued, true)]
        {
            let rows = |after| cluster.status_after(filter, local, after).map(|row| Ok(row?.cid)).boxed();
            assert_eq!(by_pages(rows).await, whole, "{filter:?} {local}");
        }
        let pinned = StatusFilter(TrackerStatus::Pinned.bit());
        assert_eq!(cluster.status_after(pinned, false, None).count().await, 0);
        drop(cluster);
        lone.stop().await;
    }

    #[tokio::test]
    async fn a_cursor_outlives_its_pin() {
        let lone = Lone::start(|_| ()).await;
        for n in 0..5 {
            lone.cluster.pin(cid(n), PinOptions::default()).await.unwrap();
        }
        let whole: Vec<Cid> = lone.cluster.allocations(PinTypes::ALL).map(|pin| pin.unwrap().cid).collect().await;
        lone.cluster.unpin(whole[1]).await.unwrap();
        let rest = lone.cluster.allocations_after(PinTypes::ALL, Some(whole[1]));
        assert_eq!(rest.map(|pin| pin.unwrap().cid).collect::<Vec<_>>().await, whole[2..]);
        lone.stop().await;
    }
}
