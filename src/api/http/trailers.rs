//! Trailers for clients that did not ask for them.
//!
//! Hyper sends trailers only when the request said `TE: trailers`, and the clients of this API never say so. So trailers are put
//! into what hyper *writes*, before the CRLF that ends a chunked body: that text is hyper's own, always well-formed, while the
//! framing of requests is the client's, and rewriting it would let a client shift the boundary between two requests.

/// A line end.
const CRLF: &[u8] = b"\r\n";
/// Longest head of a response that is followed, in bytes; the programs' own are below 2 KiB and configured headers add to that.
const HEAD_MAX: usize = 256 * 1024;

/// Follows responses in the bytes that a server writes.
#[derive(Debug, Default)]
pub(super) struct Framer {
    state: State,
    /// The head, or the line of a chunk's size, as far as it was seen.
    text: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// A body of known length.
    Sized(u64),
    /// A chunk's size, in hex.
    ChunkLine,
    /// A chunk's data and its CRLF.
    Chunk(u64),
    /// The CRLF after the last chunk's line.
    End,
    /// Nothing is known about the rest of the connection.
    Raw,
}

/// What comes after the bytes that were passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Here the current response's trailers go.
    Trailers,
    /// The current response is over.
    Ended,
}

impl Framer {
    /// Whether what comes next begins a response.
    pub(super) fn is_at_head(&self) -> bool {
        self.state == State::Head && self.text.is_empty()
    }

    /// Takes bytes from the front of `bytes`; returns how many, and what comes after them.
    ///
    /// `is_bodiless` says of the response whose head ends here whether its request was a HEAD; `None` that no request is known.
    pub(super) fn step(&mut self, bytes: &[u8], is_bodiless: impl Fn() -> Option<bool>) -> (usize, Option<Event>) {
        match self.state {
            State::Head => self.head(bytes, is_bodiless),
            State::Sized(left) => {
                let (taken, left) = pass(bytes, left);
                self.state = State::Sized(left);
                (taken, (left == 0).then(|| self.ended()))
            }
            State::ChunkLine => self.chunk_line(bytes),
            State::Chunk(left) => {
                let (taken, left) = pass(bytes, left);
                self.state = if left == 0 { State::ChunkLine } else { State::Chunk(left) };
                (taken, None)
            }
            State::End => self.end(bytes),
            State::Raw => (bytes.len(), None),
        }
    }

    /// Collects up to and with `end`; returns how many bytes that took, and the text when it is complete.
    fn collect(&mut self, bytes: &[u8], end: &[u8]) -> (usize, Option<Vec<u8>>) {
        let before = self.text.len();
        let from = before.saturating_sub(end.len() - 1);
        self.text.extend_from_slice(bytes);
        let Some(at) = self.text[from..].windows(end.len()).position(|window| window == end) else {
            if self.text.len() > HEAD_MAX {
                self.state = State::Raw;
                self.text = Vec::new();
            }
            return (bytes.len(), None);
        };
        let mut text = std::mem::take(&mut self.text);
        text.truncate(from + at + end.len());
        (text.len() - before, Some(text))
    }

    fn head(&mut self, bytes: &[u8], is_bodiless: impl Fn() -> Option<bool>) -> (usize, Option<Event>) {
        let (taken, Some(text)) = self.collect(bytes, b"\r\n\r\n") else { return (bytes.len(), None) };
        let head = Head::read(&text);
        // 1xx is not the response yet.
        if head.status.is_some_and(|status| status < 200) {
            return (taken, None);
        }
        self.state = match (is_bodiless(), head.status) {
            (None, _) | (_, None) => State::Raw,
            (Some(true), _) | (_, Some(204 | 304)) => State::Sized(0),
            (Some(false), Some(_)) => head.body,
        };
        if self.state == State::Sized(0) { (taken, Some(self.ended())) } else { (taken, None) }
    }

    fn chunk_line(&mut self, bytes: &[u8]) -> (usize, Option<Event>) {
        let (taken, Some(text)) = self.collect(bytes, CRLF) else { return (bytes.len(), None) };
        let digits = std::str::from_utf8(&text[..text.len() - CRLF.len()]).ok();
        match digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
            Some(0) => {
                self.state = State::End;
                (taken, Some(Event::Trailers))
            }
            Some(size) => {
                self.state = State::Chunk(size.saturating_add(2));
                (taken, None)
            }
            None => {
                self.state = State::Raw;
                (taken, None)
            }
        }
    }

    fn end(&mut self, bytes: &[u8]) -> (usize, Option<Event>) {
        let (taken, Some(text)) = self.collect(bytes, CRLF) else { return (bytes.len(), None) };
        // Hyper's own trailers, which nobody here gives it, would end with an empty line too.
        if text == CRLF { (taken, Some(self.ended())) } else { (taken, None) }
    }

    fn ended(&mut self) -> Event {
        self.state = State::Head;
        Event::Ended
    }
}

/// Returns how many of `bytes` belong to what has `left` bytes to go, and what is then left of it.
fn pass(bytes: &[u8], left: u64) -> (usize, u64) {
    let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
    (taken, left - taken as u64)
}

/// What a response's head says about its body.
struct Head {
    status: Option<u16>,
    body: State,
}

impl Head {
    fn read(text: &[u8]) -> Self {
        let mut lines = text.split(|byte| *byte == b'\n');
        let status = lines.next().and_then(|line| std::str::from_utf8(line.get(9..12)?).ok()?.parse().ok());
        // Without a length the body ends with the connection.
        let mut body = State::Raw;
        for line in lines {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"transfer-encoding") && value.eq_ignore_ascii_case(b"chunked") {
                body = State::ChunkLine;
            } else if name.eq_ignore_ascii_case(b"content-length") && body == State::Raw {
                body = std::str::from_utf8(value).ok().and_then(|n| n.parse().ok()).map_or(State::Raw, State::Sized);
            }
        }
        Self { status, body }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str =
        "HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n0\r\n\r\n0\r";
    const EMPTY: &str = "HTTP/1.1 204 No Content\r\nTrailer: X\r\n\r\n";
    const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

    /// What goes out when `text` comes in pieces and response `n` has the trailers `<n>`; `None` in `heads` is no request.
    fn written(text: &str, pieces: &[usize], heads: &[Option<bool>]) -> String {
        let (mut framer, mut out, mut response) = (Framer::default(), Vec::new(), 0);
        let mut rest = text.as_bytes();
        for size in pieces.iter().copied().chain([usize::MAX]) {
            let (mut piece, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            while !piece.is_empty() {
                let (taken, event) = framer.step(piece, || heads.get(response).copied().flatten());
                out.extend_from_slice(&piece[..taken]);
                piece = &piece[taken..];
                match event {
                    Some(Event::Trailers) => out.extend_from_slice(format!("<{response}>").as_bytes()),
                    Some(Event::Ended) => response += 1,
                    None => (),
                }
            }
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn trailers_go_before_the_last_line_of_a_chunked_body_alone() {
        let text = [PLAIN, CONTINUE, STREAM, EMPTY, STREAM, PLAIN].concat();
        let with = |n: usize| STREAM.replace("x\r\n0\r\n", &format!("x\r\n0\r\n<{n}>"));
        let expected = [PLAIN, CONTINUE, &with(1), EMPTY, &with(3), PLAIN].concat();
        assert_eq!(written(&text, &[], &[Some(false); 9]), expected);
    }

    #[test]
    fn the_answer_to_a_head_request_has_no_body() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
        let text = [head, STREAM].concat();
        assert!(written(&text, &[], &[Some(true), Some(false)]).ends_with("0\r\n<1>\r\n"));
    }

    #[test]
    fn an_answer_to_no_request_is_passed_on_as_it_is() {
        assert_eq!(written(STREAM, &[], &[]), STREAM);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_text_is_cut(pieces in prop::collection::vec(1_usize..40, 0..40)) {
            let text = [STREAM, PLAIN, CONTINUE, EMPTY, STREAM].concat();
            let heads = [Some(false); 4];
            prop_assert_eq!(written(&text, &pieces, &heads), written(&text, &[], &heads));
        }

        #[test]
        fn nothing_is_lost_and_nothing_panics(text in "[0-9a-f:\r\n ]{0,200}", cut in 1_usize..20) {
            let text = format!("HTTP/1.1 200 OK\r\n{text}");
            let out = written(&text, &[cut, cut], &[Some(false); 200]);
            prop_assert!(out.len() >= text.len());
        }
    }
}
