//! Power cuts under writes: everything acknowledged is there, and nothing is there in part.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use super::lib::cluster::pinset::{Pinset, State};
use super::lib::crdt::{Op, Seen};
use super::lib::model::Cid;
use super::lib::store::{Options, PinsetDb};
use super::neighbour::{self, Neighbour};
use super::platter::Platter;
use super::rig::{self, OPTIONS, Rig, args, audit, name, put, start};

/// Disks, one after the other: what is on them stays small enough to be audited after each cut.
const DISKS: u64 = 8;

/// Callers that write at once.
const WRITERS: u64 = 8;

/// Keys of each of them: few, so that most writes replace or remove.
const KEYS: u64 = 200;

fn cuts() -> u64 {
    std::env::var("CUTS").map_or(200, |cuts| cuts.parse().expect("CUTS is a number"))
}

fn open(platter: &Platter) -> Option<Rig> {
    let platter = platter.clone();
    start(args(move || PinsetDb::with_backend(Path::new("platter"), platter.plug(), OPTIONS))).ok()
}

/// What one caller knows of its keys.
#[derive(Default)]
struct Known {
    /// As acknowledged.
    sure: BTreeMap<u64, Option<String>>,
    /// As asked for when the power went.
    asked: Option<(u64, Option<String>)>,
    /// Acknowledged since the last cut.
    fresh: BTreeSet<u64>,
}

impl Known {
    async fn write_until_dark(
        mut self,
        writer: u64,
        pinset: Pinset,
        theirs: Arc<Mutex<Neighbour>>,
        mut rng: StdRng,
    ) -> Self {
        loop {
            let n = writer * KEYS + rng.random_range(0..KEYS);
            let there = self.sure.get(&n).is_some_and(Option::is_some);
            let wish = (!there || rng.random_bool(0.6))
                .then(|| format!("{:x}", rng.random::<u128>()).repeat(rng.random_range(1..30)));
            self.asked = Some((n, wish.clone()));
            if rng.random_bool(0.3) {
                theirs.lock().unwrap().pin(rng.random_range(0..KEYS), &pinset);
            }
            let done = match &wish {
                Some(name) => put(&pinset, n, name).await,
                None => pinset.write(Op::Unpin(rig::cid(n)), Seen::Any).await,
            };
            if done.is_err() {
                return self;
            }
            self.asked = None;
            self.sure.insert(n, wish);
            self.fresh.insert(n);
        }
    }

    /// Compares with what is there, and takes note of it.
    fn check(&mut self, pinset: &Pinset, news: &BTreeSet<u64>) {
        assert!(self.fresh.is_subset(news), "every acknowledged wish is news for the tracker");
        self.fresh.clear();
        if let Some((n, wish)) = self.asked.take() {
            let found = name(pinset, n);
            let before = self.sure.get(&n).cloned().flatten();
            assert!(found == wish || found == before, "{n}: {found:?} is neither {wish:?} nor {before:?}");
            self.sure.insert(n, found);
        }
        for (n, wish) in &self.sure {
            assert_eq!(name(pinset, *n), *wish, "{n} was acknowledged");
        }
    }
}

/// A disk that was away and is back: whoever reads first finds the open file gone bad, and all is well again.
#[tokio::test]
async fn a_store_that_does_not_read_any_more_is_opened_again() {
    let platter = Platter::new(4);
    let disk = platter.clone();
    let uncached = Options { cache_bytes: 0 };
    let open = move || PinsetDb::with_backend(Path::new("platter"), disk.plug(), uncached);
    let rig = start(args(open)).unwrap();
    put(&rig.pinset, 1, "one").await.unwrap();
    platter.cut();
    platter.power_on();
    let mut state = rig.pinset.state();
    assert!(rig.pinset.get(&rig::cid(1)).is_err());
    state.changed().await.unwrap();
    state.wait_for(|state| *state == State::Open).await.unwrap();
    assert_eq!(name(&rig.pinset, 1).as_deref(), Some("one"));
}

#[tokio::test]
async fn what_was_acknowledged_survives_every_power_cut() {
    let (mut acknowledged, mut lost) = (0, 0);
    for disk in 0..DISKS {
        let platter = Platter::new(disk);
        acknowledged += cut_again_and_again(&platter, disk, cuts() / DISKS).await;
        lost += platter.lost();
    }
    println!("{} cuts, {acknowledged} keys acknowledged and found, {lost} writes lost or torn", cuts());
    assert!(lost > cuts());
}

/// Returns how many writes were acknowledged, and found after the cut that followed.
async fn cut_again_and_again(platter: &Platter, seed: u64, cuts: u64) -> usize {
    let cids: BTreeMap<Cid, u64> = (0..WRITERS * KEYS).map(|n| (rig::cid(n), n)).collect();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut callers: Vec<Known> = (0..WRITERS).map(|_| Known::default()).collect();
    let theirs = Arc::new(Mutex::new(Neighbour::new()));
    let (mut told, mut acknowledged) = (0, 0);
    for _ in 0..cuts {
        let rig = open(platter).expect("it opens after any cut");
        audit(&rig.pinset);
        let news = rig.pinset.news(told, usize::MAX).unwrap();
        let fresh = news.iter().filter_map(|row| cids.get(&row.cid?).copied()).collect();
        for caller in &mut callers {
            acknowledged += caller.fresh.len();
            caller.check(&rig.pinset, &fresh);
        }
        told = news.last().map_or(told, |row| row.commit);
        rig.pinset.worked_off(told);
        let changes = theirs.lock().unwrap().unsure();
        neighbour::say_again(changes, &rig.pinset).await;
        theirs.lock().unwrap().check(&rig.pinset);
        platter.cut_after(rng.random_range(1..600));
        let mut writes = JoinSet::new();
        for (writer, known) in (0..).zip(callers.drain(..)) {
            let rng = StdRng::seed_from_u64(rng.random());
            let (pinset, theirs) = (rig.pinset.clone(), theirs.clone());
            writes.spawn(async move { (writer, known.write_until_dark(writer, pinset, theirs, rng).await) });
        }
        let ended: BTreeMap<u64, Known> = writes.join_all().await.into_iter().collect();
        callers.extend(ended.into_values());
        rig.writer.stop().await.unwrap();
        platter.cut();
        platter.power_on();
        while rng.random_bool(0.3) {
            platter.cut_after(rng.random_range(1..20));
            drop(open(platter));
            platter.cut();
            platter.power_on();
        }
    }
    acknowledged
}
