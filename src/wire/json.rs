//! JSON text as Go's encoder writes it.
use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::PrettyFormatter;

/// What HTML or JavaScript could take for its own, and how Go writes it inside a string; outside of strings JSON has none of it.
const ESCAPES: [(&[u8], &[u8]); 5] = [
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u{2028}".as_bytes(), b"\\u2028"),
    ("\u{2029}".as_bytes(), b"\\u2029"),
];

/// Writes a document without white space and without a line end.
///
/// # Errors
/// Those of `out`, and a document that is no JSON.
pub fn write<T: Serialize + ?Sized>(out: impl Write, document: &T) -> serde_json::Result<()> {
    document.serialize(&mut Serializer::new(Escaping(out)))
}

/// Writes a document with four spaces a level and without a line end.
///
/// # Errors
/// As [`write`].
pub fn write_pretty<T: Serialize + ?Sized>(out: impl Write, document: &T) -> serde_json::Result<()> {
    document.serialize(&mut Serializer::with_formatter(Escaping(out), PrettyFormatter::with_indent(b"    ")))
}

/// Escapes what goes through it, which comes in whole characters.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some((at, raw, escaped)) = first(rest) {
            self.0.write_all(&rest[..at])?;
            self.0.write_all(escaped)?;
            rest = &rest[at + raw.len()..];
        }
        self.0.write_all(rest)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Where the first of the escapes is, and which one.
fn first(bytes: &[u8]) -> Option<(usize, &'static [u8], &'static [u8])> {
    let mut from = 0;
    loop {
        let at = from + bytes[from..].iter().position(|byte| matches!(byte, b'<' | b'>' | b'&' | 0xe2))?;
        if let Some((raw, escaped)) = ESCAPES.iter().find(|(raw, _)| bytes[at..].starts_with(raw)) {
            return Some((at, raw, escaped));
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn written(document: &Value) -> String {
        let mut out = Vec::new();
        write(&mut out, document).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_and_keys_are_escaped_as_gos() {
        let document = json!({"a&b": "<\u{2028}é\u{2029}>\n\u{8}\u{7f}\u{1}"});
        assert_eq!(written(&document), "{\"a\\u0026b\":\"\\u003c\\u2028é\\u2029\\u003e\\n\\b\u{7f}\\u0001\"}");
        let mut out = Vec::new();
        write_pretty(&mut out, &document["a&b"].as_str().map(|text| [&text[..1]])).unwrap();
        assert_eq!(out, b"[\n    \"\\u003c\"\n]");
    }

    proptest! {
        #[test]
        fn what_is_escaped_reads_as_it_was(text in "[<>&\u{2028}\u{2029}\u{2027}a\\\\\"é]{0,12}") {
            let document = json!({ &text: &text });
            let written = written(&document);
            let is_escaped = !written.contains(['<', '>', '&', '\u{2028}', '\u{2029}']);
            prop_assert!(is_escaped, "{}", written);
            prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), document);
        }
    }
}
