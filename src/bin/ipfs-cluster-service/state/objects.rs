//! Consecutive JSON objects of a stream, however they are spaced: one a line, printed over many lines, or without a space.
use std::io::{self, BufRead};

/// The longest object, in bytes: a pin record is at most 16 KiB, and JSON some times as long.
const OBJECT_MAX: usize = 1 << 20;

/// Why there is no further object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// Something else than an object begins; the text is Go's.
    #[error("invalid character {0:?} looking for beginning of value")]
    NoObject(char),
    /// A list, which an import is not; the text is Go's.
    #[error("json: cannot unmarshal array into Go value of type api.Pin")]
    Array,
    /// The stream ends within an object; the text is Go's.
    #[error("unexpected EOF")]
    Cut,
    /// An object that is no pin.
    #[error("an object is longer than {OBJECT_MAX} bytes")]
    TooLong,
    /// The stream fails.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The objects of a stream, each as its bytes.
pub struct Objects<R> {
    input: R,
}

impl<R: BufRead> Objects<R> {
    /// The objects that `input` holds.
    pub const fn new(input: R) -> Self {
        Self { input }
    }

    /// Returns the next object; `None` at the end of the stream.
    ///
    /// Whether it is JSON inside is for its reader to find out: only its end is looked for.
    ///
    /// # Errors
    /// [`ObjectError`]; nothing can be read afterwards.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, ObjectError> {
        let (mut object, mut scan) = (Vec::new(), Scan::default());
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return if object.is_empty() { Ok(None) } else { Err(ObjectError::Cut) };
            }
            let begin = if object.is_empty() { spaces(buffer) } else { 0 };
            if let (true, Some(first)) = (object.is_empty(), buffer.get(begin)) {
                check_first(*first)?;
            }
            let (taken, is_whole) = scan.advance(&buffer[begin..]);
            object.extend_from_slice(&buffer[begin..begin + taken]);
            self.input.consume(begin + taken);
            if object.len() > OBJECT_MAX {
                return Err(ObjectError::TooLong);
            }
            if is_whole {
                return Ok(Some(object));
            }
        }
    }
}

fn spaces(buffer: &[u8]) -> usize {
    buffer.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count()
}

fn check_first(byte: u8) -> Result<(), ObjectError> {
    match byte {
        b'{' => Ok(()),
        b'[' => Err(ObjectError::Array),
        other => Err(ObjectError::NoObject(char::from(other))),
    }
}

/// Where in an object the bytes read so far end.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_text: bool,
    is_escaped: bool,
}

impl Scan {
    /// Returns how many bytes belong to the object, and whether it ends with them.
    fn advance(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_text => self.is_escaped = true,
                b'"' => self.in_text = !self.in_text,
                b'{' | b'[' if !self.in_text => self.depth += 1,
                b'}' | b']' if !self.in_text => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return (at + 1, true);
                    }
                }
                _ => {}
            }
        }
        (bytes.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// Reads with a buffer of `room` bytes, so that objects lie across its ends.
    fn read(text: &str, room: usize) -> Result<Vec<String>, String> {
        let mut objects = Objects::new(BufReader::with_capacity(room, text.as_bytes()));
        let mut all = Vec::new();
        while let Some(object) = objects.next().map_err(|e| e.to_string())? {
            all.push(String::from_utf8(object).unwrap());
        }
        Ok(all)
    }

    #[test]
    fn objects_may_be_spaced_in_any_way() {
        for room in 1..9 {
            assert_eq!(read("{\"a\":1}{\"b\":{}}", room).unwrap(), ["{\"a\":1}", "{\"b\":{}}"]);
            assert_eq!(read(" {\n \"a\": [\n1]\n}\r\n\n{}\n", room).unwrap(), ["{\n \"a\": [\n1]\n}", "{}"]);
            assert_eq!(read("{\"}\\\"{\":\"\\\\\"}\n", room).unwrap(), ["{\"}\\\"{\":\"\\\\\"}"]);
            assert_eq!(read(" \n\t", room).unwrap(), Vec::<String>::new());
        }
    }

    #[test]
    fn what_is_no_object_is_told_in_gos_words() {
        assert_eq!(read("[{}]", 8).unwrap_err(), "json: cannot unmarshal array into Go value of type api.Pin");
        assert_eq!(read("{} rubbish", 8).unwrap_err(), "invalid character 'r' looking for beginning of value");
        assert_eq!(read("{\"a\": ", 8).unwrap_err(), "unexpected EOF");
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(OBJECT_MAX));
        assert!(read(&long, 4096).unwrap_err().starts_with("an object is longer than"));
    }
}
