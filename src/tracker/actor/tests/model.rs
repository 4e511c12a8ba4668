//! The whole tracker beside a reference: any wishes, any faults of the daemon, lives that end in the middle of anything.
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// CIDs that are wanted here at times, and their number.
const OURS: std::ops::Range<u64> = 0..12;
/// CIDs that only others ever hold.
const OF_OTHERS: std::ops::Range<u64> = 50..53;
/// CIDs that somebody pinned by himself.
const FOREIGN: std::ops::Range<u64> = 90..93;
/// All is well again for this long: every wait of a few failures ends within it.
const LONG: Duration = Duration::from_hours(6);

#[derive(Clone, Debug)]
enum Do {
    /// Wanted here, directly or whole; several in one commit.
    Put(Vec<u64>, bool),
    /// Wanted of others.
    Elsewhere(u64),
    Remove(u64),
    /// One commit that takes one pin for another, and does not say which.
    Replace(u64, u64),
    Script(u64, Script),
    Away(bool),
    Hung(bool),
    UnpinsFail(bool),
    ListCut(bool),
    /// The pinset cannot be read.
    Broken(bool),
    Lose(u64),
    Holding(usize),
    Recover(u64),
    RecoverAll,
    Wait(Duration),
    /// Whatever runs goes on a little.
    Yield(usize),
}

fn script() -> impl Strategy<Value = Script> {
    prop_oneof![
        Just(Script::Hang),
        (1..200_u64).prop_map(|seconds| Script::Stall(Duration::from_secs(seconds))),
        (1..30_u64, 1..20_u64).prop_map(|(blocks, every)| Script::Slow(blocks, Duration::from_millis(every * 100))),
        Just(Script::Fail(IpfsError::Refused("no".into()))),
        Just(Script::Fail(IpfsError::Unreachable("EOF".into()))),
        Just(Script::Fail(IpfsError::Garbled("{".into()))),
    ]
}

fn step() -> impl Strategy<Value = Do> {
    let n = OURS;
    prop_oneof![
        6 => (proptest::collection::vec(n.clone(), 1..4), any::<bool>()).prop_map(|(n, direct)| Do::Put(n, direct)),
        4 => n.clone().prop_map(Do::Remove),
        2 => prop_oneof![n.clone(), OF_OTHERS].prop_map(Do::Elsewhere),
        1 => (n.clone(), n.clone()).prop_map(|(old, new)| Do::Replace(old, new)),
        4 => (n.clone(), script()).prop_map(|(n, script)| Do::Script(n, script)),
        1 => any::<bool>().prop_map(Do::Away),
        1 => any::<bool>().prop_map(Do::Hung),
        1 => any::<bool>().prop_map(Do::UnpinsFail),
        1 => any::<bool>().prop_map(Do::ListCut),
        1 => any::<bool>().prop_map(Do::Broken),
        1 => n.clone().prop_map(Do::Lose),
        1 => (0..2_usize).prop_map(Do::Holding),
        2 => n.prop_map(Do::Recover),
        1 => Just(Do::RecoverAll),
        6 => (1..2_000_u64).prop_map(|millis| Do::Wait(Duration::from_millis(millis))),
        2 => (1..2_000_u64).prop_map(|seconds| Do::Wait(Duration::from_secs(seconds))),
        4 => (1..40_usize).prop_map(Do::Yield),
    ]
}

/// What outlives a process.
struct World {
    dir: tempfile::TempDir,
    wishes: Arc<Pinset>,
    ipfs: Fake,
    /// What is wanted here, each with whether directly.
    wanted: BTreeMap<u64, bool>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (wishes, ipfs) = (Arc::new(Pinset::default()), Fake::default());
        for n in FOREIGN {
            ipfs.set_held(cid(n), Some(Held::Recursive));
        }
        Self { dir, wishes, ipfs, wanted: BTreeMap::new() }
    }

    fn live(&mut self, steps: &[Do]) {
        let (dir, wishes, ipfs) = (self.dir.path().to_owned(), self.wishes.clone(), self.ipfs.clone());
        live(&dir, &wishes, &ipfs, async |tracker| {
            for step in steps {
                self.run(step, tracker).await;
                assert!(self.ipfs.running().0 <= 10 + PROBES_MAX);
            }
        });
    }

    async fn run(&mut self, step: &Do, tracker: &Tracker) {
        match step {
            Do::Put(numbers, direct) => self.put(numbers, *direct),
            Do::Elsewhere(n) => {
                self.wanted.remove(n);
                self.wishes.put(&[elsewhere(*n)]);
            }
            Do::Remove(n) => {
                self.wanted.remove(n);
                self.wishes.remove(&cid(*n));
            }
            Do::Replace(old, new) => {
                self.wanted.remove(old);
                self.wanted.insert(*new, false);
                self.wishes.replace(&cid(*old), pin(*new));
            }
            Do::Script(n, script) => self.ipfs.script(cid(*n), script.clone()),
            Do::Away(away) => self.ipfs.set_away(*away),
            Do::Hung(hung) => self.ipfs.set_hung(*hung),
            Do::UnpinsFail(fail) => self.ipfs.set_unpins_fail(*fail),
            Do::ListCut(cut) => self.ipfs.set_list_cut(*cut),
            Do::Broken(broken) => self.wishes.set_broken(*broken),
            Do::Lose(n) => self.ipfs.set_held(cid(*n), None),
            Do::Holding(others) => self.wishes.set_holding(*others),
            // A pinset that cannot be read is an answer, too.
            Do::Recover(n) => drop(tracker.recover(&cid(*n)).await),
            Do::RecoverAll => drop(tracker.recover_all().collect::<Vec<_>>().await),
            Do::Wait(time) => tokio::time::sleep(*time).await,
            Do::Yield(times) => {
                for _ in 0..*times {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn put(&mut self, numbers: &[u64], direct: bool) {
        let max_depth = if direct { MaxDepth::Direct } else { MaxDepth::Recursive };
        let pins: Vec<Pin> = numbers.iter().map(|n| Pin { max_depth, ..pin(*n) }).collect();
        self.wanted.extend(numbers.iter().map(|n| (*n, direct)));
        self.wishes.put(&pins);
    }

    /// Everything is well from now on.
    fn mend(&self) {
        OURS.for_each(|n| self.ipfs.provide(cid(n)));
        self.ipfs.set_away(false);
        self.ipfs.set_hung(false);
        self.ipfs.set_unpins_fail(false);
        self.ipfs.set_list_cut(false);
        self.wishes.set_broken(false);
        self.wishes.set_holding(1);
    }

    /// The last life, in which all comes to rest.
    fn settle(&self) {
        live(self.dir.path(), &self.wishes, &self.ipfs, async |tracker| {
            self.mend();
            tokio::time::sleep(LONG).await;
            self.check_daemon();
            assert_eq!(tracker.kept().unwrap(), 0, "everything is read");
            let counts = tracker.counts().unwrap();
            for status in Status::ALL {
                let expected = if status == Status::Pinned { self.wanted.len() as u64 } else { 0 };
                assert_eq!(counts.of(status), expected, "{status:?} of {counts:?}");
            }
            assert_eq!(tracker.load(), Queue::new(LIMITS).load_now(), "nothing waits and nothing runs");
            let pinned = tracker.statuses(StatusFilter(Status::Pinned.bit()));
            let pinned: BTreeSet<Cid> = pinned.map_ok(|info| info.cid).try_collect().await.unwrap();
            assert_eq!(pinned, self.wanted.keys().map(|n| cid(*n)).collect());
        });
    }

    fn check_daemon(&self) {
        let held = self.ipfs.all();
        let expected: BTreeSet<Cid> = self.wanted.keys().copied().chain(FOREIGN).map(cid).collect();
        assert_eq!(held.keys().copied().collect::<BTreeSet<_>>(), expected, "{:?}", self.ipfs.calls());
        for (n, direct) in &self.wanted {
            assert!(*direct || held[&cid(*n)] == Held::Recursive, "{n} is not held whole");
        }
        let others: BTreeSet<String> = FOREIGN.chain(OF_OTHERS).map(|n| cid(n).to_string()).collect();
        let touched = self.ipfs.calls().into_iter().find(|call| others.contains(call.rsplit(' ').next().unwrap()));
        assert_eq!(touched, None, "nobody asked for it");
        assert_eq!(self.ipfs.running().0, 0);
    }
}

const LIMITS: Limits = Limits { transfers: 1, probes: 1, unpins: 1, window: 1 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_happens_the_daemon_ends_with_what_is_wanted(
        lives in proptest::collection::vec(proptest::collection::vec(step(), 1..40), 1..4),
    ) {
        let mut world = World::new();
        for life in &lives {
            world.live(life);
        }
        world.settle();
    }
}
