//! A census that judges records at a glance: which of many pins need new holders, without reading all of them whole.
use super::census::{Census, Standing};
use crate::model::{PeerId, Replication};
use crate::wire::glance::Glance;

/// What a peer is for the pins that are allocated to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// It may be counted on.
    Counts,
    /// It may not.
    Gone,
    /// It is to be replaced.
    Leaves,
}

/// A [`Census`] by the bytes of peer IDs, as records have them.
#[derive(Debug)]
pub struct Sieve<'a> {
    census: &'a Census,
    /// The peers that it knows of, sorted by their tails: comparing words is several times as fast as comparing keys.
    known: Vec<(u64, Vec<u8>, Holder)>,
    /// Where those begin whose tail begins with a byte, by byte, and then the end: most searches are over by that.
    begins: Vec<usize>,
}

impl<'a> Sieve<'a> {
    /// The sieve of `census`.
    #[must_use]
    pub fn of(census: &'a Census) -> Self {
        let known = census.known().map(|peer| (peer.to_bytes(), holder(census, peer)));
        let mut known: Vec<_> = known.map(|(bytes, holder)| (tail(&bytes), bytes, holder)).collect();
        known.sort_unstable_by_key(|(tail, ..)| *tail);
        let begins = (0..=256).map(|first| known.partition_point(|(tail, ..)| tail >> 56 < first)).collect();
        Self { census, known, begins }
    }

    /// Returns whether a pin may be short; `false` only where [`Census::is_short`] of the whole pin says so too.
    #[must_use]
    pub fn may_be_short(&self, pin: &Glance<'_>) -> bool {
        let Replication::Between { min, .. } = pin.replication() else { return false };
        let mut holders = 0_u32;
        for bytes in pin.allocations() {
            match self.holder(bytes) {
                Some(Holder::Counts) => holders = holders.saturating_add(1),
                Some(Holder::Gone) => (),
                Some(Holder::Leaves) | None => return true,
            }
        }
        holders < min
    }

    /// What the peer of these bytes is; [`None`] when they are no peer's.
    fn holder(&self, bytes: &[u8]) -> Option<Holder> {
        let wanted = tail(bytes);
        let byte = usize::from(wanted.to_be_bytes()[0]);
        let near = &self.known[self.begins[byte]..self.begins[byte + 1]];
        let first = near.partition_point(|(tail, ..)| *tail < wanted);
        let alike = near[first..].iter().take_while(|(tail, ..)| *tail == wanted);
        for (_, known, holder) in alike {
            if known == bytes {
                return Some(*holder);
            }
        }
        let peer = PeerId::from_bytes(bytes).ok()?;
        Some(holder(self.census, &peer))
    }
}

/// The last bytes of a peer ID as a number: those of a key are as good as random.
fn tail(bytes: &[u8]) -> u64 {
    bytes.last_chunk().map_or(0, |tail| u64::from_be_bytes(*tail))
}

fn holder(census: &Census, peer: &PeerId) -> Holder {
    match census.standing(peer) {
        _ if census.is_leaving(peer) => Holder::Leaves,
        Standing::Here | Standing::Missed => Holder::Counts,
        Standing::Gone => Holder::Gone,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::monitor::testing::at;
    use crate::wire::pin::tests::{peer, pins};
    use crate::wire::pin::{decode, encode};

    /// Peers 0.. whose last sign of life ended at these seconds; 300 are the grace.
    fn censuses() -> impl Strategy<Value = Census> {
        (vec(0..1000_i64, 0..8), btree_set((0..8_u8).prop_map(peer), 0..3), 0..1000_i64).prop_map(
            |(lives, leaving, now)| {
                let lives = (0..).zip(lives).map(|(n, until)| (peer(n), at(until)));
                Census::of(peer(9), lives, &leaving, (at(0), Duration::from_mins(5), at(now)))
            },
        )
    }

    /// What the sieve says of a record; what it cannot read may be anything.
    fn may_be_short(census: &Census, record: &[u8]) -> bool {
        Glance::at(record).is_none_or(|pin| Sieve::of(census).may_be_short(&pin))
    }

    proptest! {
        #[test]
        fn a_record_is_judged_as_the_pin_is(census in censuses(), pin in pins()) {
            prop_assert_eq!(may_be_short(&census, &encode(&pin)), census.is_short(&pin));
        }

        #[test]
        fn what_is_damaged_is_never_well_where_it_reads_as_short(
            census in censuses(), pin in pins(), damage in vec((any::<usize>(), any::<u8>()), 1..4),
        ) {
            let mut record = encode(&pin);
            for (at, byte) in damage {
                let at = at % record.len();
                record[at] = byte;
            }
            let is_short = decode(&record).is_ok_and(|pin| census.is_short(&pin));
            prop_assert!(may_be_short(&census, &record) || !is_short, "{}", hex::encode(&record));
        }
    }
}
