//! What a follower with a budget says of itself: how much it takes, and what it does not take.
use std::fmt;

use super::key::Key;

/// Pins that a follower may name as too large for it.
pub(super) const REFUSED_MAX: usize = 32;
/// The form of the text.
const FORM: &str = "1";

/// The terms on which a follower takes pins.
///
/// The text of a metric is `1 <reach> <pin> ..`: the form, the reach in 16 hexadecimal digits, then the pins that are
/// refused for their size, 8 digits each. The budget is the metric's weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Bytes that it holds at most.
    pub budget: u64,
    /// It takes no pin that it draws a greater number for; 0 is next to nothing, the greatest number is everything.
    pub reach: u64,
    /// Of those within, it does not take these, for they are too large; in order.
    pub refused: Vec<u32>,
}

impl Terms {
    /// Takes nothing yet.
    #[must_use]
    pub fn none(budget: u64) -> Self {
        Self { budget, reach: 0, refused: Vec::new() }
    }

    /// Returns whether it takes a pin that it draws `draw` for.
    #[must_use]
    pub(super) fn accepts(&self, draw: u64, pin: Key) -> bool {
        draw <= self.reach && self.refused.binary_search(&pin.short()).is_err()
    }

    /// Reads a metric's weight and text; [`None`] when they are no terms.
    #[must_use]
    pub fn parse(weight: i64, text: &str) -> Option<Self> {
        let budget = u64::try_from(weight).ok().filter(|budget| *budget > 0)?;
        let mut words = text.split(' ');
        if words.next() != Some(FORM) {
            return None;
        }
        let reach = words.next().filter(|word| word.len() == 16).and_then(|word| u64::from_str_radix(word, 16).ok())?;
        let mut refused = Vec::new();
        for word in words {
            if refused.len() == REFUSED_MAX || word.len() != 8 {
                return None;
            }
            refused.push(u32::from_str_radix(word, 16).ok()?);
        }
        refused.sort_unstable();
        Some(Self { budget, reach, refused })
    }

    /// The metric's weight.
    #[must_use]
    pub fn weight(&self) -> i64 {
        i64::try_from(self.budget).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORM} {:016x}", self.reach)?;
        self.refused.iter().try_for_each(|pin| write!(f, " {pin:08x}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn terms_read_back_as_written(
            budget in 1..=i64::MAX.cast_unsigned(), reach: u64, refused in proptest::collection::btree_set(any::<u32>(), 0..=REFUSED_MAX),
        ) {
            let terms = Terms { budget, reach, refused: refused.into_iter().collect() };
            prop_assert_eq!(Terms::parse(terms.weight(), &terms.to_string()), Some(terms));
        }

        #[test]
        fn no_text_makes_it_panic(weight: i64, text in "1 [0-9a-fA-F+ é-]{0,60}") {
            let _ = Terms::parse(weight, &text);
        }
    }

    #[test]
    fn what_is_no_terms_is_nobodys() {
        let reach = "ffffffffffffffff";
        assert!(Terms::parse(5, &format!("1 {reach}")).is_some());
        let long = format!("1 {reach}{}", " 00000001".repeat(REFUSED_MAX + 1));
        for (weight, text) in [
            (5, ""),
            (5, "1"),
            (5, "2 ffffffffffffffff"),
            (5, "1 fff"),
            (5, "1 ffffffffffffffff 1"),
            (5, "1 ffffffffffffffff "),
            (5, "1 é234567890123456"),
            (0, "1 ffffffffffffffff"),
            (-1, "1 ffffffffffffffff"),
            (5, &long),
        ] {
            assert_eq!(Terms::parse(weight, text), None, "{weight} {text:?}");
        }
    }
}
