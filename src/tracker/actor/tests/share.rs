//! A peer that takes only a share of what is for everybody, and has only so much room.
use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::tracker::Share;

/// A share that is what a test says, and counts as the real one does.
#[derive(Default)]
struct Part(Mutex<State>);

#[derive(Default)]
struct State {
    taken: BTreeSet<Cid>,
    /// Whether what was begun is kept though it is not taken any more.
    keeps: bool,
    room: u64,
    held: BTreeMap<Cid, u64>,
    open: BTreeMap<Cid, u64>,
    /// The most that was ever held and promised.
    peak: u64,
}

impl State {
    fn spent(&self) -> u64 {
        let rest = |(cid, bytes): (&Cid, &u64)| bytes.saturating_sub(self.held.get(cid).copied().unwrap_or(0));
        self.held.values().sum::<u64>() + self.open.iter().map(rest).sum::<u64>()
    }
}

impl Share for Part {
    fn takes(&self, cid: &Cid, is_held: bool) -> bool {
        let state = self.0.lock().unwrap();
        state.taken.contains(cid) || (is_held && state.keeps)
    }

    fn reserve(&self, cid: &Cid, bytes: u64, counted: u64) -> bool {
        let mut state = self.0.lock().unwrap();
        let before = state.open.insert(*cid, bytes);
        let held = state.held.get(cid).copied().unwrap_or(0);
        assert!(before.is_some() || counted == held, "the job knows what is counted when it begins");
        let fits = state.spent() <= state.room;
        if !fits {
            match before {
                Some(before) => state.open.insert(*cid, before),
                None => state.open.remove(cid),
            };
        }
        state.peak = state.peak.max(state.spent());
        fits
    }

    fn close(&self, cid: &Cid) {
        self.0.lock().unwrap().open.remove(cid);
    }

    fn count(&self, cid: &Cid, before: u64, after: u64) {
        let mut state = self.0.lock().unwrap();
        assert_eq!(state.held.insert(*cid, after).unwrap_or(0), before);
        state.peak = state.peak.max(state.spent());
    }

    fn refusal(&self, cid: &Cid) -> Option<String> {
        (*cid == super::cid(9)).then(|| "too large".into())
    }
}

/// A peer that takes these pins, with room for so many bytes.
fn peer(taken: &[u64], room: u64) -> (Peer, Arc<Part>) {
    let part = Arc::new(Part::default());
    part.0.lock().unwrap().room = room;
    let dir = tempfile::tempdir().unwrap();
    let (wishes, ipfs) = (Arc::new(Pinset::default()), Fake::default());
    let args = args(Arc::new(LedgerDb::open(dir.path()).unwrap()), &wishes, &ipfs);
    let (tracker, task) = spawn(Args { share: Some(part.clone()), ..args }).unwrap();
    take(&part, taken);
    (Peer { dir, wishes, ipfs, tracker, task }, part)
}

fn take(part: &Part, taken: &[u64]) {
    part.0.lock().unwrap().taken = taken.iter().map(|n| cid(*n)).collect();
}

#[tokio::test(start_paused = true)]
async fn a_pin_that_is_not_for_it_is_remote_until_it_is() {
    let (peer, part) = peer(&[1], 10_000);
    peer.wishes.put(&[pin(1), pin(2), pin(9)]);
    peer.until(1, Status::Pinned, SOON).await;
    assert_eq!((peer.status(2), peer.status(9)), (Status::Remote, Status::Remote));
    assert_eq!(peer.tracker.status(&cid(2)).unwrap().short.error, "");
    assert_eq!(peer.tracker.status(&cid(9)).unwrap().short.error, "too large");
    take(&part, &[2]);
    peer.tracker.look(vec![cid(1), cid(2)]).await.unwrap();
    peer.until(2, Status::Pinned, SOON).await;
    assert_eq!(peer.status(1), Status::Remote);
    tokio::time::sleep(SOON).await;
    assert_eq!(peer.ipfs.all().into_keys().collect::<Vec<_>>(), [cid(2)]);
    assert_eq!(part.0.lock().unwrap().spent(), 1_000, "what was let go of is free");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_turn_is_dropped_and_what_was_begun_is_kept() {
    let (peer, part) = peer(&[1, 2], 20_000);
    peer.ipfs.script(cid(1), Script::Slow(12, Duration::from_secs(10)));
    peer.wishes.put(&[pin(1)]);
    peer.until(1, Status::Pinning, SOON).await;
    peer.ipfs.set_repo(95, 100);
    tokio::time::sleep(Duration::from_mins(1)).await;
    peer.wishes.put(&[pin(2)]);
    tokio::time::sleep(SOON).await;
    assert_eq!(peer.status(2), Status::PinQueued);
    take(&part, &[]);
    part.0.lock().unwrap().keeps = true;
    peer.tracker.look(vec![cid(1), cid(2)]).await.unwrap();
    assert_eq!(peer.status(2), Status::Remote);
    peer.until(1, Status::Pinned, Duration::from_mins(5)).await;
    assert!(!peer.ipfs.calls().contains(&format!("pin {}", cid(2))));
}

#[tokio::test(start_paused = true)]
async fn what_is_its_by_name_is_no_matter_of_shares() {
    let (peer, _part) = peer(&[], 10_000);
    let replication = Replication::Between { min: 1, max: 1 };
    let own = PeerId::from_bytes(&[0, 1, 1]).unwrap();
    peer.wishes.put(&[Pin { allocations: vec![own], ..pin(1).replicated(replication) }, elsewhere(2)]);
    peer.until(1, Status::Pinned, SOON).await;
    assert_eq!(peer.status(2), Status::Remote);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_that_there_is_no_room_for() {
    let (peer, part) = peer(&[1, 2, 3], 2_500);
    for n in 1..=3 {
        peer.ipfs.script(cid(n), Script::Slow(1, Duration::from_secs(1)));
    }
    peer.wishes.put(&[pin(1), pin(2), pin(3)]);
    tokio::time::sleep(SOON).await;
    let held: Vec<Cid> = peer.ipfs.all().into_keys().collect();
    assert_eq!(held.len(), 2);
    let left = (1..=3).find(|n| !held.contains(&cid(*n))).unwrap();
    let short = peer.tracker.status(&cid(left)).unwrap().short;
    assert_eq!((short.status, short.attempt_count), (Status::PinQueued, 0));
    assert_eq!(short.error, "there is no room for its 1000 bytes in what is left of follower.max_bytes");
    assert!(!peer.ipfs.calls().contains(&format!("pin {}", cid(left))));
    peer.wishes.remove(&held[0]);
    peer.until(left, Status::Pinned, Duration::from_mins(2)).await;
    assert!(part.0.lock().unwrap().peak <= 2_500);
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_grows_out_of_its_room_is_cut_short() {
    let (peer, part) = peer(&[1], 3_500);
    peer.ipfs.script(cid(1), Script::Slow(9, Duration::from_secs(1)));
    peer.ipfs.set_size_unknown(true);
    peer.wishes.put(&[pin(1)]);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!peer.ipfs.all().contains_key(&cid(1)));
    assert_eq!(peer.ipfs.running(), (0, 1), "it began, and runs no more");
    assert!(peer.tracker.status(&cid(1)).unwrap().short.error.starts_with("there is no room for its 4000 bytes"));
    assert!(part.0.lock().unwrap().peak <= 3_500);
    take(&part, &[]);
    peer.tracker.look(vec![cid(1)]).await.unwrap();
    assert_eq!(peer.status(1), Status::Remote);
    tokio::time::sleep(SOON).await;
    assert_eq!(part.0.lock().unwrap().spent(), 0, "the rest is let go of");
}
