//! HTTP requests without the programs' own client.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Where an API is.
#[derive(Clone, Debug)]
pub enum Place {
    Port(u16),
    Socket(PathBuf),
}

/// Sends `method path`; returns the status code and the body.
///
/// # Errors
/// When the connection breaks before the whole answer is there.
pub fn request(place: &Place, method: &str, path: &str) -> std::io::Result<(u16, String)> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    match place {
        Place::Port(port) => {
            let stream = TcpStream::connect(("127.0.0.1", *port))?;
            stream.set_read_timeout(Some(ANSWER_MAX))?;
            let answer = exchange(&stream, &stream, &head);
            let _ = stream.shutdown(Shutdown::Both);
            answer
        }
        Place::Socket(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(ANSWER_MAX))?;
            exchange(&stream, &stream, &head)
        }
    }
}

fn exchange(from: impl Read, mut to: impl Write, head: &str) -> std::io::Result<(u16, String)> {
    to.write_all(head.as_bytes())?;
    let mut from = BufReader::new(from);
    let (mut line, mut code, mut is_chunked) = (String::new(), None, false);
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            return Err(broken());
        }
        let lower = line.trim().to_ascii_lowercase();
        if lower.is_empty() {
            break;
        }
        code = code.or_else(|| lower.split(' ').nth(1).and_then(|code| code.parse().ok()));
        is_chunked |= lower == "transfer-encoding: chunked";
    }
    let mut body = String::new();
    if is_chunked {
        chunks(&mut from, &mut body)?;
    } else {
        from.read_to_string(&mut body)?;
    }
    Ok((code.ok_or_else(broken)?, body))
}

fn chunks(from: &mut impl BufRead, body: &mut String) -> std::io::Result<()> {
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Err(broken());
        }
        let size = u64::from_str_radix(line.trim(), 16).map_err(|_| broken())?;
        if size == 0 {
            let mut rest = String::new();
            from.read_to_string(&mut rest)?;
            // An error in the middle of a list comes here.
            let is_whole = !rest
                .to_ascii_lowercase()
                .lines()
                .any(|line| line.strip_prefix("x-stream-error:").is_some_and(|error| !error.trim().is_empty()));
            return if is_whole { Ok(()) } else { Err(broken()) };
        }
        if from.by_ref().take(size).read_to_string(body)? as u64 != size {
            return Err(broken());
        }
        from.read_line(&mut line)?;
    }
}

fn broken() -> std::io::Error {
    std::io::ErrorKind::UnexpectedEof.into()
}
