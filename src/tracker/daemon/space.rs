//! Whether the daemon has room for more: by what its repository measures, and by what it says when it has none.
use std::time::Duration;

use crate::ipfs::RepoStat;
use crate::model::UnixMillis;

/// How often the repository is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(15);
/// First wait after the daemon said that its disk is full.
const WAIT_MIN: Duration = Duration::from_mins(1);
/// The longest: room that somebody makes is found within it.
const WAIT_MAX: Duration = Duration::from_mins(10);
/// So long only a few pins try it: by then a disk that is full has said so, and content that nobody has says nothing.
const TRIAL_MAX: Duration = Duration::from_mins(1);
/// By so much of its whole the repository has to shrink below the mark before pins go on: in hundredths.
const BACK: u64 = 1;

/// For how many pins there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tracker) enum Room {
    /// For all.
    Enough,
    /// For a few, which find out whether there is room again.
    Few,
    /// For none.
    Nothing,
}

/// What is known of the daemon's room.
#[derive(Debug)]
pub(in crate::tracker) struct Space {
    /// Pins wait above this part of the repository's whole, in hundredths; zero: never.
    mark: u8,
    measure_at: Option<UnixMillis>,
    over: Option<RepoStat>,
    refused: Option<Refused>,
}

/// The daemon's disk is full.
#[derive(Debug)]
struct Refused {
    said: String,
    again: UnixMillis,
    wait: Duration,
}

impl Refused {
    /// When the trial ends that nobody said anything in.
    fn forgotten(&self) -> UnixMillis {
        self.again.plus(TRIAL_MAX)
    }
}

impl Space {
    /// Room is there until somebody says that it is not.
    pub fn new(mark: u8, now: UnixMillis) -> Self {
        Self { mark, measure_at: (mark > 0).then_some(now), over: None, refused: None }
    }

    /// When the repository is to be measured; [`None`] while it is, or when nobody wants to know.
    pub fn measure_at(&self) -> Option<UnixMillis> {
        self.measure_at
    }

    /// Returns whether it is to be measured now; the caller does, and says what came of it.
    pub fn measure(&mut self, now: UnixMillis) -> bool {
        self.measure_at.take_if(|at| now >= *at).is_some()
    }

    /// It was measured; [`None`]: in vain, which changes nothing.
    pub fn measured(&mut self, stat: Option<RepoStat>, now: UnixMillis) {
        self.measure_at = Some(now.plus(MEASURE_EVERY));
        let Some(stat) = stat else { return };
        let mark = part(stat.max, u64::from(self.mark));
        let back = if self.over.is_some() { part(stat.max, BACK) } else { 0 };
        self.over = (stat.max > 0 && stat.size.saturating_add(back) >= mark).then_some(stat);
    }

    /// The daemon said that its disk is full.
    pub fn refused(&mut self, said: String, now: UnixMillis) {
        match &mut self.refused {
            // What ran beside the first is no new try.
            Some(last) if now < last.again => {}
            Some(last) => {
                last.wait = (last.wait * 2).min(WAIT_MAX);
                (last.said, last.again) = (said, now.plus(last.wait));
            }
            None => self.refused = Some(Refused { said, again: now.plus(WAIT_MIN), wait: WAIT_MIN }),
        }
    }

    /// Returns whether a pin that goes well says that there is room again.
    pub fn is_tried(&self, now: UnixMillis) -> bool {
        self.refused.as_ref().is_some_and(|last| now >= last.again)
    }

    /// A pin went well: what was full is not any more.
    pub fn fitted(&mut self, now: UnixMillis) {
        self.refused.take_if(|last| now >= last.again);
    }

    /// Somebody says that there is room: it is tried at once.
    pub fn look_again(&mut self, now: UnixMillis) {
        if let Some(last) = &mut self.refused {
            last.again = last.again.min(now);
        }
        self.measure_at = self.measure_at.map(|at| at.min(now));
    }

    /// Returns for how many pins there is room.
    pub fn room(&self, now: UnixMillis) -> Room {
        match (&self.over, &self.refused) {
            (Some(_), _) => Room::Nothing,
            (None, Some(last)) if now < last.again => Room::Nothing,
            (None, Some(last)) if now < last.forgotten() => Room::Few,
            // Kept, for the next refusal is not the first.
            (None, Some(_) | None) => Room::Enough,
        }
    }

    /// When there may be room for a few again.
    pub fn again(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.refused.as_ref().map(|last| last.again).filter(|at| *at > now)
    }

    /// When there may be room for more pins than now, by the time alone.
    pub fn more_at(&self, now: UnixMillis) -> Option<UnixMillis> {
        let moments = self.refused.as_ref().map(|last| [last.again, last.forgotten()]);
        moments.into_iter().flatten().find(|at| *at > now)
    }

    /// When it is seen next whether there is room, while there is none.
    pub fn next_look(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.again(now).or(self.measure_at.filter(|_| self.over.is_some()))
    }

    /// Returns why pins wait, and what ends that.
    pub fn reason(&self, now: UnixMillis) -> Option<String> {
        if let Some(RepoStat { size, max }) = self.over {
            let mark = self.mark;
            return Some(format!(
                "deferred: the IPFS repository has {size} of {max} bytes, above pin_tracker.stateless.disk_high_water \
                 ({mark} %); pins go on when it has less: collect garbage, or raise Datastore.StorageMax"
            ));
        }
        let said = self.refused.as_ref().filter(|last| now < last.forgotten()).map(|last| &last.said)?;
        Some(format!("deferred: the disk of the IPFS daemon is full; pins go on when it has room again: {said}"))
    }
}

/// So many hundredths of a whole.
fn part(whole: u64, hundredths: u64) -> u64 {
    u64::try_from(u128::from(whole) * u128::from(hundredths) / 100).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> UnixMillis {
        UnixMillis::from_seconds(seconds)
    }

    const fn stat(size: u64) -> RepoStat {
        RepoStat { size, max: 1000 }
    }

    #[test]
    fn above_the_mark_nothing_is_pinned_until_the_repository_has_clearly_less() {
        let mut space = Space::new(90, at(0));
        assert!(space.measure(at(0)) && !space.measure(at(60)), "it is measured once at a time");
        for (size, room) in
            [(899, Room::Enough), (900, Room::Nothing), (891, Room::Nothing), (889, Room::Enough), (895, Room::Enough)]
        {
            space.measured(Some(stat(size)), at(0));
            assert_eq!(space.room(at(0)), room, "{size}");
            assert_eq!(space.reason(at(0)).is_some(), room == Room::Nothing);
        }
        space.measured(Some(stat(990)), at(1));
        assert!(!space.measure(at(15)) && space.measure(at(16)));
        space.measured(None, at(16));
        assert_eq!(space.room(at(16)), Room::Nothing, "a daemon that says nothing has not less in it");
        assert!(space.reason(at(16)).unwrap().starts_with("deferred: the IPFS repository has 990 of 1000 bytes"));
    }

    #[test]
    fn without_a_mark_and_without_a_whole_nothing_is_measured_or_deferred() {
        assert!(!Space::new(0, at(0)).measure(at(99)));
        let mut space = Space::new(90, at(0));
        space.measured(Some(RepoStat { size: 5, max: 0 }), at(0));
        assert_eq!(space.room(at(0)), Room::Enough);
    }

    #[test]
    fn a_full_disk_is_tried_by_a_few_pins_less_and_less_often_until_one_fits() {
        let mut space = Space::new(0, at(0));
        let mut now = at(0);
        for wait in [60, 120, 240, 480, 600, 600] {
            space.refused("no space left on device".into(), now);
            space.refused("no space left on device".into(), now);
            space.fitted(now);
            assert_eq!((space.room(now), space.again(now)), (Room::Nothing, Some(now.plus(Duration::from_secs(wait)))));
            now = space.again(now).unwrap();
            assert_eq!((space.room(now), space.again(now)), (Room::Few, None));
        }
        assert!(space.reason(now).unwrap().ends_with(": no space left on device"));
        space.refused("no space left on device".into(), now);
        assert_eq!(space.room(now), Room::Nothing);
        space.look_again(now);
        assert_eq!(space.room(now), Room::Few, "somebody made room");
        space.fitted(now);
        assert_eq!((space.room(now), space.reason(now)), (Room::Enough, None));
    }

    #[test]
    fn a_trial_that_nothing_comes_of_ends_and_the_next_refusal_is_not_the_first() {
        let mut space = Space::new(0, at(0));
        space.refused("no space left on device".into(), at(0));
        for (now, room, more_at) in [
            (59, Room::Nothing, Some(60)),
            (60, Room::Few, Some(120)),
            (119, Room::Few, Some(120)),
            (120, Room::Enough, None),
        ] {
            assert_eq!((space.room(at(now)), space.more_at(at(now))), (room, more_at.map(at)), "{now}");
            assert_eq!(space.reason(at(now)).is_some(), room != Room::Enough, "{now}");
        }
        space.refused("no space left on device".into(), at(200));
        assert_eq!(space.again(at(200)), Some(at(320)));
    }
}
