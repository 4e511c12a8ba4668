mod model;

use std::collections::BTreeSet;

use super::*;
use crate::ipfs::fake::cid;

const fn at(seconds: i64) -> UnixMillis {
    UnixMillis::from_seconds(seconds)
}

const SMALL: Limits = Limits { transfers: 2, probes: 4, unpins: 1, window: 100 };

/// A queue over a ledger in memory.
struct Bench {
    queue: Queue,
    rows: BTreeMap<Cid, Row>,
    /// Jobs that run, as the shell sees them.
    jobs: BTreeMap<Cid, Kind>,
    /// Jobs that were told to end.
    ending: BTreeSet<Cid>,
    now: UnixMillis,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        let (rows, jobs, ending) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { queue: Queue::new(limits), rows, jobs, ending, now: at(100) }
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Put(cid, row) => {
                    self.rows.insert(cid, row);
                }
                Effect::Remove(cid) => {
                    self.rows.remove(&cid);
                }
                Effect::Cancel(cid) => {
                    assert!(self.jobs.contains_key(&cid), "only what runs is cancelled");
                    self.ending.insert(cid);
                }
            }
        }
    }

    fn row(&self, n: u64) -> Option<Row> {
        self.rows.get(&cid(n)).cloned()
    }

    fn status(&self, n: u64) -> Option<Status> {
        self.row(n).map(|row| row.status)
    }

    fn want(&mut self, n: u64) {
        let effects = self.queue.want(cid(n), false, true, self.row(n), self.now);
        self.apply(effects);
    }

    fn forget(&mut self, n: u64) {
        let effects = self.queue.forget(cid(n), self.row(n), self.now);
        self.apply(effects);
    }

    fn done(&mut self, n: u64, outcome: Outcome) {
        let ran = self.jobs.remove(&cid(n)).expect("it runs");
        self.ending.remove(&cid(n));
        let effects = self.queue.done(cid(n), outcome, self.row(n), self.now);
        self.apply(effects);
        let _ = ran;
    }

    fn progress(&mut self, n: u64) {
        let progress = Progress { blocks: 1, bytes: 1000 };
        let effects = self.queue.progress(cid(n), progress, self.row(n), self.now);
        self.apply(effects);
    }

    /// Starts and cancels what the queue says; returns the pins that began, in order.
    fn turn(&mut self) -> Vec<Cid> {
        let mut began = Vec::new();
        if self.queue.wants_load() {
            let due = |row: &Row| matches!(row.due, Due::At(due) if due <= self.now);
            let mut rows: Vec<_> = self.rows.iter().filter(|(_, row)| due(row)).map(|(c, r)| (*c, r.clone())).collect();
            rows.sort_by_key(|(_, row)| row.due.key());
            let max = self.queue.load_max();
            let complete = rows.len() < max;
            rows.truncate(max);
            self.queue.load(rows, complete);
        }
        while let Some(next) = self.queue.next(Room::Enough, self.now) {
            match next {
                Next::Start(cid, kind) => {
                    let row = self.rows[&cid].clone();
                    assert_eq!(is_unpin(row.status), kind == Kind::Unpin);
                    assert!(self.jobs.insert(cid, kind).is_none(), "one job a CID");
                    let effects = self.queue.start(cid, kind, row, self.now);
                    self.apply(effects);
                    began.push(cid);
                }
                Next::Cancel(cid) => self.apply(vec![Effect::Cancel(cid)]),
            }
        }
        began
    }

    fn later(&mut self, after: Duration) {
        self.now = self.now.plus(after);
        self.queue.came_due();
    }
}

fn refused() -> Outcome {
    Outcome::Failed(IpfsError::Refused("no".into()))
}

const WELL: Outcome = Outcome::Done(Progress { blocks: 1, bytes: 7 });
const HOUR: Duration = Duration::from_hours(1);

#[test]
fn a_wish_is_queued_pinned_and_settled() {
    let mut bench = Bench::new(SMALL);
    bench.want(1);
    assert_eq!(bench.status(1), Some(Status::PinQueued));
    assert_eq!(bench.turn(), [cid(1)]);
    let row = bench.row(1).unwrap();
    assert_eq!((row.status, row.due, row.attempts, row.asked), (Status::Pinning, Due::Running, 1, true));
    bench.done(1, WELL);
    let row = bench.row(1).unwrap();
    assert_eq!((row.status, row.due, row.attempts, row.bytes), (Status::Pinned, Due::Settled, 0, 7));
}

#[test]
fn a_failure_is_retried_after_a_minute_and_then_less_often() {
    let mut bench = Bench::new(SMALL);
    bench.want(1);
    let mut least = 60;
    for attempt in 1..5 {
        assert_eq!(bench.turn(), [cid(1)], "attempt {attempt}");
        bench.done(1, refused());
        let row = bench.row(1).unwrap();
        assert_eq!((row.status, row.attempts, row.error.as_str()), (Status::PinError, attempt, "no"));
        bench.later(Duration::from_secs(least - 1));
        assert_eq!(bench.turn(), []);
        bench.later(Duration::from_secs(1 + least / 4));
        least *= 2;
    }
}

#[test]
fn a_daemon_that_is_away_costs_no_attempt() {
    let mut bench = Bench::new(SMALL);
    bench.want(1);
    bench.turn();
    bench.done(1, Outcome::Failed(IpfsError::Unreachable("gone".into())));
    let row = bench.row(1).unwrap();
    assert_eq!((row.status, row.attempts, row.due), (Status::PinError, 0, Due::At(bench.now)));
    assert_eq!(bench.turn(), [cid(1)]);
}

#[test]
fn what_helps_nothing_is_not_tried_again_unless_somebody_asks() {
    let mut bench = Bench::new(SMALL);
    bench.want(1);
    bench.turn();
    bench.done(1, WELL);
    bench.forget(1);
    bench.turn();
    bench.done(1, Outcome::Failed(IpfsError::UnpinDisabled));
    assert_eq!(bench.row(1).unwrap().due, Due::Never);
    bench.later(HOUR * 1000);
    assert_eq!(bench.turn(), []);
    let effects = bench.queue.recover(cid(1), bench.row(1), bench.now);
    bench.apply(effects);
    assert_eq!(bench.turn(), [cid(1)]);
}

#[test]
fn only_what_the_daemon_was_asked_for_is_unpinned() {
    let mut bench = Bench::new(SMALL);
    bench.forget(1);
    bench.want(2);
    bench.forget(2);
    assert_eq!((bench.turn(), bench.rows.len()), (vec![], 0));
    bench.want(3);
    bench.turn();
    bench.done(3, refused());
    bench.forget(3);
    assert_eq!(bench.turn(), [cid(3)]);
    bench.done(3, WELL);
    assert_eq!(bench.status(3), None);
}

#[test]
fn a_wish_that_goes_while_its_pin_runs_cancels_it_and_then_unpins() {
    let mut bench = Bench::new(SMALL);
    bench.want(1);
    bench.turn();
    bench.forget(1);
    assert_eq!(bench.ending, BTreeSet::from([cid(1)]));
    assert_eq!(bench.turn(), [], "the cancelled job ends first");
    bench.done(1, Outcome::Cancelled);
    assert_eq!(bench.turn(), [cid(1)]);
    assert_eq!(bench.status(1), Some(Status::Unpinning));
}

#[test]
fn what_others_are_to_hold_is_asked_for_again_soon_and_then_each_minute() {
    let mut bench = Bench::new(SMALL);
    bench.want(1);
    bench.turn();
    bench.done(1, WELL);
    bench.forget(1);
    for wait in [5, 60, 60] {
        assert_eq!(bench.turn(), [cid(1)]);
        bench.done(1, Outcome::Kept);
        let row = bench.row(1).unwrap();
        assert_eq!((row.status, row.attempts, row.error.as_str()), (Status::UnpinQueued, 0, LEAVING));
        bench.later(Duration::from_secs(wait - 1));
        assert_eq!(bench.turn(), []);
        bench.later(Duration::from_secs(1));
    }
}

#[test]
fn what_there_was_no_room_for_is_tried_again_soon() {
    let mut bench = Bench::new(SMALL);
    bench.want(1);
    bench.turn();
    bench.done(1, Outcome::NoRoom("full".into()));
    bench.later(Duration::from_secs(9));
    assert_eq!((bench.turn(), bench.row(1).unwrap().attempts), (vec![], 0));
    bench.later(Duration::from_secs(1));
    assert_eq!(bench.turn(), [cid(1)]);
}

#[test]
fn a_wish_that_comes_back_while_its_unpin_runs_pins_after_it() {
    let mut bench = Bench::new(SMALL);
    bench.want(1);
    bench.turn();
    bench.done(1, WELL);
    bench.forget(1);
    bench.turn();
    bench.want(1);
    assert!(bench.ending.is_empty(), "an unpin is not cut short");
    assert_eq!(bench.turn(), []);
    bench.done(1, WELL);
    assert_eq!(bench.status(1), Some(Status::PinQueued));
    assert_eq!(bench.turn(), [cid(1)]);
    assert_eq!(bench.status(1), Some(Status::Pinning));
}

#[test]
fn a_direct_pin_that_is_wanted_whole_is_pinned_again() {
    let mut bench = Bench::new(SMALL);
    let effects = bench.queue.want(cid(1), true, true, None, bench.now);
    bench.apply(effects);
    bench.turn();
    let effects = bench.queue.want(cid(1), true, true, bench.row(1), bench.now);
    assert_eq!(effects, [], "the same again is under way");
    bench.want(1);
    bench.done(1, Outcome::Cancelled);
    assert_eq!(bench.turn(), [cid(1)]);
    assert!(!bench.row(1).unwrap().direct);
}

#[test]
fn a_new_pin_takes_the_place_of_the_oldest_probe_after_a_second() {
    let mut bench = Bench::new(SMALL);
    for n in 0..4 {
        bench.want(n);
        assert_eq!(bench.turn().len(), 1);
        bench.now = bench.now.plus(Duration::from_millis(1));
    }
    bench.want(9);
    assert_eq!((bench.turn(), bench.ending.len()), (vec![], 0), "a probe has a second");
    bench.now = bench.queue.next_wake().unwrap();
    bench.turn();
    assert_eq!(bench.ending, BTreeSet::from([cid(0)]));
    assert_eq!(bench.queue.next_wake(), None, "one makes way for one");
    bench.done(0, Outcome::Cancelled);
    assert_eq!(bench.turn(), [cid(9)]);
    let row = bench.row(0).unwrap();
    assert_eq!((row.status, row.attempts), (Status::PinQueued, 1));
    assert!(matches!(row.due, Due::At(due) if due >= bench.now.plus(Duration::from_secs(59))));
    assert!(row.error.starts_with("no block of"), "{}", row.error);
}

#[test]
fn retries_do_not_park_probes() {
    let mut bench = Bench::new(SMALL);
    for n in 0..4 {
        bench.want(n);
    }
    bench.turn();
    bench.rows.insert(cid(9), fresh_row(bench.now));
    bench.later(HOUR);
    assert_eq!((bench.turn(), bench.ending.len()), (vec![], 0));
}

#[test]
fn more_live_pins_than_transfers_wait_for_one_and_come_first() {
    let mut bench = Bench::new(SMALL);
    for n in 0..4 {
        bench.want(n);
    }
    bench.turn();
    for n in 0..4 {
        bench.progress(n);
    }
    assert_eq!(bench.ending.len(), 2);
    for n in [2, 3] {
        bench.done(n, Outcome::Cancelled);
        assert_eq!(bench.row(n).unwrap().attempts, 0, "it was no failure");
    }
    bench.want(9);
    assert_eq!(bench.turn(), [], "enough is known to be there");
    bench.done(0, WELL);
    assert_eq!(bench.turn(), [cid(2), cid(9)]);
}

#[test]
fn a_transfer_that_is_being_cancelled_keeps_its_place_until_it_ends() {
    let mut bench = Bench::new(SMALL);
    for transfers in [1, 2] {
        bench.want(transfers);
        bench.turn();
        bench.progress(transfers);
    }
    for probes in 3..=6 {
        bench.want(probes);
    }
    bench.turn();
    bench.progress(3);
    bench.done(3, Outcome::Cancelled);
    bench.want(7);
    assert_eq!(bench.turn(), [cid(7)], "the content of 3 is there, and no transfer is free");
    bench.forget(1);
    assert_eq!(bench.turn(), [], "six run: 1, which is to end, 2, and four probes");
    bench.done(1, Outcome::Cancelled);
    assert_eq!(bench.turn(), [cid(1), cid(3)], "an unpin, and the transfer");
}

#[test]
fn what_a_sweep_misses_is_pinned_again_and_named() {
    let mut bench = Bench::new(SMALL);
    bench.want(1);
    bench.turn();
    bench.done(1, WELL);
    let effects = bench.queue.missing(cid(1), &bench.row(1).unwrap(), bench.now);
    bench.apply(effects);
    let row = bench.row(1).unwrap();
    assert_eq!(row.status, Status::UnexpectedlyUnpinned);
    assert_eq!(row.error, "the item should be pinned but it is not");
    assert_eq!(bench.turn(), [cid(1)]);
}

#[test]
fn what_does_not_fit_in_the_window_comes_from_the_ledger() {
    let mut bench = Bench::new(SMALL);
    for n in 0..1_000 {
        bench.want(n);
    }
    assert!(bench.queue.lanes.len() <= SMALL.window);
    let mut pinned = 0;
    while pinned < 1_000 {
        let began = bench.turn();
        assert!(!began.is_empty(), "{pinned} are pinned");
        for n in 0..1_000 {
            if bench.jobs.contains_key(&cid(n)) {
                bench.done(n, WELL);
                pinned += 1;
            }
        }
    }
    assert!(bench.rows.values().all(|row| row.status == Status::Pinned));
}
