//! The followers with a budget, and whose a pin is: weighted rendezvous hashing.
use std::cmp::Reverse;

use super::key::{Key, draw};
use super::terms::Terms;

/// The share of all numbers that are smaller.
#[expect(clippy::cast_precision_loss, reason = "53 bits of it are plenty to compare by")]
fn share(draw: u64) -> f64 {
    (draw as f64 + 0.5) / 18_446_744_073_709_551_616.0
}

/// One follower.
#[derive(Clone, Debug)]
struct Member {
    key: Key,
    weight: f64,
    terms: Terms,
}

impl Member {
    /// Returns whether it is nearer than `distance` to a pin that it draws `draw` for.
    ///
    /// A draw's share `v` of all numbers gives the distance `-ln(1 - v) / weight`: so each is nearest in proportion to its
    /// weight, and who comes or goes moves nothing between the others. Bounds of the logarithm decide nearly always.
    fn is_nearer(&self, draw: u64, distance: f64) -> bool {
        let (v, limit) = (share(draw), distance * self.weight);
        v < limit && (v < limit * (1.0 - v) || self.distance(draw) < distance)
    }

    fn distance(&self, draw: u64) -> f64 {
        -(-share(draw)).ln_1p() / self.weight
    }
}

/// All followers with a budget, as one of them sees them.
///
/// A pin goes to the `copies` nearest of those that accept it. Peers need not agree bit for bit: a last digit that
/// differs between machines gives one pin in 10^14 a copy more or less.
#[derive(Clone, Debug)]
pub(super) struct Circle {
    own: Member,
    /// The heaviest first: they are most often the nearer ones, so that a walk is short.
    others: Vec<Member>,
    copies: usize,
}

impl Circle {
    /// A follower alone.
    pub fn new(own: Key, terms: Terms, copies: usize) -> Self {
        Self { own: member(own, terms), others: Vec::new(), copies }
    }

    /// Takes what the others say; returns whether that is news.
    pub fn hear(&mut self, others: impl IntoIterator<Item = (Key, Terms)>) -> bool {
        let others = others.into_iter().filter(|(key, _)| *key != self.own.key);
        let mut others: Vec<Member> = others.map(|(key, terms)| member(key, terms)).collect();
        others.sort_unstable_by_key(|member| Reverse((member.terms.budget, member.key)));
        let same = |(a, b): (&Member, &Member)| a.key == b.key && a.terms == b.terms;
        let is_news = others.len() != self.others.len() || !others.iter().zip(&self.others).all(same);
        self.others = others;
        is_news
    }

    /// Says on what terms this follower itself takes pins.
    pub fn set_own(&mut self, terms: Terms) {
        self.own = member(self.own.key, terms);
    }

    pub fn own(&self) -> &Terms {
        &self.own.terms
    }

    /// Returns this follower's number for a pin, if the others leave it a copy: whether it takes that is another question.
    pub fn offer(&self, pin: Key) -> Option<u64> {
        let own = draw(self.own.key, pin);
        let distance = self.own.distance(own);
        let mut taken = 0;
        for other in &self.others {
            let draw = draw(other.key, pin);
            if other.is_nearer(draw, distance) && other.terms.accepts(draw, pin) {
                taken += 1;
                if taken >= self.copies {
                    return None;
                }
            }
        }
        Some(own)
    }

    /// Returns whether a copy is this follower's.
    pub fn is_own(&self, pin: Key) -> bool {
        self.own.terms.accepts(draw(self.own.key, pin), pin) && self.offer(pin).is_some()
    }
}

fn member(key: Key, terms: Terms) -> Member {
    #[expect(clippy::cast_precision_loss, reason = "the last digits of a budget are no matter")]
    let weight = terms.budget.max(1) as f64;
    Member { key, weight, terms }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> Key {
        Key::of(&n.to_be_bytes())
    }

    fn all(budget: u64) -> Terms {
        Terms { reach: u64::MAX, ..Terms::none(budget) }
    }

    /// Followers 1.., each as itself with all the others.
    fn circles(terms: &[Terms], copies: usize) -> Vec<Circle> {
        let named = || (1..).map(key).zip(terms.iter().cloned());
        let own = |(key, terms)| {
            let mut circle = Circle::new(key, terms, copies);
            circle.hear(named());
            circle
        };
        named().map(own).collect()
    }

    fn pins(count: u64) -> impl Iterator<Item = Key> {
        (0..count).map(|n| key(n << 20))
    }

    #[test]
    fn every_pin_has_its_copies_each_as_often_as_its_budget_is_large() {
        let circles = circles(&[all(100), all(200), all(400), all(300), all(1000)], 1);
        let mut held = [0; 5];
        for pin in pins(4_000) {
            let holders: Vec<usize> = (0..5).filter(|n| circles[*n].is_own(pin)).collect();
            assert_eq!(holders.len(), 1);
            held[holders[0]] += 1;
        }
        for (held, expected) in held.iter().zip([200_i32, 400, 800, 600, 2000]) {
            assert!((held - expected).abs() < expected / 4, "{held} for {expected}");
        }
    }

    #[test]
    fn the_short_walk_finds_whom_the_definition_finds() {
        let mut terms: Vec<Terms> = (1..30).map(|n| all(n * n)).collect();
        for (n, terms) in terms.iter_mut().enumerate() {
            terms.reach = u64::MAX >> (n % 7);
            terms.refused = vec![key((n as u64 * 3) << 20).short()];
        }
        let circles = circles(&terms, 3);
        for pin in pins(300) {
            let distance = |n: &usize| circles[*n].own.distance(draw(circles[*n].own.key, pin));
            let mut nearest: Vec<usize> = (0..terms.len()).collect();
            nearest.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
            nearest.retain(|n| terms[*n].accepts(draw(circles[*n].own.key, pin), pin));
            nearest.truncate(3);
            nearest.sort_unstable();
            let found: Vec<usize> = (0..terms.len()).filter(|n| circles[*n].is_own(pin)).collect();
            assert_eq!(found, nearest);
        }
    }

    #[test]
    fn who_leaves_leaves_its_pins_to_others_and_nothing_else_moves() {
        let terms: Vec<Terms> = (1..=20).map(|n| all(n * 10)).collect();
        let before = circles(&terms, 3);
        let gone = key(7);
        let mut moved = 0;
        for pin in pins(1_000) {
            let was_held = before[6].is_own(pin);
            for circle in before.iter().filter(|circle| circle.own.key != gone) {
                let mut after = circle.clone();
                after.others.retain(|other| other.key != gone);
                assert!(after.is_own(pin) || !circle.is_own(pin), "nobody lets go of anything");
                moved += i32::from(after.is_own(pin) && !circle.is_own(pin));
                assert!(was_held || after.is_own(pin) == circle.is_own(pin));
            }
        }
        let held = i32::try_from(pins(1_000).filter(|pin| before[6].is_own(*pin)).count()).unwrap();
        assert_eq!(moved, held);
    }

    #[test]
    fn a_refused_pin_goes_to_the_next() {
        let mut terms = vec![all(10), all(10), all(10)];
        let pin = key(99);
        let first = circles(&terms, 1).iter().position(|circle| circle.is_own(pin)).unwrap();
        terms[first].refused = vec![pin.short()];
        let second = circles(&terms, 1).iter().position(|circle| circle.is_own(pin)).unwrap();
        assert_ne!(first, second);
        terms[second].reach = 0;
        let third = circles(&terms, 1).iter().position(|circle| circle.is_own(pin)).unwrap();
        assert!(third != first && third != second);
    }

    #[test]
    fn only_what_changed_is_news() {
        let mut circle = Circle::new(key(1), all(5), 3);
        assert!(!circle.hear([(key(1), all(9))]), "oneself");
        assert!(circle.hear([(key(2), all(5)), (key(3), all(5))]));
        assert!(!circle.hear([(key(3), all(5)), (key(2), all(5))]));
        assert!(circle.hear([(key(2), all(6)), (key(3), all(5))]));
        assert!(circle.hear([(key(2), all(6))]));
    }
}
