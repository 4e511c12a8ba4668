//! Reads the columns of a change chunk: run lengths are counted and bounded before anything is expanded.
use super::codec::Reader;
use crate::crdt::Refused;

/// The columns that a change of ours has, by their specification in Automerge's format.
#[derive(Debug, Default)]
pub struct Columns<'a> {
    pub object_actor: &'a [u8],
    pub object_counter: &'a [u8],
    pub key: &'a [u8],
    pub insert: &'a [u8],
    pub action: &'a [u8],
    pub value_meta: &'a [u8],
    pub value: &'a [u8],
    pub pred_count: &'a [u8],
    pub pred_actor: &'a [u8],
    pub pred_counter: &'a [u8],
}

/// Columns that [`Columns`] knows.
const COLUMNS_MAX: usize = 10;

impl<'a> Columns<'a> {
    /// Takes the column table and the columns, which end the chunk.
    ///
    /// # Errors
    /// [`Refused::Malformed`] for an unknown, deflated or repeated column, and for bytes after the last.
    pub fn read(mut reader: Reader<'a>) -> Result<Self, Refused> {
        let count = reader.v32()? as usize;
        if count > COLUMNS_MAX {
            return Err(Refused::Malformed("a change has unknown columns"));
        }
        let mut table = Vec::with_capacity(count);
        for _ in 0..count {
            table.push((reader.v32()?, reader.v32()? as usize));
        }
        if !table.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(Refused::Malformed("the columns of a change are not in order"));
        }
        let mut columns = Self::default();
        for (specification, length) in table {
            let data = reader.bytes(length)?;
            *columns.slot(specification).ok_or(Refused::Malformed("a change has unknown columns"))? = data;
        }
        reader.end()?;
        Ok(columns)
    }

    fn slot(&mut self, specification: u32) -> Option<&mut &'a [u8]> {
        Some(match specification {
            0x01 => &mut self.object_actor,
            0x02 => &mut self.object_counter,
            0x15 => &mut self.key,
            0x34 => &mut self.insert,
            0x42 => &mut self.action,
            0x56 => &mut self.value_meta,
            0x57 => &mut self.value,
            0x70 => &mut self.pred_count,
            0x71 => &mut self.pred_actor,
            0x73 => &mut self.pred_counter,
            _ => return None,
        })
    }
}

/// Reads a run-length column of numbers, at most `max` of them.
///
/// # Errors
/// [`Refused::Malformed`]; also for a null, which no column of ours has.
pub fn numbers(column: &[u8], max: usize) -> Result<Vec<u32>, Refused> {
    runs(column, max, Reader::v32)
}

/// Reads a run-length column of texts, at most `max` of them with at most `length` bytes each.
///
/// # Errors
/// [`Refused::Malformed`].
pub fn texts(column: &[u8], max: usize, length: usize) -> Result<Vec<&str>, Refused> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Refused::Malformed("a key is no text"));
    runs(column, max, |reader| text(reader.sized(length)?))
}

/// Reads a delta column: run lengths of differences; at most `max` numbers.
///
/// # Errors
/// [`Refused::Malformed`]; also when a sum leaves the range of 32 bits.
pub fn deltas(column: &[u8], max: usize) -> Result<Vec<u32>, Refused> {
    let mut sum = 0_i64;
    let add = |delta: i64| {
        sum = sum.checked_add(delta)?;
        u32::try_from(sum).ok()
    };
    let sums: Option<Vec<u32>> = runs(column, max, signed)?.into_iter().map(add).collect();
    sums.ok_or(Refused::Malformed("a counter is out of range"))
}

/// Returns whether a boolean column is `count` times false.
pub fn all_false(column: &[u8], count: usize) -> bool {
    let mut reader = Reader::new(column);
    reader.v() == Ok(count as u64) && reader.end().is_ok()
}

fn runs<'a, T: Clone>(
    column: &'a [u8],
    max: usize,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T, Refused>,
) -> Result<Vec<T>, Refused> {
    let mut reader = Reader::new(column);
    let mut out = Vec::new();
    while reader.left() > 0 {
        let run = signed(&mut reader)?;
        let length = usize::try_from(run.unsigned_abs()).unwrap_or(usize::MAX);
        match run {
            0 => return Err(Refused::Malformed("a column has a null")),
            _ if length > max - out.len() => return Err(Refused::Malformed("a column has too many rows")),
            1.. => {
                let value = read(&mut reader)?;
                out.resize(out.len() + length, value);
            }
            ..0 => (0..length).try_for_each(|_| {
                out.push(read(&mut reader)?);
                Ok::<_, Refused>(())
            })?,
        }
    }
    Ok(out)
}

/// Takes a signed LEB128 number.
fn signed(reader: &mut Reader<'_>) -> Result<i64, Refused> {
    let mut value = 0_i64;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = reader.u8()?;
        let low = i64::from(byte & 0x7f);
        // The tenth byte holds one bit and its sign.
        if shift == 63 && !matches!(byte, 0 | 0x7f) {
            break;
        }
        value |= low << shift;
        if byte & 0x80 == 0 {
            let filled = shift + 7;
            let negative = byte & 0x40 != 0 && filled < u64::BITS;
            return Ok(if negative { value | (-1 << filled) } else { value });
        }
    }
    Err(Refused::Malformed("a number is above 64 bits"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn signed_numbers_are_read() {
        let read = |bytes: &[u8]| signed(&mut Reader::new(bytes));
        assert_eq!(read(&[0]), Ok(0));
        assert_eq!(read(&[0x7f]), Ok(-1));
        assert_eq!(read(&[0x80, 0x7f]), Ok(-128));
        assert_eq!(read(&[0xc0, 0]), Ok(64));
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f]), Ok(i64::MIN));
        assert!(read(&[0xff; 12]).is_err());
        assert!(read(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]).is_err());
        assert!(read(&[0x80]).is_err());
    }

    #[test]
    fn runs_and_literals_are_read() {
        assert_eq!(numbers(&[3, 7, 0x7e, 1, 2], 5), Ok(vec![7, 7, 7, 1, 2]));
        assert_eq!(deltas(&[2, 5, 0x7f, 0x7d], 3), Ok(vec![5, 10, 7]));
        assert_eq!(texts(&[0x7e, 1, b'a', 2, b'b', b'c'], 2, 2), Ok(vec!["a", "bc"]));
        assert!(all_false(&[9], 9) && !all_false(&[9], 8) && !all_false(&[4, 1], 5));
    }

    #[test]
    fn a_bomb_is_refused_before_it_expands() {
        // One run of 2^62 rows.
        let bomb = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0xc0, 0, 1];
        assert!(numbers(&bomb, 500).is_err());
        assert!(deltas(&bomb, 500).is_err());
        assert!(texts(&bomb, 500, 1).is_err());
        assert!(numbers(&[4, 7], 3).is_err());
        assert!(numbers(&[0, 7], 9).is_err(), "nulls");
        assert!(deltas(&[0x7f, 0x7f], 9).is_err(), "below zero");
    }

    proptest! {
        #[test]
        fn hostile_columns_never_panic(bytes: Vec<u8>) {
            let _ = numbers(&bytes, 500);
            let _ = deltas(&bytes, 500);
            let _ = texts(&bytes, 500, 120);
            let _ = Columns::read(Reader::new(&bytes));
        }
    }
}
