//! Bytes -> values, tolerant of every width and of the new specification's types, with limits.
use super::head::{DEPTH_MAX, DecodeError, Head, Kind, VALUES_MAX, head};

/// A value that borrows from its message.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A number that came as a signed type, or a small one.
    Int(i64),
    /// A number that came as an unsigned type.
    Uint(u64),
    /// A fraction; no type of Go's peers has one.
    Float(f64),
    /// Bytes or a text.
    Raw(&'a [u8]),
    /// Values in order.
    Array(Vec<Value<'a>>),
    /// Pairs in order.
    Map(Vec<(Value<'a>, Value<'a>)>),
    /// A type number and bytes.
    Ext(i8, &'a [u8]),
}

/// Decodes the value at the start of `bytes`; returns it with its length.
///
/// # Errors
/// Bytes that are no value, end early, nest too deep or hold too many values.
pub fn decode(bytes: &[u8]) -> Result<(Value<'_>, usize), DecodeError> {
    let mut reader = Reader { bytes, at: 0, seen: 0 };
    let value = reader.value(0)?;
    Ok((value, reader.at))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    seen: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, DecodeError> {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let head = head(rest).map_err(|what| DecodeError::at(start, what))?;
        let head = head.ok_or_else(|| DecodeError::at(start, "unexpected end"))?;
        let end = head.len.checked_add(head.body).ok_or_else(|| DecodeError::at(start, "length overflows"))?;
        let body = rest.get(head.len..end).ok_or_else(|| DecodeError::at(start, "unexpected end"))?;
        self.seen = self.seen.saturating_add(head.children);
        if self.seen > VALUES_MAX {
            return Err(DecodeError::at(start, "too many values"));
        }
        if head.children > 0 && depth == DEPTH_MAX {
            return Err(DecodeError::at(start, "values nest too deep"));
        }
        self.at = start + end;
        self.finish(head, body, depth)
    }

    fn finish(&mut self, head: Head, body: &'a [u8], depth: usize) -> Result<Value<'a>, DecodeError> {
        Ok(match head.kind {
            Kind::Nil => Value::Nil,
            Kind::Bool(b) => Value::Bool(b),
            Kind::Small(n) => Value::Int(n),
            Kind::Unsigned => Value::Uint(body.iter().fold(0, |n, b| (n << 8) | u64::from(*b))),
            Kind::Signed => Value::Int(signed(body)),
            Kind::Float => Value::Float(float(body)),
            Kind::Raw => Value::Raw(body),
            Kind::Ext => {
                let (kind, bytes) = body.split_first().map_or((0, body), |(kind, bytes)| (*kind, bytes));
                Value::Ext(i8::from_be_bytes([kind]), bytes)
            }
            Kind::Array => Value::Array((0..head.children).map(|_| self.value(depth + 1)).collect::<Result<_, _>>()?),
            Kind::Map => Value::Map(
                (0..head.children / 2)
                    .map(|_| Ok((self.value(depth + 1)?, self.value(depth + 1)?)))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }
}

fn signed(body: &[u8]) -> i64 {
    let negative = body.first().is_some_and(|b| b & 0x80 != 0);
    body.iter().fold(if negative { -1 } else { 0 }, |n, b| (n << 8) | i64::from(*b))
}

fn float(body: &[u8]) -> f64 {
    match (<[u8; 4]>::try_from(body), <[u8; 8]>::try_from(body)) {
        (Ok(four), _) => f64::from(f32::from_be_bytes(four)),
        (_, Ok(eight)) => f64::from_be_bytes(eight),
        _ => 0.0,
    }
}

impl<'a> Value<'a> {
    /// The bytes of a raw; `None` of anything else.
    #[must_use]
    pub fn raw(&self) -> Option<&'a [u8]> {
        if let Self::Raw(bytes) = self { Some(bytes) } else { None }
    }

    /// The text of a raw, with what is not UTF-8 replaced; `None` of anything else.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        self.raw().map(|raw| String::from_utf8_lossy(raw).into_owned())
    }

    /// The number as signed, of whatever width; an unsigned one past the range is its greatest.
    #[must_use]
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            Self::Uint(n) => Some(i64::try_from(*n).unwrap_or(i64::MAX)),
            Self::Nil
            | Self::Bool(_)
            | Self::Float(_)
            | Self::Raw(_)
            | Self::Array(_)
            | Self::Map(_)
            | Self::Ext(..) => None,
        }
    }

    /// The value of a text key of a map; `None` when this is no map, or has no such key, or nil under it.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&Value<'a>> {
        let Self::Map(pairs) = self else { return None };
        let (_, value) = pairs.iter().find(|(k, _)| k.raw() == Some(key.as_bytes()))?;
        (*value != Self::Nil).then_some(value)
    }
}
