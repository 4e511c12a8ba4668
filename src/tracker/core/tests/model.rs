//! The queue beside a reference: what is wanted, what the daemon holds, and what it was asked for.
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::ipfs::Held;

/// Small enough that everything runs full: places, and the window over the ledger.
const TIGHT: Limits = Limits { transfers: 2, probes: 3, unpins: 1, window: 8 };
/// CIDs that come and go.
const CIDS: u64 = 14;
/// CIDs that somebody else pinned, and the cluster never wants.
const FOREIGN: std::ops::Range<u64> = 100..103;
/// Each round ends as many jobs as run; the longest wait is a day and a quarter.
const ROUNDS: usize = 40;
const ROUND: Duration = Duration::from_hours(31);

/// One step; the queue acts after each.
#[derive(Clone, Debug)]
enum Do {
    /// The pinset changes: wanted directly, wanted whole, or not wanted. The queue has yet to read it.
    Wish(u64, Option<bool>),
    /// The queue reads what changed.
    Read,
    /// The queue looks at every pin and every row.
    Walk,
    Recover(u64),
    Progress(u64),
    /// A job ends, this way; a call that failed or was cancelled may have done its work all the same.
    End(u64, How, bool),
    /// The daemon loses a pin.
    Lose(u64),
    /// What the daemon holds is listed, which takes until the next [`Do::Judge`].
    List,
    /// What was not listed is judged.
    Judge,
    /// Ledger or pinset cannot be read when the next job is to start.
    Unreadable,
    /// The daemon has so much room.
    Room(Room),
    /// As many pins are queued as may be, or not any more.
    Full(bool),
    Later(Duration),
    /// The process ends and begins; calls that ran may have done their work.
    Restart(bool),
}

/// How a job ends where it can.
#[derive(Clone, Copy, Debug)]
enum How {
    Well,
    Unreachable,
    Refused,
    Stalled,
    Garbled,
    Full,
    Kept,
    Disabled,
}

impl How {
    fn outcome(self, of: Cid, kind: Kind, is_ending: bool) -> Outcome {
        let silent = Duration::from_mins(2);
        match (self, kind) {
            (Self::Well, _) => WELL,
            // Only a pin is cut short.
            (_, Kind::Pin) if is_ending => Outcome::Cancelled,
            (Self::Kept, Kind::Unpin) => Outcome::Kept,
            (Self::Disabled, Kind::Unpin) => Outcome::Failed(IpfsError::UnpinDisabled),
            (Self::Unreachable, _) => Outcome::Failed(IpfsError::Unreachable("EOF".into())),
            (Self::Stalled, _) => Outcome::Failed(IpfsError::Stalled { cid: of, silent }),
            (Self::Full, _) => Outcome::Failed(IpfsError::Full("no space left on device".into())),
            (Self::Garbled, _) => Outcome::Failed(IpfsError::Garbled("{".into())),
            (Self::Refused | Self::Kept | Self::Disabled, _) => refused(),
        }
    }
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        4 => Just(How::Well),
        1 => Just(How::Unreachable),
        1 => Just(How::Refused),
        1 => Just(How::Stalled),
        1 => Just(How::Garbled),
        1 => Just(How::Full),
        1 => Just(How::Kept),
        1 => Just(How::Disabled),
    ]
}

fn step() -> impl Strategy<Value = Do> {
    let n = 0..CIDS;
    prop_oneof![
        6 => (n.clone(), proptest::option::of(any::<bool>())).prop_map(|(n, wish)| Do::Wish(n, wish)),
        4 => Just(Do::Read),
        1 => Just(Do::Walk),
        2 => n.clone().prop_map(Do::Recover),
        4 => n.clone().prop_map(Do::Progress),
        12 => (n.clone(), how(), any::<bool>()).prop_map(|(n, how, effect)| Do::End(n, how, effect)),
        1 => n.prop_map(Do::Lose),
        1 => Just(Do::List),
        1 => Just(Do::Judge),
        1 => Just(Do::Unreadable),
        1 => prop_oneof![Just(Room::Enough), Just(Room::Few), Just(Room::Nothing)].prop_map(Do::Room),
        1 => any::<bool>().prop_map(Do::Full),
        4 => (0..5_000_000_u64).prop_map(|millis| Do::Later(Duration::from_millis(millis))),
        2 => (0..2_000_u64).prop_map(|millis| Do::Later(Duration::from_millis(millis))),
        1 => any::<bool>().prop_map(Do::Restart),
    ]
}

#[derive(Clone, Copy, Debug)]
struct Call {
    kind: Kind,
    direct: bool,
}

/// The shell, the daemon and the wishes around a queue.
struct World {
    queue: Queue,
    rows: BTreeMap<Cid, Row>,
    calls: BTreeMap<Cid, Call>,
    /// Calls that were told to end.
    ending: BTreeSet<Cid>,
    /// What is wanted, each with whether directly.
    wanted: BTreeMap<Cid, bool>,
    /// Whose wish changed, and the queue has not read it.
    news: BTreeSet<Cid>,
    held: BTreeMap<Cid, Held>,
    /// What the daemon was asked to pin and has not been made to let go of.
    asked: BTreeSet<Cid>,
    /// What the daemon lost by itself.
    lost: BTreeSet<Cid>,
    list: Option<(UnixMillis, BTreeMap<Cid, Held>)>,
    unreadable: bool,
    room: Room,
    due_at: Option<UnixMillis>,
    now: UnixMillis,
}

impl World {
    fn new() -> Self {
        Self {
            queue: Queue::new(TIGHT),
            rows: BTreeMap::new(),
            calls: BTreeMap::new(),
            ending: BTreeSet::new(),
            wanted: BTreeMap::new(),
            news: BTreeSet::new(),
            held: FOREIGN.map(|n| (cid(n), Held::Recursive)).collect(),
            asked: BTreeSet::new(),
            lost: BTreeSet::new(),
            list: None,
            unreadable: false,
            room: Room::Enough,
            due_at: None,
            now: at(100),
        }
    }

    fn run(&mut self, step: &Do) {
        match *step {
            Do::Wish(n, Some(direct)) => self.wish(cid(n), Some(direct)),
            Do::Wish(n, None) => self.wish(cid(n), None),
            Do::Read => {
                for of in std::mem::take(&mut self.news) {
                    self.tell(of, true);
                }
            }
            Do::Walk => self.walk(),
            Do::Recover(n) => self.recover(cid(n)),
            Do::Progress(n) => self.progress(cid(n)),
            Do::End(n, how, effect) => self.end(cid(n), how, effect),
            Do::Lose(n) => {
                if self.held.remove(&cid(n)).is_some() {
                    self.lost.insert(cid(n));
                }
            }
            Do::List => self.list = Some((self.now, self.held.clone())),
            Do::Judge => self.judge(),
            Do::Unreadable => self.unreadable = true,
            Do::Room(room) => self.room = room,
            Do::Full(is_full) => self.queue.set_full(is_full),
            Do::Later(after) => self.now = self.now.plus(after),
            Do::Restart(effect) => self.restart(effect),
        }
        self.turn();
        self.check();
    }

    fn wish(&mut self, of: Cid, wish: Option<bool>) {
        match wish {
            Some(direct) => self.wanted.insert(of, direct),
            None => self.wanted.remove(&of),
        };
        self.news.insert(of);
    }

    /// As the loop does for each CID that it reads.
    fn tell(&mut self, of: Cid, again: bool) {
        let row = self.rows.get(&of).cloned();
        let effects = match self.wanted.get(&of) {
            Some(direct) => self.queue.want(of, *direct, again, row, self.now),
            None => self.queue.forget(of, row, self.now),
        };
        self.apply(effects);
    }

    fn walk(&mut self) {
        let all: BTreeSet<Cid> = self.wanted.keys().chain(self.rows.keys()).copied().collect();
        self.news.clear();
        for of in all {
            self.tell(of, false);
        }
    }

    fn recover(&mut self, of: Cid) {
        let row = self.rows.get(&of).cloned();
        let effects = match (row, self.wanted.get(&of)) {
            (None, Some(direct)) => self.queue.want(of, *direct, true, None, self.now),
            (row, _) => self.queue.recover(of, row, self.now),
        };
        self.apply(effects);
    }

    fn progress(&mut self, of: Cid) {
        if self.calls.get(&of).is_some_and(|call| call.kind == Kind::Pin) {
            let progress = Progress { blocks: 1, bytes: 1_000 };
            let effects = self.queue.progress(of, progress, self.rows.get(&of).cloned(), self.now);
            self.apply(effects);
        }
    }

    fn end(&mut self, of: Cid, how: How, effect: bool) {
        let Some(call) = self.calls.remove(&of) else { return };
        let outcome = how.outcome(of, call.kind, self.ending.remove(&of));
        let is_done = match &outcome {
            Outcome::Done(_) => true,
            Outcome::Kept | Outcome::NoRoom(_) | Outcome::Failed(IpfsError::UnpinDisabled | IpfsError::Refused(_)) => {
                false
            }
            Outcome::Cancelled | Outcome::Failed(_) => effect,
        };
        if is_done {
            self.act(of, call);
        }
        let effects = self.queue.done(of, outcome, self.rows.get(&of).cloned(), self.now);
        self.apply(effects);
    }

    /// What the daemon does: a DAG that is held whole stays so.
    fn act(&mut self, of: Cid, call: Call) {
        if call.kind == Kind::Unpin {
            self.held.remove(&of);
            return;
        }
        self.lost.remove(&of);
        let held = if call.direct { Held::Direct } else { Held::Recursive };
        let slot = self.held.entry(of).or_insert(held);
        if held == Held::Recursive {
            *slot = held;
        }
    }

    fn judge(&mut self) {
        let Some((began, list)) = self.list.take() else { return };
        for (of, row) in self.rows.clone() {
            if !is_enough(list.get(&of), row.direct) && row.since < began {
                let effects = self.queue.missing(of, &row, self.now);
                self.apply(effects);
            }
        }
    }

    fn restart(&mut self, effect: bool) {
        for (of, call) in std::mem::take(&mut self.calls) {
            if effect {
                self.act(of, call);
            }
        }
        (self.queue, self.list, self.due_at) = (Queue::new(TIGHT), None, None);
        self.ending.clear();
        for row in self.rows.values_mut().filter(|row| row.due == Due::Running) {
            *row = interrupted(row.clone(), self.now);
        }
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Put(of, row) => {
                    self.rows.insert(of, row);
                }
                Effect::Remove(of) => {
                    assert!(self.rows.remove(&of).is_some(), "{of} has no row to remove");
                    self.asked.remove(&of);
                    self.lost.remove(&of);
                }
                Effect::Cancel(of) => {
                    assert_eq!(self.calls[&of].kind, Kind::Pin, "an unpin is not cut short");
                    assert!(self.ending.insert(of), "it is told once");
                }
            }
        }
    }

    /// As the loop does between two events.
    fn turn(&mut self) {
        if self.due_at.is_some_and(|at| at <= self.now) {
            self.queue.came_due();
        }
        if self.queue.wants_load() {
            self.load();
        }
        while let Some(next) = self.queue.next(self.room, self.now) {
            match next {
                Next::Start(of, kind) if std::mem::take(&mut self.unreadable) => {
                    self.queue.put_back(of, kind);
                    break;
                }
                Next::Start(of, kind) => {
                    assert!(kind == Kind::Unpin || self.room != Room::Nothing, "nothing is pinned without room");
                    self.start(of, kind);
                }
                Next::Cancel(of) => self.apply(vec![Effect::Cancel(of)]),
            }
        }
        let due = self.rows.values().filter_map(|row| if let Due::At(at) = row.due { Some(at) } else { None });
        self.due_at = due.filter(|at| *at > self.now).min();
    }

    fn is_due(&self, row: &Row) -> bool {
        matches!(row.due, Due::At(at) if at <= self.now)
    }

    fn load(&mut self) {
        let mut rows: Vec<_> = self.rows.iter().filter(|(_, row)| self.is_due(row)).collect();
        rows.sort_by_key(|(_, row)| row.due.key());
        let max = self.queue.load_max();
        let complete = rows.len() < max;
        let rows: Vec<_> = rows.into_iter().take(max).map(|(of, row)| (*of, row.clone())).collect();
        self.queue.load(rows, complete);
    }

    fn start(&mut self, of: Cid, kind: Kind) {
        let (row, wish) = (self.rows.get(&of).cloned(), self.wanted.get(&of).copied());
        let effects = match (kind, wish, row) {
            (Kind::Pin, Some(direct), Some(row)) => {
                self.begin(of, Call { kind, direct });
                self.queue.start(of, kind, Row { direct, ..row }, self.now)
            }
            (Kind::Unpin, None, Some(row)) => {
                assert!(self.asked.contains(&of), "{of} is unpinned, and nobody asked for it");
                self.begin(of, Call { kind, direct: false });
                self.queue.start(of, kind, row, self.now)
            }
            (_, wish, row) => {
                self.queue.drop_start(&of);
                match wish {
                    Some(direct) => self.queue.want(of, direct, true, row, self.now),
                    None => self.queue.forget(of, row, self.now),
                }
            }
        };
        self.apply(effects);
    }

    fn begin(&mut self, of: Cid, call: Call) {
        if call.kind == Kind::Pin {
            self.asked.insert(of);
        }
        assert!(self.calls.insert(of, call).is_none(), "one job a CID");
    }

    /// What holds at every moment.
    fn check(&self) {
        self.check_bounds();
        for n in 0..CIDS {
            self.check_row(cid(n), self.rows.get(&cid(n)));
        }
        for n in FOREIGN {
            assert!(!self.rows.contains_key(&cid(n)) && self.held.contains_key(&cid(n)), "{n} is nobody's business");
        }
    }

    fn check_bounds(&self) {
        let unpins = self.calls.values().filter(|call| call.kind == Kind::Unpin).count();
        assert!(unpins <= TIGHT.unpins && self.calls.len() - unpins <= TIGHT.probes + TIGHT.transfers);
        assert!(self.queue.running(|phase| phase == Phase::Transferring) <= TIGHT.transfers);
        assert!(self.queue.running(|phase| phase == Phase::Probing) <= TIGHT.probes);
        assert!(self.queue.lanes.len() <= TIGHT.window);
        assert!(self.queue.jobs.keys().eq(self.calls.keys()), "what runs is what the queue says");
        assert!(!self.calls.keys().any(|of| self.queue.lanes.contains(of)), "what runs does not wait");
        assert!(self.calls.keys().all(|of| self.rows.contains_key(of)), "a row for all that runs");
    }

    fn check_row(&self, of: Cid, row: Option<&Row>) {
        if !self.news.contains(&of) {
            let known = row.filter(|row| !is_unpin(row.status)).map(|row| row.direct);
            assert_eq!(known, self.wanted.get(&of).copied(), "{row:?}");
        }
        let Some(row) = row else {
            assert!(!self.held.contains_key(&of), "{of} is held and forgotten");
            return;
        };
        let runs = self.calls.get(&of).map(|call| call.kind);
        if row.due == Due::Running {
            let kind = if is_unpin(row.status) { Kind::Unpin } else { Kind::Pin };
            assert_eq!(runs, Some(kind), "it runs on paper only: {row:?}");
        }
        if self.is_due(row) && runs.is_none() {
            assert!(self.queue.lanes.contains(&of) || self.queue.more, "nobody comes back to {row:?}");
        }
        if row.status == Status::Pinned {
            let is_held = is_enough(self.held.get(&of), row.direct);
            assert!(is_held || self.lost.contains(&of), "{of} is pinned on paper only");
        }
    }

    /// Time goes on, and every call succeeds.
    fn settle(&mut self) {
        self.run(&Do::Room(Room::Enough));
        self.run(&Do::Full(false));
        for _ in 0..ROUNDS {
            self.run(&Do::Read);
            for n in 0..CIDS {
                // What nobody may unpin waits for somebody who says that it may be now.
                if self.rows.get(&cid(n)).is_some_and(|row| row.due == Due::Never) {
                    self.run(&Do::Recover(n));
                }
                self.run(&Do::End(n, How::Well, true));
            }
            for step in [Do::Later(ROUND), Do::List, Do::Judge] {
                self.run(&step);
            }
        }
    }
}

/// Whether what is held is what is wanted, or more.
fn is_enough(held: Option<&Held>, direct: bool) -> bool {
    held.is_some_and(|held| direct || *held == Held::Recursive)
}

proptest! {
    #[test]
    fn whatever_happens_the_daemon_ends_with_what_is_wanted(steps in proptest::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        world.settle();
        let foreign = FOREIGN.map(cid);
        let wanted: BTreeSet<Cid> = world.wanted.keys().copied().collect();
        let expected: BTreeSet<Cid> = wanted.iter().copied().chain(foreign).collect();
        prop_assert_eq!(world.held.keys().copied().collect::<BTreeSet<_>>(), expected);
        for (of, direct) in &world.wanted {
            prop_assert!(is_enough(world.held.get(of), *direct));
        }
        prop_assert_eq!(world.rows.keys().copied().collect::<BTreeSet<_>>(), wanted);
        prop_assert!(world.rows.values().all(|row| row.status == Status::Pinned && row.due == Due::Settled));
        prop_assert!(world.calls.is_empty());
        prop_assert_eq!(world.queue.load_now(), Queue::new(TIGHT).load_now());
    }
}
