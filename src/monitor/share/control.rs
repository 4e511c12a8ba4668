//! When a follower takes more, and when less.
use std::time::Duration;

use super::offers::{Ends, Offers, Taken};
use super::terms::Terms;
use crate::model::UnixMillis;

/// Above this part of the budget, in percent, less is taken: the rest is for sizes that turn out larger.
const HIGH: u64 = 97;
/// Up to this part it is filled.
const FILL: u64 = 95;
/// From this part on a pin that does not fit is where taking ends.
const FULL: u64 = 92;
/// More is taken only where it fills this part more: else the last pins would come and go for ever.
const GAIN: u64 = 2;
/// A follower promises no more than this part of its budget that it does not hold yet. Others let go of what it
/// promises, and a slow one may take weeks to hold it.
const AHEAD: u64 = 10;

/// Moves a follower's terms: down at once, up a step at a time.
///
/// Pins prefer near followers and followers near pins, by one and the same distance. So there is one stable share: the
/// nearest pair of all holds whatever the others do, then the next, and so on; it is found from any start, with news
/// late or lost, and nobody has to agree on anything.
#[derive(Clone, Debug)]
pub(super) struct Control {
    wait: Duration,
    /// Nothing more is taken before.
    not_before: UnixMillis,
}

impl Control {
    /// Waits at least `wait` between two steps up.
    pub fn new(wait: Duration) -> Self {
        Self { wait, not_before: UnixMillis(i64::MIN) }
    }

    /// Returns new terms for what a pass found beside `named` bytes of pins that are this follower's by name; `jitter` is
    /// any number.
    pub fn judge(
        &mut self,
        terms: &Terms,
        (named, offers): (u64, &mut Offers),
        (now, jitter): (UnixMillis, u8),
    ) -> Option<Terms> {
        let part = |percent: u64| terms.budget / 100 * percent + terms.budget % 100 * percent / 100;
        let ends =
            |ahead| Ends { room: part(FILL).saturating_sub(named), full: part(FULL).saturating_sub(named), ahead };
        let within = offers.within(terms);
        if named.saturating_add(within) > part(HIGH) {
            let Taken { reach, refused, .. } = offers.fill(ends(u64::MAX));
            self.wait_from(now, jitter);
            return Some(Terms { budget: terms.budget, reach: reach.min(terms.reach), refused })
                .filter(|new| new != terms);
        }
        if self.is_waiting(now) {
            return None;
        }
        let Taken { bytes, reach, refused } = offers.fill(ends(part(AHEAD)));
        let is_all = reach == u64::MAX && bytes >= within;
        let gain = if within == 0 { 1 } else { part(GAIN).max(1) };
        let is_more = is_all || bytes >= within.saturating_add(gain);
        let new = Terms { budget: terms.budget, reach, refused };
        (is_more && new != *terms).then(|| {
            self.wait_from(now, jitter);
            new
        })
    }

    /// Returns whether more may be taken when some time has passed.
    pub fn is_waiting(&self, now: UnixMillis) -> bool {
        now < self.not_before
    }

    fn wait_from(&mut self, now: UnixMillis, jitter: u8) {
        self.not_before = now.plus(self.wait + self.wait * u32::from(jitter) / 256);
    }
}

#[cfg(test)]
mod tests {
    use super::super::offers::Offer;
    use super::*;
    use crate::monitor::testing::at;

    /// Pins of 10 bytes at 10, 20, ..; the first `held` are here.
    fn offers(terms: &Terms, count: u64, held: u64) -> Offers {
        let mut offers = Offers::new(terms);
        for n in 1..=count {
            let missing = if n <= held { 0 } else { 10 };
            offers.add(Offer { draw: n * 10, bytes: 10, missing, pin: u32::try_from(n).unwrap() });
        }
        offers
    }

    fn control() -> Control {
        Control::new(Duration::from_secs(30))
    }

    fn judge(control: &mut Control, terms: &Terms, (count, held): (u64, u64), now: i64) -> Option<Terms> {
        control.judge(terms, (0, &mut offers(terms, count, held)), (at(now), 0))
    }

    #[test]
    fn more_is_taken_a_step_at_a_time_and_only_when_the_last_one_is_here() {
        let (mut control, mut terms) = (control(), Terms::none(1_000));
        for (held, now, reach) in [(0, 0, 100), (9, 31, 190), (19, 62, 290)] {
            terms = judge(&mut control, &terms, (200, held), now).unwrap_or_else(|| panic!("at {now}"));
            assert_eq!(terms.reach, reach);
            assert_eq!(judge(&mut control, &terms, (200, held + 9), now + 29), None, "it waits");
            assert_eq!(judge(&mut control, &terms, (200, held), now + 31), None, "nothing came");
        }
        assert_eq!(judge(&mut control, &terms, (200, 95), 99).unwrap().reach, 950);
    }

    #[test]
    fn what_is_too_much_is_left_at_once_and_the_border_is_quiet() {
        let (mut control, terms) = (control(), Terms { reach: 980, ..Terms::none(1_000) });
        let less = judge(&mut control, &terms, (200, 98), 0).unwrap();
        assert_eq!(less.reach, 950);
        for reach in [940, 950, 960, 970] {
            let terms = Terms { reach, ..less.clone() };
            assert_eq!(judge(&mut control, &terms, (200, 200), 1_000), None, "{reach}");
        }
        assert_eq!(judge(&mut control, &Terms { reach: 930, ..less }, (200, 200), 1_000).unwrap().reach, 950);
    }

    #[test]
    fn where_there_is_room_for_everything_everything_is_taken() {
        let mut control = control();
        let terms = judge(&mut control, &Terms::none(1_000), (9, 0), 0).unwrap();
        assert_eq!(terms.reach, u64::MAX);
        assert_eq!(judge(&mut control, &terms, (9, 9), 1_000), None);
    }

    #[test]
    fn pins_by_name_count_first() {
        let (mut control, terms) = (control(), Terms { reach: 900, ..Terms::none(1_000) });
        let less = control.judge(&terms, (500, &mut offers(&terms, 90, 90)), (at(0), 0)).unwrap();
        assert_eq!(less.reach, 450);
        let none = control.judge(&terms, (5_000, &mut offers(&terms, 90, 90)), (at(0), 0)).unwrap();
        assert_eq!((none.reach, none.refused.len()), (0, 0));
    }
}
