//! What happens to the pins, as it happens and from where a reader left off.
use std::collections::VecDeque;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

use super::{Cluster, Error};
use crate::cluster::status::blocking;
use crate::model::{Event, PeerId, Told};
use crate::tracker::Tracker;

/// Events read at once, each at most about 1 KiB.
const PAGE: usize = 256;
/// Characters of a peer ID in an event's ID: each peer counts its own events.
const MARK: usize = 8;

impl Cluster {
    /// Returns what happens from now on, or what happened after the event with the ID `after`: each once, in order.
    ///
    /// The ID `0` is before the first event that is kept. An ID that leads nowhere, because the events after it are not
    /// kept any more or are another peer's, is answered with a [`Told`] without an event, and then with what happens
    /// from there on.
    #[must_use]
    pub fn events(&self, after: Option<&str>) -> BoxStream<'static, Result<Told, Error>> {
        let mark = mark(&self.own_id());
        let place = after.map_or(Place::Now, |id| place(&mark, id));
        let (tracker, news) = (self.inner.tracker.clone(), self.inner.tracker.news());
        let reading = Reading { tracker, news, mark, place, ready: VecDeque::new() };
        stream::unfold(Some(reading), |reading| async {
            let mut reading = reading?;
            match reading.next().await.transpose()? {
                Ok(told) => Some((Ok(told), Some(reading))),
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }
}

fn mark(own: &PeerId) -> String {
    let text = own.to_string();
    text[text.len().saturating_sub(MARK)..].to_owned()
}

/// Where reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Oldest,
    /// At the event of this number.
    At(u64),
    Now,
    /// Nowhere.
    Lost,
}

fn place(mark: &str, id: &str) -> Place {
    if id == "0" {
        return Place::Oldest;
    }
    let number = id.split_once('.').filter(|(of, _)| *of == mark).and_then(|(_, number)| number.parse::<u64>().ok());
    number.and_then(|number| number.checked_add(1)).map_or(Place::Lost, Place::At)
}

struct Reading {
    tracker: Tracker,
    news: watch::Receiver<()>,
    mark: String,
    place: Place,
    ready: VecDeque<Told>,
}

impl Reading {
    /// The next event; `None` when this peer goes down.
    async fn next(&mut self) -> Result<Option<Told>, Error> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                return Ok(Some(told));
            }
            // What is written from here on rings again.
            self.news.mark_unchanged();
            self.read().await?;
            if self.ready.is_empty() && self.news.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    async fn read(&mut self) -> Result<(), Error> {
        let (tracker, place) = (self.tracker.clone(), self.place);
        let read = move || page(&tracker, place).map_err(|error| Error::Other(error.to_string()));
        let Page { events, end, is_lost } = blocking(read).await?;
        let id = |number: u64| format!("{}.{number}", self.mark);
        if is_lost {
            // The end may be the very first event, and its ID is that of the one before.
            let id = end.checked_sub(1).map_or_else(|| "0".into(), id);
            self.ready.push_back(Told { id, event: None });
            self.place = Place::At(end);
            return Ok(());
        }
        self.place = Place::At(events.last().map_or(end, |(number, _)| number + 1));
        self.ready.extend(events.into_iter().map(|(number, event)| Told { id: id(number), event: Some(event) }));
        Ok(())
    }
}

/// What a read finds.
struct Page {
    events: Vec<(u64, Event)>,
    /// The number of the event that comes next; where reading stands when there are none.
    end: u64,
    is_lost: bool,
}

fn page(tracker: &Tracker, place: Place) -> Result<Page, crate::tracker::TrackerError> {
    let end = tracker.events_end()?;
    let lost = Page { events: Vec::new(), end, is_lost: true };
    let from = match place {
        Place::Oldest => 0,
        Place::At(number) if number <= end => number,
        Place::Now => return Ok(Page { is_lost: false, ..lost }),
        Place::At(_) | Place::Lost => return Ok(lost),
    };
    let events = tracker.events(from, PAGE)?;
    let is_whole = events.first().is_none_or(|(number, _)| *number == from) || place == Place::Oldest;
    Ok(if is_whole { Page { events, end, is_lost: false } } else { lost })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::{Lone, cid};
    use crate::model::{Happening, PinOptions};

    const PINS: u64 = 100;

    fn wished(told: Result<Told, Error>) -> (String, crate::model::Cid) {
        match told.unwrap() {
            Told { id, event: Some(Event { what: Happening::Wished(cid), .. }) } => (id, cid),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_reader_that_comes_back_a_hundred_times_sees_each_event_once() {
        let lone = Lone::start(|_| ()).await;
        let mut live = lone.cluster.events(Some("0"));
        let cluster = lone.cluster.clone();
        for n in 0..PINS {
            cluster.pin(cid(n), PinOptions::default()).await.unwrap();
        }
        let (mut last, begun) = wished(live.next().await.unwrap());
        let mut seen = vec![begun];
        for _ in 1..PINS {
            let mut events = cluster.events(Some(&last));
            let (id, cid) = wished(events.next().await.unwrap());
            seen.push(cid);
            last = id;
        }
        let mut other = vec![begun];
        for _ in 1..PINS {
            other.push(wished(live.next().await.unwrap()).1);
        }
        assert_eq!(seen, other);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len() as u64, PINS);
        cluster.unpin(cid(0)).await.unwrap();
        let told = cluster.events(Some(&last)).next().await.unwrap().unwrap();
        assert_eq!(told.event.unwrap().what, Happening::Dropped(cid(0)));
        drop((live, cluster));
        lone.stop().await;
    }

    #[tokio::test]
    async fn ids_outlive_a_restart() {
        let lone = Lone::start(|_| ()).await;
        let mut events = lone.cluster.events(Some("0"));
        for n in 0..3 {
            lone.cluster.pin(cid(n), PinOptions::default()).await.unwrap();
        }
        let last = loop {
            let told = events.next().await.unwrap().unwrap();
            if told.event.unwrap().what == Happening::Wished(cid(1)) {
                break told.id;
            }
        };
        drop(events);
        let lone = lone.stop().await.start().await;
        assert_eq!(wished(lone.cluster.events(Some(&last)).next().await.unwrap()).1, cid(2));
        lone.stop().await;
    }

    #[tokio::test]
    async fn an_id_that_leads_nowhere_is_told_so() {
        let lone = Lone::start(|_| ()).await;
        let mark = mark(&lone.cluster.own_id());
        for id in ["", "x", "7", "nobody.3", &format!("{mark}.99999"), &format!("{mark}.{}", u64::MAX)] {
            let mut events = lone.cluster.events(Some(id));
            let reset = events.next().await.unwrap().unwrap();
            assert_eq!(reset.event, None, "{id}");
            // Its ID is one to go on from.
            let mut again = lone.cluster.events(Some(&reset.id));
            lone.cluster.pin(cid(1), PinOptions { name: id.into(), ..PinOptions::default() }).await.unwrap();
            let next = again.next().await.unwrap().unwrap();
            assert!(next.event.is_some(), "{id}");
            assert_eq!(events.next().await.unwrap().unwrap(), next, "{id}");
        }
        let mut open = lone.cluster.events(None);
        let cluster = lone.cluster.clone();
        lone.stop().await;
        assert!(open.next().await.is_none());
        assert!(cluster.events(Some("0")).next().await.is_some());
    }
}
