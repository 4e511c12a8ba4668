//! One request over a socket of its own, byte for byte, and the parts of the answer.
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::string::FromUtf8Error;
use std::time::Duration;

use crate::recording::Recording;

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_mins(1);

/// What a server answered.
#[derive(Debug, Default)]
pub struct Answer {
    /// `200 OK`; `none` when the connection was closed without an answer.
    pub status: String,
    pub headers: Vec<(String, String)>,
    pub trailers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(found, _): &&(String, String)| found.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }
}

/// Asks the API on a loopback port what the recording asked, with `here` applied to all text of the request.
pub fn ask(port: u16, recording: &Recording, here: impl Fn(&str) -> String) -> Answer {
    let body = String::from_utf8(recording.body.clone())
        .map_or_else(FromUtf8Error::into_bytes, |text| here(&text).into_bytes());
    let mut head = vec![format!("{} {} HTTP/1.1", recording.method, here(&recording.target)), "Host: localhost".into()];
    head.extend(recording.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    if !body.is_empty() || recording.method == "POST" {
        head.push(format!("Content-Length: {}", body.len()));
    }
    let head = format!("{}\r\n\r\n", head.join("\r\n"));
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("the API listens");
    socket.set_read_timeout(Some(ANSWER_MAX)).expect("a socket has a timeout");
    // A server that refuses the head may have closed before it has read all.
    let _ = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(&body));
    receive(&mut BufReader::new(socket), &recording.method)
}

fn receive(socket: &mut impl BufRead, method: &str) -> Answer {
    let first = line(socket);
    let Some(status) = first.strip_prefix("HTTP/1.1 ") else {
        return Answer { status: "none".into(), ..Answer::default() };
    };
    let mut answer = Answer { status: status.to_owned(), headers: fields(socket), ..Answer::default() };
    let is_bodiless = method == "HEAD" || status.starts_with("204");
    match (answer.header("transfer-encoding").is_some(), answer.header("content-length")) {
        _ if is_bodiless => {}
        (true, _) => chunked(socket, &mut answer),
        (false, Some(length)) => {
            answer.body = vec![0; length.parse().expect("a length is a number")];
            socket.read_exact(&mut answer.body).expect("the body is as long as it was said");
        }
        (false, None) => drop(socket.read_to_end(&mut answer.body)),
    }
    answer
}

fn chunked(socket: &mut impl BufRead, answer: &mut Answer) {
    loop {
        let size = usize::from_str_radix(&line(socket), 16).expect("a chunk has a size");
        if size == 0 {
            answer.trailers = fields(socket);
            return;
        }
        let before = answer.body.len();
        answer.body.resize(before + size, 0);
        socket.read_exact(&mut answer.body[before..]).expect("a chunk is as long as it was said");
        line(socket);
    }
}

fn fields(socket: &mut impl BufRead) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    loop {
        let line = line(socket);
        let Some((name, value)) = line.split_once(':') else { return fields };
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn line(socket: &mut impl BufRead) -> String {
    let mut line = Vec::new();
    // What breaks off is an empty line, which no answer begins with.
    let _ = socket.read_until(b'\n', &mut line);
    String::from_utf8_lossy(&line).trim_end().to_owned()
}
