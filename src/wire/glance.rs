//! What a pin's record says of who is to hold it, read where it lies: nothing is copied, the rest is passed over.
use super::pin::replication;
use crate::model::Replication;

/// Who is to hold a pin, and how many.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'a> {
    replication: Replication,
    /// The fields of the record from its first allocation to its last.
    allocations: &'a [u8],
}

const ALLOCATION: u64 = 3;
const OPTIONS: u64 = 6;
const FACTORS: [u64; 2] = [1, 2];

impl<'a> Glance<'a> {
    /// Looks at a record; [`None`] when there is something in it that only the whole decoder can judge.
    ///
    /// Where [`super::pin`] reads the record too, both say the same. It may refuse one that passes here.
    #[must_use]
    pub fn at(record: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(record);
        let (mut factors, mut first, mut end) = ([0; 2], None, 0);
        while !fields.0.is_empty() {
            let begin = record.len() - fields.0.len();
            match fields.next()? {
                (ALLOCATION, Value::Bytes(_)) => (first, end) = (first.or(Some(begin)), record.len() - fields.0.len()),
                (OPTIONS, Value::Bytes(options)) => look_at_options(options, &mut factors)?,
                (ALLOCATION | OPTIONS, Value::Number(_) | Value::Fixed) => return None,
                _ => (),
            }
        }
        let [min, max] = factors;
        Some(Self { replication: replication(min, max), allocations: record.get(first.unwrap_or(end)..end)? })
    }

    /// How many peers are to hold it.
    #[must_use]
    pub const fn replication(&self) -> Replication {
        self.replication
    }

    /// The bytes of the peer IDs of those that are to, in their order; nobody has looked whether they are any.
    pub fn allocations(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut fields = Fields(self.allocations);
        let fields = std::iter::from_fn(move || fields.next());
        fields.filter_map(|field| match field {
            (ALLOCATION, Value::Bytes(peer)) => Some(peer),
            _ => None,
        })
    }
}

/// Options that come in parts are merged: what comes last counts.
fn look_at_options(options: &[u8], factors: &mut [i32; 2]) -> Option<()> {
    let mut fields = Fields(options);
    while !fields.0.is_empty() {
        let (number, value) = fields.next()?;
        let Some(factor) = FACTORS.iter().position(|known| *known == number) else { continue };
        let Value::Number(value) = value else { return None };
        factors[factor] = signed(u32::try_from(value).ok()?);
    }
    Some(())
}

/// What protobuf's `sint32` means.
const fn signed(n: u32) -> i32 {
    (n >> 1).cast_signed() ^ -(n & 1).cast_signed()
}

/// The fields that are left.
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

impl<'a> Fields<'a> {
    /// Takes the next field; [`None`] at the end, when it is cut short, and for groups, which nobody writes any more.
    #[inline]
    fn next(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => self.bytes(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.bytes(length)?)
            }
            5 => self.bytes(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((key >> 3, value))
    }

    #[inline]
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    /// Most are keys and lengths of one byte.
    #[inline]
    fn number(&mut self) -> Option<u64> {
        match self.0 {
            [byte @ 0..0x80, rest @ ..] => {
                self.0 = rest;
                Some(u64::from(*byte))
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                return None;
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::pin::tests::{pins, recordings};
    use crate::wire::pin::{decode, encode};

    /// Where both read a record, they say the same; returns whether both do.
    pub fn agree(record: &[u8]) -> bool {
        let (Some(glance), Ok(pin)) = (Glance::at(record), decode(record)) else { return false };
        let seen: Vec<&[u8]> = glance.allocations().collect();
        let whole: Vec<Vec<u8>> = pin.allocations.iter().map(|peer| peer.to_bytes()).collect();
        assert_eq!((glance.replication(), seen), (pin.replication, whole.iter().map(Vec::as_slice).collect()));
        true
    }

    #[test]
    fn gos_records_are_understood() {
        for record in recordings() {
            assert!(agree(&record), "{}", hex::encode(record));
        }
    }

    #[test]
    fn what_only_the_whole_decoder_can_judge_is_left_to_it() {
        let at = |hex: &str| Glance::at(&hex::decode(hex).unwrap()).map(|glance| glance.replication());
        assert_eq!(at("320408021004"), Some(Replication::Between { min: 1, max: 2 }));
        assert_eq!(at(""), Some(Replication::Between { min: 1, max: 1 }), "it has factors of 0, and reads as that");
        for strange in ["1800", "3000", "3203090000", "32080880808080101002", "3204080210", "0b", "80"] {
            assert_eq!(at(strange), None, "{strange}");
        }
    }

    proptest! {
        #[test]
        fn a_pin_is_understood_also_in_parts(pin in pins(), more in pins()) {
            prop_assert!(agree(&encode(&pin)));
            prop_assert!(agree(&[encode(&pin), encode(&more)].concat()), "protobuf merges the two");
        }

        #[test]
        fn what_is_damaged_is_read_alike_or_by_one_alone(
            pin in pins(), damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4), cut: usize,
        ) {
            let mut bytes = encode(&pin);
            for (at, byte) in damage {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            agree(&bytes);
            agree(&bytes[..cut % bytes.len()]);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            agree(&bytes);
        }
    }
}
