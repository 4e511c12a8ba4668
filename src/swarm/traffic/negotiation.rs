//! Which protocol the two ends of a stream agree on: read along, because the muxer below knows no protocols.

/// Bytes of each side that are looked at: some ten names. Who goes on haggling is not counted by a protocol.
const SAID_MAX: usize = 1024;

/// What both sides said so far.
#[derive(Debug, Default)]
pub struct Negotiation {
    dialer: Vec<u8>,
    listener: Vec<u8>,
}

/// How a negotiation stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Stand {
    /// It goes on.
    Open,
    /// On this protocol.
    Agreed(String),
    /// It is none that can be followed.
    Lost,
}

impl Negotiation {
    /// Takes what one side said.
    pub fn hear(&mut self, by_dialer: bool, bytes: &[u8]) -> Stand {
        let said = if by_dialer { &mut self.dialer } else { &mut self.listener };
        said.extend(&bytes[..bytes.len().min(SAID_MAX - said.len())]);
        if let Some(protocol) = self.agreed() {
            return Stand::Agreed(protocol.to_owned());
        }
        let is_full = self.dialer.len() >= SAID_MAX || self.listener.len() >= SAID_MAX;
        if is_full { Stand::Lost } else { Stand::Open }
    }

    /// The listener repeats the name that it takes; a name that nobody proposed is no agreement.
    fn agreed(&self) -> Option<&str> {
        let taken = lines(&self.listener).find(|line| *line != HEADER && *line != REFUSAL)?;
        let is_proposed = lines(&self.dialer).any(|line| line == taken);
        std::str::from_utf8(taken).ok().filter(|_| is_proposed)
    }
}

const HEADER: &[u8] = b"/multistream/1.0.0";
const REFUSAL: &[u8] = b"na";

/// The whole lines of multistream-select: each behind its length, which fits one byte or two, and a newline at its end.
fn lines(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = match bytes {
            [len @ 0..=0x7f, rest @ ..] => (usize::from(*len), rest),
            [low, high @ 0..=0x7f, rest @ ..] => (usize::from(low & 0x7f) | usize::from(*high) << 7, rest),
            _ => return None,
        };
        let (line, rest) = rest.split_at_checked(len)?;
        bytes = rest;
        line.strip_suffix(b"\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<u8> {
        let mut bytes = vec![u8::try_from(text.len() + 1).unwrap()];
        bytes.extend(text.as_bytes());
        bytes.push(b'\n');
        bytes
    }

    fn said(lines: &[&str]) -> Vec<u8> {
        lines.iter().flat_map(|text| line(text)).collect()
    }

    #[test]
    fn the_name_that_the_listener_repeats_is_agreed_on() {
        let mut talk = Negotiation::default();
        assert_eq!(talk.hear(true, &said(&["/multistream/1.0.0", "/new/2"])), Stand::Open);
        assert_eq!(talk.hear(false, &said(&["/multistream/1.0.0", "na"])), Stand::Open);
        assert_eq!(talk.hear(true, &said(&["/old/1"])), Stand::Open);
        let answer = said(&["/old/1"]);
        assert_eq!(talk.hear(false, &answer[..3]), Stand::Open);
        assert_eq!(talk.hear(false, &answer[3..]), Stand::Agreed("/old/1".into()));
    }

    #[test]
    fn long_names_have_a_length_of_two_bytes() {
        let name = format!("/{}", "a".repeat(200));
        let mut bytes = vec![0xca, 1];
        bytes.extend(name.as_bytes());
        bytes.push(b'\n');
        let mut talk = Negotiation::default();
        assert_eq!(talk.hear(true, &bytes), Stand::Open);
        assert_eq!(talk.hear(false, &bytes), Stand::Agreed(name));
    }

    #[test]
    fn a_name_that_nobody_proposed_and_an_endless_talk_are_not_followed() {
        let mut talk = Negotiation::default();
        talk.hear(true, &said(&["/multistream/1.0.0", "/mine"]));
        assert_eq!(talk.hear(false, &said(&["/multistream/1.0.0", "/forged"])), Stand::Open);
        assert_eq!(talk.hear(false, &[0xff; 5_000]), Stand::Lost);
        assert!(talk.listener.len() <= SAID_MAX);
    }
}
