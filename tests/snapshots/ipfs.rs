//! What a follower asks before it starts: an IPFS daemon that says its name, and can do nothing.
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Listens until this process ends; returns the port.
pub fn listen() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the kernel has a port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(answer(&stream))));
    port
}

fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut head = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let is_id = head.next().is_some_and(|line| line.contains("/api/v0/id"));
    let _ = head.count();
    let (code, body) = if is_id {
        ("200 OK", r#"{"ID":"QmYY6Yq9qaKwbZjPLWCWzaTyhiWKUvLPzSm6bJHzDHKbpP","Addresses":[]}"#)
    } else {
        ("500 Internal Server Error", r#"{"Message":"nobody is at home","Code":0,"Type":"error"}"#)
    };
    write!(
        stream,
        "HTTP/1.1 {code}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
