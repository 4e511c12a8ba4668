//! Finds the end of a value while its bytes still arrive.
use super::head::{DEPTH_MAX, DecodeError, VALUES_MAX, head};

/// Says when a growing buffer holds one whole value; each byte is looked at once.
#[derive(Debug, Default)]
pub struct Scanner {
    /// The next byte to look at.
    at: usize,
    /// How many values each open array or map still misses.
    open: Vec<usize>,
    seen: usize,
}

impl Scanner {
    /// Goes on in `buffer`, which starts with the same bytes as at the last call.
    ///
    /// Returns the length of the value, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// Bytes that start no value, and values that are too deep or too many.
    pub fn scan(&mut self, buffer: &[u8]) -> Result<Option<usize>, DecodeError> {
        loop {
            let rest = buffer.get(self.at..).unwrap_or_default();
            let Some(head) = head(rest).map_err(|what| DecodeError::at(self.at, what))? else { return Ok(None) };
            let Some(end) = head.len.checked_add(head.body).and_then(|len| self.at.checked_add(len)) else {
                return Err(DecodeError::at(self.at, "length overflows"));
            };
            self.seen = self.seen.saturating_add(head.children);
            if self.seen > VALUES_MAX {
                return Err(DecodeError::at(self.at, "too many values"));
            }
            if end > buffer.len() {
                self.seen -= head.children;
                return Ok(None);
            }
            if self.passed(head.children, end)? {
                return Ok(Some(end));
            }
        }
    }

    /// Notes that a head with `children` ended at `end`; returns whether the outermost value ended with it.
    fn passed(&mut self, children: usize, end: usize) -> Result<bool, DecodeError> {
        self.at = end;
        if children > 0 {
            if self.open.len() == DEPTH_MAX {
                return Err(DecodeError::at(end, "values nest too deep"));
            }
            self.open.push(children);
            return Ok(false);
        }
        while let Some(missing) = self.open.last_mut() {
            *missing -= 1;
            if *missing > 0 {
                return Ok(false);
            }
            self.open.pop();
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::decode;
    use super::*;

    #[test]
    fn a_value_that_arrives_byte_by_byte_ends_where_it_ends() {
        let bytes = hex::decode("82a44e616d65a7436c7573746572a64d6574686f6492a24944d1008080").unwrap();
        let mut scanner = Scanner::default();
        for end in 0..bytes.len() - 1 {
            assert_eq!(scanner.scan(&bytes[..end]), Ok(None), "{end}");
        }
        assert_eq!(scanner.scan(&bytes), Ok(Some(bytes.len() - 1)));
    }

    #[test]
    fn a_bomb_of_arrays_is_refused() {
        assert!(Scanner::default().scan(&[0x91; 64]).is_err());
        assert!(Scanner::default().scan(&[0xdd, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert_eq!(Scanner::default().scan(&[0xdb, 0xff, 0xff, 0xff, 0xff]), Ok(None));
    }

    proptest! {
        #[test]
        fn scanner_and_decoder_agree_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let scanned = Scanner::default().scan(&bytes);
            match decode(&bytes) {
                Ok((_, len)) => prop_assert_eq!(scanned, Ok(Some(len))),
                Err(_) => prop_assert!(!matches!(scanned, Ok(Some(_)))),
            }
        }
    }
}
