//! A pinset in memory, and others who hold what they hold.
use std::collections::BTreeMap;
use std::sync::Mutex;

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::model::{Cid, PeerId, Pin};
use crate::tracker::{News, Others, Wishes, WishesError};

/// A pinset in memory.
pub struct Pinset {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    pins: BTreeMap<Cid, Pin>,
    news: Vec<News>,
    worked_off: u64,
    broken: bool,
    /// How many other peers hold whatever is asked for.
    holding: usize,
}

impl Default for Pinset {
    fn default() -> Self {
        Self { state: Mutex::default(), changed: watch::Sender::new(0) }
    }
}

impl Pinset {
    /// One commit with news of these CIDs.
    pub fn tell(&self, cids: &[Cid]) {
        let mut state = self.state.lock().unwrap();
        let commit = *self.changed.borrow() + 1;
        let news = (0..).zip(cids).map(|(n, cid)| News { commit, n, cid: Some(*cid) });
        state.news.extend(news);
        drop(state);
        self.changed.send_replace(commit);
    }

    pub fn put(&self, pins: &[Pin]) {
        self.state.lock().unwrap().pins.extend(pins.iter().map(|pin| (pin.cid, pin.clone())));
        self.tell(&pins.iter().map(|pin| pin.cid).collect::<Vec<_>>());
    }

    pub fn remove(&self, cid: &Cid) {
        self.state.lock().unwrap().pins.remove(cid);
        self.tell(std::slice::from_ref(cid));
    }

    pub fn set_broken(&self, broken: bool) {
        self.state.lock().unwrap().broken = broken;
    }

    /// One commit that puts one pin in the place of another, with news of every CID.
    pub fn replace(&self, old: &Cid, new: Pin) {
        let mut state = self.state.lock().unwrap();
        state.pins.remove(old);
        state.pins.insert(new.cid, new);
        let commit = *self.changed.borrow() + 1;
        state.news.push(News { commit, n: 0, cid: None });
        drop(state);
        self.changed.send_replace(commit);
    }

    /// From now on so many other peers hold whatever is asked for.
    pub fn set_holding(&self, others: usize) {
        self.state.lock().unwrap().holding = others;
    }

    /// The commits up to this one were worked off.
    pub fn is_worked_off(&self) -> u64 {
        self.state.lock().unwrap().worked_off
    }

    fn read(&self) -> Result<std::sync::MutexGuard<'_, State>, WishesError> {
        let state = self.state.lock().unwrap();
        if state.broken { Err(WishesError("it is being opened again".into())) } else { Ok(state) }
    }
}

impl Wishes for Pinset {
    fn news(&self, after: u64, limit: usize) -> Result<Vec<News>, WishesError> {
        Ok(self.read()?.news.iter().filter(|row| row.commit > after).take(limit).copied().collect())
    }

    fn pin(&self, cid: &Cid) -> Result<Option<Pin>, WishesError> {
        Ok(self.read()?.pins.get(cid).cloned())
    }

    fn page(&self, after: Option<&[u8]>, limit: usize) -> Result<(Vec<Pin>, Option<Vec<u8>>), WishesError> {
        let state = self.read()?;
        let after = after.map(|after| Cid::try_from(after).unwrap());
        let pins: Vec<Pin> =
            state.pins.values().filter(|p| after.is_none_or(|a| p.cid > a)).take(limit).cloned().collect();
        let next = (pins.len() == limit).then(|| pins[limit - 1].cid.to_bytes());
        Ok((pins, next))
    }

    fn worked_off(&self, commit: u64) {
        let mut state = self.state.lock().unwrap();
        state.worked_off = state.worked_off.max(commit);
        state.news.retain(|row| row.commit > commit);
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

impl Others for Pinset {
    fn hold(&self, _: Cid, holders: Vec<PeerId>, enough: usize) -> BoxFuture<'static, bool> {
        assert!(enough <= holders.len());
        let holding = self.state.lock().unwrap().holding;
        Box::pin(std::future::ready(holding >= enough))
    }
}
