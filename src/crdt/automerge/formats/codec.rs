//! Reads and writes the fields of our own formats: little endian numbers, LEB128 lengths.
use crate::crdt::Refused;

/// Reads fields from the front of hostile bytes; every read is checked.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Bytes that are left.
    pub const fn left(&self) -> usize {
        self.0.len()
    }

    /// All that is left, without taking it.
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Takes the next `n` bytes.
    ///
    /// # Errors
    /// [`Refused::Malformed`] when fewer are left; so do all the others.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Refused> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(Refused::Malformed("cut short"))?;
        self.0 = rest;
        Ok(head)
    }

    /// Takes an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Refused::Malformed("cut short"))?;
        self.0 = rest;
        Ok(*head)
    }

    /// Takes one byte.
    pub fn u8(&mut self) -> Result<u8, Refused> {
        self.array().map(|[byte]| byte)
    }

    /// Takes four bytes as a number.
    pub fn u32(&mut self) -> Result<u32, Refused> {
        self.array().map(u32::from_le_bytes)
    }

    /// Takes eight bytes as a number.
    pub fn u64(&mut self) -> Result<u64, Refused> {
        self.array().map(u64::from_le_bytes)
    }

    /// Takes an unsigned LEB128 number in its shortest spelling.
    pub fn v(&mut self) -> Result<u64, Refused> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                break;
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || shift == 0;
                return if shortest {
                    Ok(value)
                } else {
                    Err(Refused::Malformed("a number is not in its shortest form"))
                };
            }
        }
        Err(Refused::Malformed("a number is above 64 bits"))
    }

    /// Takes a LEB128 number of at most 32 bits.
    pub fn v32(&mut self) -> Result<u32, Refused> {
        u32::try_from(self.v()?).map_err(|_| Refused::Malformed("a number is above 32 bits"))
    }

    /// Takes a LEB128 length and as many bytes, when it is at most `max`.
    pub fn sized(&mut self, max: usize) -> Result<&'a [u8], Refused> {
        let length = self.v()?;
        match usize::try_from(length) {
            Ok(length) if length <= max => self.bytes(length),
            Ok(_) | Err(_) => Err(Refused::Malformed("a field is above its limit")),
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Refused::Malformed`] when bytes are left.
    pub const fn end(self) -> Result<(), Refused> {
        if self.0.is_empty() { Ok(()) } else { Err(Refused::Malformed("bytes after the end")) }
    }
}

/// Returns whether what was read holds together.
///
/// # Errors
/// [`Refused::Malformed`] with `why` when it does not.
pub const fn ensure(holds: bool, why: &'static str) -> Result<(), Refused> {
    if holds { Ok(()) } else { Err(Refused::Malformed(why)) }
}

/// Appends `n` as unsigned LEB128.
pub fn put_v(out: &mut Vec<u8>, mut n: u64) {
    while n > 0x7f {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push((n & 0x7f) as u8);
}

/// Appends `bytes` after their length.
pub fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    put_v(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_number_reads_back(n: u64) {
            let mut out = Vec::new();
            put_v(&mut out, n);
            let mut reader = Reader::new(&out);
            proptest::prop_assert_eq!(reader.v(), Ok(n));
            proptest::prop_assert_eq!(reader.end(), Ok(()));
        }
    }

    #[test]
    fn only_the_shortest_spelling_of_a_number_is_read() {
        assert!(Reader::new(&[0x80, 0]).v().is_err());
        assert!(Reader::new(&[0xff; 11]).v().is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).v().is_err());
        assert!(Reader::new(&[0x80]).v().is_err());
        assert_eq!(Reader::new(&[0]).v(), Ok(0));
    }

    #[test]
    fn a_field_above_its_limit_is_refused_before_it_is_read() {
        assert!(Reader::new(&[3, 1, 2, 3]).sized(2).is_err());
        assert!(Reader::new(&[3, 1, 2]).sized(3).is_err());
        assert_eq!(Reader::new(&[2, 1, 2]).sized(2), Ok(&[1, 2][..]));
    }
}
