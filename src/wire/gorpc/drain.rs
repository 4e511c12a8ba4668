//! Draining a peer, which Go's peers do not know: `nil` asks, `true` begins, `false` ends; the reply is a map.
use super::types::finish;
use crate::model::{Drain, Draining, PeerId};
use crate::wire::msgpack::{DecodeError, Value, Writer, decode};

/// Encodes what is asked.
#[must_use]
pub fn encode_draining(what: Draining) -> Vec<u8> {
    let mut writer = Writer::default();
    match what {
        Draining::Look => writer.nil(),
        Draining::Begin => writer.bool(true),
        Draining::End => writer.bool(false),
    }
    writer.into_bytes()
}

/// Decodes what is asked.
///
/// # Errors
/// Bytes that say nothing of it.
pub fn decode_draining(bytes: &[u8]) -> Result<Draining, DecodeError> {
    match decode(bytes)?.0 {
        Value::Nil => Ok(Draining::Look),
        Value::Bool(true) => Ok(Draining::Begin),
        Value::Bool(false) => Ok(Draining::End),
        Value::Int(_)
        | Value::Uint(_)
        | Value::Float(_)
        | Value::Raw(_)
        | Value::Array(_)
        | Value::Map(_)
        | Value::Ext(..) => Err(DecodeError::at(0, "neither nil nor a boolean")),
    }
}

/// Encodes how far a peer is.
#[must_use]
pub fn encode_drain(drain: &Drain) -> Vec<u8> {
    finish(|f| {
        f.field("leaving", |w| w.bool(drain.leaving));
        f.field("left", |w| w.uint(drain.pins_left));
        f.field("kept", |w| w.uint(drain.pins_kept));
        f.field("everywhere", |w| w.uint(drain.pins_everywhere));
    })
}

/// Decodes how far the peer `of` is.
///
/// # Errors
/// Bytes that are no value, or lack something: what is not told must not count as nothing left.
pub fn decode_drain(bytes: &[u8], of: PeerId) -> Result<Drain, DecodeError> {
    let (value, _) = decode(bytes)?;
    let lacks = |key: &str| DecodeError::at(0, format!("no {key}"));
    let count = |key: &str| {
        let count = value.field(key).and_then(Value::int).and_then(|n| u64::try_from(n).ok());
        count.ok_or_else(|| lacks(key))
    };
    let Some(Value::Bool(leaving)) = value.field("leaving") else { return Err(lacks("leaving")) };
    Ok(Drain {
        peer: of,
        leaving: *leaving,
        pins_left: count("left")?,
        pins_kept: count("kept")?,
        pins_everywhere: count("everywhere")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_and_answered_comes_back() {
        for what in [Draining::Look, Draining::Begin, Draining::End] {
            assert_eq!(decode_draining(&encode_draining(what)), Ok(what));
        }
        let peer = PeerId::random();
        let drain = Drain { peer, leaving: true, pins_left: 3, pins_kept: 1 << 40, pins_everywhere: 0 };
        assert_eq!(decode_drain(&encode_drain(&drain), peer), Ok(drain));
    }

    #[test]
    fn a_reply_that_lacks_a_count_is_none() {
        let whole = encode_drain(&Drain {
            peer: PeerId::random(),
            leaving: false,
            pins_left: 0,
            pins_kept: 0,
            pins_everywhere: 0,
        });
        let text = String::from_utf8_lossy(&whole).replace("left", "lost");
        for bytes in [text.as_bytes(), &[0x80], &[0xc0]] {
            assert!(decode_drain(bytes, PeerId::random()).is_err(), "{bytes:?}");
        }
        assert!(decode_draining(&[0x01]).is_err());
    }
}
