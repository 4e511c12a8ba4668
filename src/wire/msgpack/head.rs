//! The first bytes of a value: its kind and how much follows.

/// How deep values nest at most; Go's deepest type has four levels.
pub const DEPTH_MAX: usize = 16;

/// How many values one value holds at most: a small message must not unfold to much memory.
pub const VALUES_MAX: usize = 1 << 17;

/// Why bytes are no value; the text is Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("msgpack decode error [pos {pos}]: {what}")]
pub struct DecodeError {
    /// Where in the message.
    pub pos: usize,
    /// What is wrong there.
    pub what: String,
}

impl DecodeError {
    /// An error at byte `pos`.
    #[must_use]
    pub fn at(pos: usize, what: impl Into<String>) -> Self {
        Self { pos, what: what.into() }
    }
}

/// What a first byte announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nil,
    Bool(bool),
    /// The number itself, of a fixint.
    Small(i64),
    /// A big endian unsigned body.
    Unsigned,
    /// A big endian two's complement body.
    Signed,
    Float,
    Raw,
    Array,
    Map,
    Ext,
}

/// The head of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub kind: Kind,
    /// Bytes of the head, with its length field.
    pub len: usize,
    /// Bytes that follow the head and belong to this value alone.
    pub body: usize,
    /// Values that follow it and belong to it; a map's keys and values both count.
    pub children: usize,
}

/// Reads the head at the start of `bytes`; `None` when it is not whole yet.
///
/// # Errors
/// What is wrong with the first byte.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, &'static str> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let small = |kind, body, children| Ok(Some(Head { kind, len: 1, body, children }));
    match first {
        0x00..=0x7f => small(Kind::Small(i64::from(first)), 0, 0),
        0xe0..=0xff => small(Kind::Small(i64::from(first) - 256), 0, 0),
        0x80..=0x8f => small(Kind::Map, 0, usize::from(first & 0x0f) * 2),
        0x90..=0x9f => small(Kind::Array, 0, usize::from(first & 0x0f)),
        0xa0..=0xbf => small(Kind::Raw, usize::from(first & 0x1f), 0),
        0xc0 => small(Kind::Nil, 0, 0),
        0xc1 => Err("unrecognized descriptor byte: c1"),
        0xc2 | 0xc3 => small(Kind::Bool(first == 0xc3), 0, 0),
        0xca | 0xcb => small(Kind::Float, 4 << (first - 0xca), 0),
        0xcc..=0xcf => small(Kind::Unsigned, 1 << (first - 0xcc), 0),
        0xd0..=0xd3 => small(Kind::Signed, 1 << (first - 0xd0), 0),
        0xd4..=0xd8 => small(Kind::Ext, 1 + (1 << (first - 0xd4)), 0),
        0xc4..=0xc6 => Ok(sized(bytes, Kind::Raw, 1 << (first - 0xc4))),
        0xc7..=0xc9 => Ok(sized(bytes, Kind::Ext, 1 << (first - 0xc7))),
        0xd9..=0xdb => Ok(sized(bytes, Kind::Raw, 1 << (first - 0xd9))),
        0xdc | 0xdd => Ok(sized(bytes, Kind::Array, 2 << (first - 0xdc))),
        0xde | 0xdf => Ok(sized(bytes, Kind::Map, 2 << (first - 0xde))),
    }
}

/// A head whose length field has `width` bytes.
fn sized(bytes: &[u8], kind: Kind, width: usize) -> Option<Head> {
    let size = bytes.get(1..=width)?.iter().fold(0usize, |n, b| (n << 8) | usize::from(*b));
    let (body, children) = match kind {
        Kind::Array => (0, size),
        Kind::Map => (0, size.saturating_mul(2)),
        Kind::Ext => (size.saturating_add(1), 0),
        Kind::Nil | Kind::Bool(_) | Kind::Small(_) | Kind::Unsigned | Kind::Signed | Kind::Float | Kind::Raw => {
            (size, 0)
        }
    };
    Some(Head { kind, len: 1 + width, body, children })
}
