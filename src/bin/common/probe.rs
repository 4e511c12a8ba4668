//! One question to a daemon, before there is a client of it.
use std::io;
use std::time::Duration;

use ipfs_cluster::config::Endpoint;
use ipfs_cluster::model::Multiaddr;
use libp2p::multiaddr::Protocol;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// The longest wait for an answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const ANSWER_MAX: u64 = 64 << 10;

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What the other's clock says.
    pub date: Option<OffsetDateTime>,
    /// The body, or its beginning.
    pub body: Vec<u8>,
}

/// Sends `POST path` without a body.
pub async fn post(endpoint: &Endpoint, path: &str) -> io::Result<Answer> {
    let asked = async {
        match endpoint {
            Endpoint::Unix(socket) => ask(UnixStream::connect(socket).await?, path).await,
            Endpoint::Address(address) => ask(connect(address).await?, path).await,
        }
    };
    within(ANSWER_TIME_MAX, asked).await
}

/// Connects to the TCP port of an address.
pub async fn connect(address: &Multiaddr) -> io::Result<TcpStream> {
    let Some((host, port)) = target(address) else { return Err(io::Error::other("no TCP port is named")) };
    within(ANSWER_TIME_MAX, TcpStream::connect((host, port))).await
}

/// The host and the TCP port of an address.
pub fn target(address: &Multiaddr) -> Option<(String, u16)> {
    let (mut host, mut port) = (None, None);
    for part in address {
        if let Protocol::Ip4(ip) = part {
            host = host.or(Some(ip.to_string()));
        } else if let Protocol::Ip6(ip) = part {
            host = host.or(Some(ip.to_string()));
        } else if let Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) = part {
            host = host.or(Some(name.into_owned()));
        } else if let Protocol::Tcp(number) = part {
            port = port.or(Some(number));
        }
    }
    host.zip(port)
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit:?}")));
    tokio::time::timeout(limit, work).await.unwrap_or_else(late)
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> io::Result<Answer> {
    // Of HTTP 1.0 the answer's body has no chunks.
    let request = format!("POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut bytes).await?;
    read(&bytes).ok_or_else(|| io::Error::other("the answer is no HTTP"))
}

fn read(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let is_date = |line: &&str| line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case("date:"));
    let date = lines.find(is_date).map(|line| line[5..].trim().replace("GMT", "+0000"));
    let date = date.and_then(|date| OffsetDateTime::parse(&date, &Rfc2822).ok());
    Some(Answer { status, date, body: bytes[end + 4..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_a_moment_and_a_body() {
        let answer = read(b"HTTP/1.0 200 OK\r\nDATE: Thu, 26 Nov 2026 08:27:42 GMT\r\n\r\n{}").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"{}"[..]));
        assert_eq!(answer.date.unwrap().unix_timestamp(), 1_795_681_662);
        let answer = read(b"HTTP/1.1 404 Not Found\r\nDate: soon\r\n\r\n").unwrap();
        assert!(answer.status == 404 && answer.date.is_none() && answer.body.is_empty());
        for bytes in [&b""[..], b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 x y\r\n\r\n", b"\xff\r\n\r\n"] {
            assert!(read(bytes).is_none());
        }
    }

    #[test]
    fn the_first_host_and_port_count() {
        let target = |text: &str| target(&text.parse().unwrap());
        assert_eq!(target("/ip4/10.0.0.1/tcp/9096"), Some(("10.0.0.1".into(), 9096)));
        assert_eq!(target("/dns4/example.org/tcp/1/ws"), Some(("example.org".into(), 1)));
        assert_eq!(target("/ip4/10.0.0.1/udp/1/quic"), None);
    }
}
