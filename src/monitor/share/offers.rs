//! What a pass over the pinset found for a follower, nearest first, in bounded memory.
use super::terms::{REFUSED_MAX, Terms};

/// Offers kept; 32 bytes each. Above, small ones are put together.
const OFFERS_MAX: usize = 8_192;
/// Of them so many stay when small ones are put together, so that it is not done for each new one.
const KEPT_MAX: usize = OFFERS_MAX / 4 * 3;
/// Offers are put together up to this part of the budget: what cannot be told apart any more is small.
const GRAIN: u64 = 1_024;

/// One pin that the others leave to this follower, or some small ones that are next to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// Its number; of some the greatest.
    pub draw: u64,
    /// Bytes.
    pub bytes: u64,
    /// Bytes of it that are not here yet.
    pub missing: u64,
    /// Its name among those refused.
    pub pin: u32,
}

/// Where taking ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// No more bytes than these.
    pub room: u64,
    /// A pin that does not fit is passed over below so many bytes, and is the end above.
    pub full: u64,
    /// No more bytes that are not here yet; a pin that is larger comes alone.
    pub ahead: u64,
}

/// What is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub bytes: u64,
    pub reach: u64,
    pub refused: Vec<u32>,
}

/// The offers of one pass.
#[derive(Clone, Debug)]
pub(super) struct Offers {
    budget: u64,
    /// Never put together with others: they are told by name.
    refused: Vec<u32>,
    found: Vec<Offer>,
    /// Nothing is known from here on.
    unknown: Option<u64>,
}

impl Offers {
    /// No offers for a follower that takes pins on these terms.
    pub fn new(terms: &Terms) -> Self {
        Self { budget: terms.budget, refused: terms.refused.clone(), found: Vec::new(), unknown: None }
    }

    /// Adds one.
    pub fn add(&mut self, offer: Offer) {
        if self.unknown.is_some_and(|from| offer.draw >= from) {
            return;
        }
        self.found.push(offer);
        if self.found.len() >= OFFERS_MAX {
            self.shrink();
        }
    }

    /// Returns how many bytes are within some terms.
    pub fn within(&self, terms: &Terms) -> u64 {
        let is_within = |offer: &&Offer| offer.draw <= terms.reach && terms.refused.binary_search(&offer.pin).is_err();
        self.found.iter().filter(is_within).fold(0, |bytes, offer| bytes.saturating_add(offer.bytes))
    }

    /// Takes what fits, nearest first.
    pub fn fill(&mut self, ends: Ends) -> Taken {
        self.found.sort_unstable_by_key(|offer| offer.draw);
        let (mut taken, _) = walk(&self.found, ends, REFUSED_MAX);
        if let Some(unknown) = self.unknown {
            taken.reach = taken.reach.min(unknown.saturating_sub(1));
        }
        taken
    }

    /// Puts small neighbours together, and forgets what is so far away that it is never taken.
    fn shrink(&mut self) {
        self.found.sort_unstable_by_key(|offer| offer.draw);
        let twice = self.budget.saturating_mul(2);
        let (_, end) = walk(&self.found, Ends { room: twice, full: twice, ahead: u64::MAX }, REFUSED_MAX * 2);
        if let Some(first) = self.found.get(end) {
            self.unknown = Some(first.draw);
        }
        let grain = self.budget / GRAIN;
        let mut kept: Vec<Offer> = Vec::with_capacity(OFFERS_MAX);
        for offer in self.found.drain(..).take(end) {
            let named = |offer: &Offer| self.refused.binary_search(&offer.pin).is_ok();
            match kept.last_mut() {
                Some(last) if last.bytes.saturating_add(offer.bytes) <= grain && !named(last) && !named(&offer) => {
                    *last = Offer { bytes: last.bytes + offer.bytes, missing: last.missing + offer.missing, ..offer };
                }
                Some(_) | None => kept.push(offer),
            }
        }
        if let Some(first) = kept.get(KEPT_MAX) {
            self.unknown = Some(first.draw);
            kept.truncate(KEPT_MAX);
        }
        self.found = kept;
    }
}

/// Walks sorted offers; returns what is taken, and how many were looked at before the end.
fn walk(offers: &[Offer], ends: Ends, refused_max: usize) -> (Taken, usize) {
    let (mut missing, mut last) = (0_u64, 0);
    let mut taken = Taken { bytes: 0, reach: u64::MAX, refused: Vec::new() };
    for (at, offer) in offers.iter().enumerate() {
        let bytes = taken.bytes.saturating_add(offer.bytes);
        let is_near = missing == 0 || missing.saturating_add(offer.missing) <= ends.ahead;
        if bytes <= ends.room && is_near {
            taken.bytes = bytes;
            missing += offer.missing;
        } else if bytes <= ends.room || taken.bytes >= ends.full || taken.refused.len() >= refused_max {
            taken.reach = last;
            taken.refused.sort_unstable();
            return (taken, at);
        } else {
            taken.refused.push(offer.pin);
        }
        last = offer.draw;
    }
    taken.refused.sort_unstable();
    (taken, offers.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(budget: u64, sizes: impl IntoIterator<Item = u64>) -> Offers {
        let mut offers = Offers::new(&Terms::none(budget));
        for (n, bytes) in (1..).zip(sizes) {
            offers.add(Offer { draw: n * 10, bytes, missing: bytes, pin: u32::try_from(n).unwrap() });
        }
        offers
    }

    fn ends(room: u64) -> Ends {
        Ends { room, full: room * 9 / 10, ahead: u64::MAX }
    }

    fn taken(bytes: u64, reach: u64, refused: &[u32]) -> Taken {
        Taken { bytes, reach, refused: refused.to_vec() }
    }

    #[test]
    fn everything_is_taken_where_everything_fits() {
        assert_eq!(offers(100, [50, 20, 30]).fill(ends(100)), taken(100, u64::MAX, &[]));
        assert_eq!(offers(100, []).fill(ends(100)), taken(0, u64::MAX, &[]));
    }

    #[test]
    fn what_is_too_large_is_passed_over_until_there_is_no_room() {
        assert_eq!(offers(100, [50, 60, 45, 40, 1]).fill(ends(100)), taken(95, 30, &[2]));
        assert_eq!(offers(100, [500, 500, 10]).fill(ends(100)), taken(10, u64::MAX, &[1, 2]));
        assert_eq!(offers(100, [500; 100]).fill(ends(100)).reach, 10 * u64::try_from(REFUSED_MAX).unwrap());
    }

    #[test]
    fn no_more_is_promised_than_a_step_ahead_but_a_large_pin_comes_alone() {
        let step = Ends { ahead: 15, ..ends(100) };
        assert_eq!(offers(100, [10, 5, 1]).fill(step), taken(15, 20, &[]));
        assert_eq!(offers(100, [40, 5, 1]).fill(step), taken(40, 10, &[]));
    }

    #[test]
    fn many_offers_are_few_and_as_good() {
        let sizes = (0..100_000_u64).map(|n| 1 + n * 7_919 % 1_000);
        let mut all = offers(20_000_000, sizes.clone());
        assert!(all.found.len() <= OFFERS_MAX);
        let found = all.fill(ends(20_000_000));
        let (mut bytes, mut reach) = (0, 0);
        for (n, size) in (1..).zip(sizes) {
            if bytes + size > 20_000_000 {
                break;
            }
            (bytes, reach) = (bytes + size, n * 10);
        }
        assert!(found.bytes <= bytes && found.bytes >= bytes / 100 * 99, "{} of {bytes}", found.bytes);
        assert!(found.reach <= reach && found.reach >= reach / 100 * 99, "{} of {reach}", found.reach);
        assert_eq!(all.within(&Terms { reach: found.reach, ..Terms::none(1) }), found.bytes);
    }

    #[test]
    fn nothing_is_promised_about_what_was_forgotten() {
        let mut all = offers(1_000, (0..20_000).map(|_| 500_000));
        assert!(all.found.len() <= OFFERS_MAX);
        assert!(all.fill(Ends { room: u64::MAX, full: u64::MAX, ahead: u64::MAX }).reach < 200_000);
    }
}
